"""Modelfiles survive the way to text and back, and hostile ones are refused."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from becas_ft.training.errors import ModelfileError
from becas_ft.training.modelfile import Modelfile, parse, render

TEXTS = some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0\r")).filter(
    lambda text: '"""' not in text and not text.endswith('"')
)
PATHS = some.text(some.sampled_from("abcXYZ019 ./:_-#'`é"), min_size=1).filter(lambda path: path == path.strip())
NUMBERS = some.integers(-(10**9), 10**9) | some.floats(allow_nan=False, allow_infinity=False)
PARAMETERS = some.lists(some.tuples(some.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), NUMBERS | TEXTS)).map(
    tuple
)
MODELFILES = some.builds(
    Modelfile, base=PATHS, adapter=PATHS | some.just(""), template=TEXTS, system=TEXTS, parameters=PARAMETERS
)


@given(MODELFILES)
def test_parse_is_the_inverse_of_render(modelfile: Modelfile) -> None:
    """Parsing what was rendered gives the same Modelfile, line breaks, quotes and comment signs in texts included."""
    assert parse(render(modelfile)) == modelfile


def test_rendered_text_is_what_ollama_reads() -> None:
    """The default parameters are the contract's; texts are fenced; instructions come in Ollama's documented form."""
    modelfile = Modelfile("smollm2:135m", "/models/a b.gguf", "{{ .Prompt }}", 'Say "yes" or\nno.')

    assert render(modelfile) == (
        "FROM smollm2:135m\n"
        "ADAPTER /models/a b.gguf\n"
        'TEMPLATE """{{ .Prompt }}"""\n'
        'SYSTEM """Say "yes" or\nno."""\n'
        "PARAMETER temperature 0.3\n"
        "PARAMETER top_p 0.9\n"
        "PARAMETER top_k 40\n"
        "PARAMETER num_ctx 4096\n"
    )


def test_hand_written_modelfiles_are_read() -> None:
    """Comments, empty lines, lower case, single quotes of one kind and spaces are taken as Ollama takes them."""
    text = '# a comment\n\nfrom  llama3.2:3b \nSystem "Be brief."\nparameter stop "<|im_end|>"\nPARAMETER seed 7'

    assert parse(text) == Modelfile("llama3.2:3b", system="Be brief.", parameters=(("stop", "<|im_end|>"), ("seed", 7)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "FROM is empty"),
        ("FROM a\nFROM b", "line 2 of the Modelfile gives FROM again"),
        ("FROM a\nRUN b", "line 2 of the Modelfile is no"),
        ('FROM a\nSYSTEM """endless', "line 2 of the Modelfile has a quoted value"),
        ('FROM a\nSYSTEM """x""" y', "line 2 of the Modelfile has a quoted value"),
        ("FROM a\nPARAMETER", "line 2 of the Modelfile names no parameter"),
    ],
)
def test_damaged_modelfiles_are_refused_by_line(text: str, message: str) -> None:
    """What cannot be read is named by its line."""
    with pytest.raises(ModelfileError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    "fields",
    [
        {"base": "a\nSYSTEM b"},
        {"base": " a"},
        {"base": ""},
        {"base": "a", "system": 'break """ out'},
        {"base": "a", "system": 'ends with "'},
        {"base": "a", "template": "NUL \0"},
        {"base": "a", "parameters": (("Bad Name", 1),)},
        {"base": "a", "parameters": (("seed", float("nan")),)},
    ],
)
def test_what_a_modelfile_cannot_carry_is_never_made(fields: dict[str, object]) -> None:
    """A value that would break out of its place cannot become a Modelfile."""
    with pytest.raises(ModelfileError):
        Modelfile(**fields)  # type: ignore[arg-type]  # wrong on purpose


@given(some.text())
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text makes the parser do anything else than return or raise its own error."""
    with contextlib.suppress(ModelfileError):
        assert parse(render(parse(text))) == parse(text)
