"""What the trainer feeds a model is what the served model is fed: same prompt, same token ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from transformers import AutoTokenizer

from becas_ft.training.chat import ChatTemplate
from becas_ft.training.errors import DatasetError, TemplateError
from becas_ft.training.gguf import read_header
from becas_ft.training.recipe import Recipe
from becas_ft.training.rows import read_rows
from becas_ft.training.tokens import Tokenizer, encode, label_span
from helpers.datasets import scam_rows, write_rows
from helpers.llama_cpp import LlamaCpp
from helpers.smollm2 import smollm2
from helpers.tiny_gguf import CHAT_TEMPLATE, write_tiny_gguf

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = "Decide whether the message is a scam. Answer with JSON."
HARD_TEXTS = (
    "Call 0800 12345 now!! it's £1,500  \n\n win",
    "  leading spaces, tabs\t\tand trailing  ",
    "ünïcode ÀÉ 日本語 👍🏽 a\u0301",
    "don't WON'T I'LL we'Re 2026-11-22 3.14159 1234567",
    '{"isScam":true,"reasoning":"…"}<|im_end|>\n',
    "\n\r\n \n\t\n\n\nend",
    "<|im_start|>user\nhi<|im_end|> <|im_start|>",
    "snake_case camelCase http://example.org/a?b=c#d ++-- :-)",
)


@pytest.fixture(scope="module")
def engine() -> LlamaCpp:
    return LlamaCpp(smollm2())


def test_token_ids_are_those_of_llama_cpp(engine: LlamaCpp) -> None:
    """Digits, contractions, white space, foreign scripts, emoji and special tokens are cut as the engine cuts them."""
    tokenizer = Tokenizer(read_header(smollm2()), smollm2())

    assert [tokenizer.ids(text) for text in HARD_TEXTS] == [engine.ids(text) for text in HARD_TEXTS]


@pytest.mark.parametrize("kind", ["smollm", "llama-bpe", "qwen2", "gpt-2"])
def test_every_known_way_to_cut_is_that_of_llama_cpp(tmp_path: Path, kind: str) -> None:
    """The expressions that cut a text before merging give llama.cpp's ids, for each kind that has one here."""
    path = write_tiny_gguf(tmp_path / "base.gguf", cuts=kind)
    tokenizer = Tokenizer(read_header(path), path)

    with LlamaCpp(path) as tiny:
        assert [tokenizer.ids(text) for text in HARD_TEXTS] == [tiny.ids(text) for text in HARD_TEXTS]


def test_prompt_is_that_of_transformers_and_llama_cpp(engine: LlamaCpp) -> None:
    """The rendered string is byte for byte what both engines make of the same turns."""
    path = smollm2()
    template = ChatTemplate.of(read_header(path))
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": HARD_TEXTS[0]}]
    tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)

    prompt = template.prompt(SYSTEM, HARD_TEXTS[0])
    assert prompt == tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert prompt == engine.prompt(SYSTEM, HARD_TEXTS[0])
    assert template.ending == "<|im_end|>"


def test_shots_are_earlier_turns(tmp_path: Path) -> None:
    """A few-shot prompt shows its examples as turns that were answered."""
    template = ChatTemplate.of(read_header(write_tiny_gguf(tmp_path / "base.gguf")))

    assert template.prompt("S", "M", [("q", "a")]) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>user\nM<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "has no tokenizer.chat_template"),
        ("{% for %}", "does not render"),
        ("{{ ''.__class__.__mro__ }}", "not render"),
    ],
    ids=["none", "broken", "escaping its sandbox"],
)
def test_unusable_templates_are_refused(tmp_path: Path, source: str, message: str) -> None:
    """A template that is missing, broken or reaches for Python's inside is refused with its own error."""
    header = read_header(write_tiny_gguf(tmp_path / "base.gguf", chat_template=source or " "))
    if not source:
        header = type(header)({**header.metadata, "tokenizer.chat_template": ""}, header.tensors)

    with pytest.raises(TemplateError, match=message):
        ChatTemplate.of(header)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"isScam":true,"reasoning":"true"}', "true"),
        ('{"isScam": "a \\"quoted\\" word" ,"x":1}', '"a \\"quoted\\" word"'),
        ('{"isScam":["a","b"]}', '["a","b"]'),
    ],
)
def test_label_span_is_exactly_the_value(tmp_path: Path, output: str, expected: str) -> None:
    """The weighed span begins and ends with the value of the first key."""
    line = {**scam_rows(1)[0], "output": output}
    row = read_rows(write_rows(tmp_path / "rows.jsonl", [line]), "isScam")[0]

    start, end = label_span(row, "isScam")

    assert output[start:end] == expected


def test_only_the_label_weighs_more_and_the_answer_ends(tmp_path: Path) -> None:
    """The label's tokens carry the recipe's weight, all others 1; the last id is the model's own end of answer."""
    path = write_tiny_gguf(tmp_path / "base.gguf")
    header = read_header(path)
    tokenizer = Tokenizer(header, path)
    row = read_rows(write_rows(tmp_path / "rows.jsonl", scam_rows(1)), "isScam")[0]

    encoded = encode(
        row,
        template=ChatTemplate.of(header),
        tokenizer=tokenizer,
        recipe=Recipe(label_weight=5.0, max_answer_tokens=200),
        label_key="isScam",
    )

    weighed = [token for token, weight in zip(encoded.answer, encoded.weights, strict=True) if weight > 1]
    assert tokenizer.text(weighed) == "true"
    assert set(encoded.weights) == {1.0, 5.0}
    assert tokenizer.text(list(encoded.answer)) == row.output + "<|im_end|>"
    assert not encoded.truncated


def test_long_message_loses_its_end_and_nothing_else(tmp_path: Path) -> None:
    """Task, turn markers and answer stay whole; the message is cut to fit, and the row is counted as cut."""
    path = write_tiny_gguf(tmp_path / "base.gguf")
    header = read_header(path)
    line = {**scam_rows(1)[0], "input": "begin " + "é👍 " * 200}
    row = read_rows(write_rows(tmp_path / "rows.jsonl", [line]), "isScam")[0]
    recipe = Recipe(max_tokens=300, max_answer_tokens=90)

    tokenizer = Tokenizer(header, path)
    encoded = encode(row, template=ChatTemplate.of(header), tokenizer=tokenizer, recipe=recipe, label_key="isScam")

    text = tokenizer.text(list(encoded.prompt))
    assert encoded.truncated
    assert 290 < len(encoded) <= 300
    assert text.startswith(f"<|im_start|>system\n{row.system}<|im_end|>\n<|im_start|>user\nbegin é👍 ")
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize(
    "change",
    [{"output": '{"other":true}'}, {"output": "true"}, {"input": 5}, {"metadata": None}, {"system": None}],
    ids=lambda change: next(iter(change)),
)
def test_bad_rows_are_named_by_number_only(tmp_path: Path, change: dict[str, object]) -> None:
    """A row that is none is refused by its line number, without a word of it, in the whole chain of errors."""
    path = write_rows(tmp_path / "rows.jsonl", [scam_rows(1)[0], {**scam_rows(1)[0], **change}])

    with pytest.raises(DatasetError, match="line 2 of the dataset") as caught:
        read_rows(path, "isScam")

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert json.dumps(CHAT_TEMPLATE) not in str(caught.value)
