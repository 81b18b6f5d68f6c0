"""A model's confidence in its label: the probability it gave the tokens of the label."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from becas_ft.runtime.errors import InvalidOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from becas_ft.runtime.protocol import Generation, Token

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A generation read as an object of a category.

    Attributes:
        value: The whole object.
        label_key: Its first key.
        label: The value of its first key.
        confidence: Probability of the label's tokens, 0 to 1; None where the runtime gave no tokens that match.
    """

    value: dict[str, Any] = field(repr=False)
    label_key: str
    label: Any
    confidence: float | None


def read_answer(generation: Generation) -> Answer:
    """Read the answer's object, its label and the confidence in the label.

    Raises:
        InvalidOutput: The text is no JSON object with at least one key.
    """
    text = generation.text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidOutput(f"the answer is not JSON: it ended by {generation.finish}") from error
    if not isinstance(value, dict) or not value:
        raise InvalidOutput("the answer is not a JSON object with a label")
    key, label, start, end = _first_entry(text)
    return Answer(
        value=value,
        label_key=key,
        label=label,
        confidence=_probability(generation.tokens, text, start, end),
    )


def label_confidence(generation: Generation) -> float | None:
    """Product of the probabilities of the tokens that spell the value of the answer's first key.

    A token counts when at least one byte of it lies in the value; the quotes around a string do not count, since
    tokenizers merge them with the punctuation beside them.

    Returns:
        A probability, 0 to 1; None where the runtime gave no tokens that match the text.

    Raises:
        InvalidOutput: The text is no JSON object with at least one key.
    """
    return read_answer(generation).confidence


def _first_entry(text: str) -> tuple[str, Any, int, int]:
    """First key, its value and the value's span in code points, in the text of a valid, non-empty object."""
    key_start = _skip(text, text.index("{") + 1)
    key, after_key = _DECODER.raw_decode(text, key_start)
    start = _skip(text, _skip(text, after_key) + 1)
    label, end = _DECODER.raw_decode(text, start)
    if text[start] == '"' and end - start > len('""'):
        return key, label, start + 1, end - 1
    return key, label, start, end


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _probability(tokens: Sequence[Token], text: str, start: int, end: int) -> float | None:
    joined = b"".join(token.text for token in tokens)
    offset = joined.find(text.encode())
    if offset < 0:
        return None
    first = offset + len(text[:start].encode())
    last = offset + len(text[:end].encode())
    total = 0.0
    position = 0
    for token in tokens:
        following = position + len(token.text)
        if position < last and first < following:
            total += token.logprob
        position = following
    return min(1.0, math.exp(total))
