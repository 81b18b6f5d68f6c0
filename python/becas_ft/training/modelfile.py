"""Modelfiles: rendered for `ollama create`, and read back; parsing what was rendered gives the same Modelfile.

Syntax: https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx and parser/parser.go of the same repository.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from becas_ft.training.errors import ModelfileError

_FENCE: Final = '"""'
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_WORD: Final = re.compile(r"""[^\s"'`#]+""")
_ONE_LINE: Final = frozenset({"FROM", "ADAPTER"})
_TEXTS: Final = frozenset({"TEMPLATE", "SYSTEM"})

Number = int | float
DEFAULT_PARAMETERS: Final[tuple[tuple[str, Number | str], ...]] = (
    ("temperature", 0.3),
    ("top_p", 0.9),
    ("top_k", 40),
    ("num_ctx", 4096),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Modelfile:
    """What `ollama create` needs.

    Attributes:
        base: name of a model or path of a GGUF file; one line, no space at its ends.
        adapter: path of a GGUF LoRA file; empty for none.
        template: Ollama's (Go) template; empty for the base's own.
        system: the task; empty for none.
        parameters: name and value, in order; a name may come again (`stop`).

    Raises:
        ModelfileError: a value cannot stand in a Modelfile: a line break in a path, three quotes in a row in a text,
            a text that ends with a quote, a NUL, a parameter of another form.
    """

    base: str
    adapter: str = ""
    template: str = ""
    system: str = ""
    parameters: tuple[tuple[str, Number | str], ...] = DEFAULT_PARAMETERS

    def __post_init__(self) -> None:
        for name, path in (("FROM", self.base), ("ADAPTER", self.adapter)):
            if path != path.strip() or any(not character.isprintable() for character in path) or '"' in path:
                raise ModelfileError(f"{name} must be one line without quotes or spaces at its ends; rename the file")
        if not self.base:
            raise ModelfileError("FROM is empty; name the base model")
        for name, text in (("TEMPLATE", self.template), ("SYSTEM", self.system)):
            _check_text(name, text)
        for name, value in self.parameters:
            if not _NAME.fullmatch(name):
                raise ModelfileError("a PARAMETER has a name that is not lower-case letters, digits and underscores")
            if isinstance(value, bool) or value != value:  # noqa: PLR0124  (NaN is the value unlike itself)
                raise ModelfileError(f"PARAMETER {name} must be a number or a text")
            if isinstance(value, str):
                _check_text(f"PARAMETER {name}", value)


def _check_text(name: str, text: str) -> None:
    if _FENCE in text or text.endswith('"') or "\0" in text or "\r" in text:
        raise ModelfileError(
            f'{name} holds """, a quote at its end, a carriage return or a NUL, which cannot be carried; reword it',
        )


def render(modelfile: Modelfile) -> str:
    """Return the text of the Modelfile."""
    lines = [f"FROM {modelfile.base}"]
    if modelfile.adapter:
        lines.append(f"ADAPTER {modelfile.adapter}")
    if modelfile.template:
        lines.append(f"TEMPLATE {_fenced(modelfile.template)}")
    if modelfile.system:
        lines.append(f"SYSTEM {_fenced(modelfile.system)}")
    lines.extend(
        f"PARAMETER {name} {_fenced(value) if isinstance(value, str) else repr(value)}"
        for name, value in modelfile.parameters
    )
    return "\n".join(lines) + "\n"


def _fenced(text: str) -> str:
    return f"{_FENCE}{text}{_FENCE}"


def parse(text: str) -> Modelfile:
    """Read a Modelfile of the instructions that `render` writes; comments and empty lines are skipped.

    Raises:
        ModelfileError: an instruction is unknown, given twice, or its value does not end; the line is named.
    """
    fields: dict[str, str] = {}
    parameters: list[tuple[str, Number | str]] = []
    position = 0
    while position < len(text):
        end = _line_end(text, position)
        line = text[position:end]
        if not line.strip() or line.lstrip().startswith("#"):
            position = end + 1
            continue
        where = f"line {text.count(chr(10), 0, position) + 1} of the Modelfile"
        match = _WORD.match(text, position)
        word = match[0].upper() if match else ""
        if match is None or word not in _ONE_LINE | _TEXTS | {"PARAMETER"}:
            raise ModelfileError(f"{where} is no FROM, ADAPTER, TEMPLATE, SYSTEM or PARAMETER")
        value_at = _skip_spaces(text, match.end())
        if word == "PARAMETER":
            name = _WORD.match(text, value_at)
            if name is None:
                raise ModelfileError(f"{where} names no parameter")
            value, quoted, position = _value(text, _skip_spaces(text, name.end()), where)
            parameters.append((name[0], value if quoted else _number(value)))
            continue
        if word in fields:
            raise ModelfileError(f"{where} gives {word} again")
        fields[word], _, position = _value(text, value_at, where)
    return Modelfile(
        fields.get("FROM", ""),
        fields.get("ADAPTER", ""),
        fields.get("TEMPLATE", ""),
        fields.get("SYSTEM", ""),
        tuple(parameters),
    )


def _value(text: str, position: int, where: str) -> tuple[str, bool, int]:
    """Return a value, whether it was quoted, and the start of the next line."""
    for quote in (_FENCE, '"'):
        if text.startswith(quote, position):
            start = position + len(quote)
            end = text.find(quote, start)
            if end < 0 or text[end + len(quote) : _line_end(text, end + len(quote))].strip():
                raise ModelfileError(f"{where} has a quoted value that does not end with its quotes")
            return text[start:end], True, _line_end(text, end + len(quote)) + 1
    end = _line_end(text, position)
    return text[position:end].strip(), False, end + 1


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t":
        position += 1
    return position


def _number(value: str) -> Number | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
