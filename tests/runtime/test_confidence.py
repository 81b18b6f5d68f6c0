"""Confidence is the product of the probabilities of the label's tokens; the tokens here are made by hand."""

from __future__ import annotations

import math

import pytest

from becas_ft.runtime import Generation, InvalidOutput, Token, label_confidence, read_answer


def spelled(*tokens: tuple[str | bytes, float], text: str | None = None) -> Generation:
    """An answer whose tokens have the given probabilities."""
    made = tuple(
        Token(piece.encode() if isinstance(piece, str) else piece, math.log(probability))
        for piece, probability in tokens
    )
    joined = b"".join(token.text for token in made).decode() if text is None else text
    return Generation(model="m", text=joined, tokens=made)


@pytest.mark.parametrize(
    ("generation", "label", "expected"),
    [
        (spelled(('{"', 0.1), ("isScam", 0.1), ('":', 0.1), ("true", 0.9), ("}", 0.1)), True, 0.9),
        (spelled(('{"isScam":', 0.1), ("tr", 0.8), ("ue", 0.5), ("}", 0.1)), True, 0.4),
        (spelled(('{"type":"', 0.1), ("ph", 0.5), ("ishing", 0.5), ('","x":1}', 0.1)), "phishing", 0.25),
        (spelled(('{"type":', 0.1), (' "ph', 0.5), ('ishing"', 0.6), ("}", 0.1)), "phishing", 0.3),
        (spelled(('{ "risk"\n:  ', 0.1), ("-1", 0.7), (".5 ", 0.5), ("}", 0.1)), -1.5, 0.35),
        (spelled(('{"steps":', 0.1), ('["a', 0.5), ('","b"]', 0.5), ("}", 0.1)), ["a", "b"], 0.25),
        (spelled(('{"type":', 0.1), ('""', 0.5), ("}", 0.1)), "", 0.5),
        (spelled(('{"type":"', 0.1), (b"\xc3", 0.5), (b"\xa9", 0.8), ('"}', 0.1)), "é", 0.4),
        (spelled(('{"a\\"b":"', 0.1), ("x", 0.5), ('"}', 0.1)), "x", 0.5),
        (
            spelled(("```json\n", 0.1), ('{"isScam":', 0.1), ("true", 0.5), ("}", 0.2), text='{"isScam":true}'),
            True,
            0.5,
        ),
        (spelled(('{"type":"', 0.1), ("a", 0.5), ('","type":"', 0.1), ("b", 0.9), ('"}', 0.1)), "a", 0.5),
        (spelled(('{"isScam":', 0.1), ("true", 1.0), ("}", 0.1), ("", 0.01)), True, 1.0),
    ],
    ids=[
        "one token",
        "two tokens",
        "string without its quotes",
        "quotes merged into the label's tokens",
        "white space and a number",
        "a list as a whole",
        "empty string",
        "half characters",
        "quote in the key",
        "text begins after the first token",
        "first of two equal keys",
        "end token without bytes",
    ],
)
def test_confidence_is_the_product_over_the_label(generation: Generation, label: object, expected: float) -> None:
    """Exactly the tokens that spell the first key's value count."""
    answer = read_answer(generation)

    assert answer.label == label
    assert answer.confidence == pytest.approx(expected)
    assert label_confidence(generation) == answer.confidence


@pytest.mark.parametrize("text", ["", "{}", "[1]", '"a"', "true", '{"a":', "not json", "{" * 100_000])
def test_answer_without_a_label_is_invalid(text: str) -> None:
    """What is no object with a first key is an invalid output, and the error quotes none of it."""
    with pytest.raises(InvalidOutput) as caught:
        read_answer(Generation(model="m", text=text))

    assert len(text) < 3 or text not in str(caught.value)


def test_no_tokens_no_confidence() -> None:
    """Without log-probabilities, or with tokens of another text, there is no confidence rather than a wrong one."""
    unspelled = read_answer(Generation(model="m", text='{"isScam":true}'))
    other = read_answer(spelled(("something else", 0.5), text='{"isScam":true}'))

    assert unspelled.confidence is None
    assert other.confidence is None
