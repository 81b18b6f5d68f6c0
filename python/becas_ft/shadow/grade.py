"""Decides whether an answer is right, by what its category asks.

An answer and a truth are a label (`true`, `harassment`, `["a","b"]`) or a JSON object of the category's schema.

| category | right when |
| --- | --- |
| most | the labels are equal, letter case aside |
| trust_prediction | the directions are equal and, where both state a `delta`, they differ by at most 5 |
| sentiment_analysis | the labels are equal and, where both state a `score`, they differ by at most .25 |
| workflow_parsing | the F1 of the two sets of steps is at least .8 |

An answer that cannot be parsed is wrong. Two answers agree, so that their pair is a tie without a label, when each
would be right were the other one the truth; lists of steps only where they hold the same steps.
"""

import json
from typing import Any

from becas_ft._core import categories, output_schema

TRUST_TOLERANCE = 5.0
SENTIMENT_TOLERANCE = 0.25
STEPS_F1 = 0.8
NO_VIOLATION = "none"

LABEL_KEYS = {name: label_key for name, label_key, _ in categories()}
"""The first key of each category's output."""

_NUMBERS = {"trust_prediction": ("delta", TRUST_TOLERANCE), "sentiment_analysis": ("score", SENTIMENT_TOLERANCE)}


def label_of(category: str, output: str) -> str | None:
    """The label of an output in its text form; None where it cannot be parsed."""
    fields = _object(output)
    if fields is None or LABEL_KEYS[category] not in fields:
        return None
    return text_of(fields[LABEL_KEYS[category]])


def text_of(value: object) -> str:
    """A label in its text form: text as it is, all else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def is_right(category: str, output: str, truth: str) -> bool:
    """Whether an output agrees with the truth; False where it cannot be parsed."""
    answered = _object(output)
    if answered is None or LABEL_KEYS[category] not in answered:
        return False
    expected = _object(truth) or {LABEL_KEYS[category]: truth}
    label, right = answered[LABEL_KEYS[category]], expected.get(LABEL_KEYS[category], truth)
    if category == "workflow_parsing":
        return f1(_steps(label), _steps(right)) >= STEPS_F1
    if text_of(label).casefold() != text_of(right).casefold():
        return False
    if category in _NUMBERS:
        key, tolerance = _NUMBERS[category]
        stated, wanted = answered.get(key), expected.get(key)
        if isinstance(stated, int | float) and isinstance(wanted, int | float):
            return abs(stated - wanted) <= tolerance
    return True


def agree(category: str, first: str, second: str) -> bool:
    """Whether two outputs say the same as far as grading goes; False where one cannot be parsed."""
    one, other = _object(first), _object(second)
    if one is None or other is None or not label_of(category, first):
        return False
    if category == "workflow_parsing":
        key = LABEL_KEYS[category]
        return key in other and _steps(one[key]) == _steps(other[key])
    if category in _NUMBERS:
        number = _NUMBERS[category][0]
        if isinstance(one.get(number), int | float) != isinstance(other.get(number), int | float):
            return False
    return is_right(category, first, second)


def vocabulary(category: str) -> list[str]:
    """Every label of a category, in its text form; empty where any text is one."""
    label = json.loads(output_schema(category))["properties"][LABEL_KEYS[category]]
    if label.get("type") == "boolean":
        return ["true", "false"]
    return [text_of(value) for value in label.get("enum", [])]


def is_label(category: str, truth: str) -> bool:
    """Whether a truth is in the category's own vocabulary: any other one would make both models wrong."""
    known = {label.casefold() for label in vocabulary(category)}
    return not known or (label_of(category, truth) or truth).casefold() in known


def is_violation(label: str) -> bool:
    """Whether a violationType names any violation: the second, coarser way to grade it."""
    return label.casefold() != NO_VIOLATION


def f1(found: set[str], expected: set[str]) -> float:
    """Harmonic mean of precision and recall of two sets, 0 to 1; 1 for two empty ones."""
    if not found and not expected:
        return 1.0
    return 2 * len(found & expected) / (len(found) + len(expected))


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _steps(value: object) -> set[str]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = [value]
    return {text_of(step).casefold() for step in value} if isinstance(value, list) else set()
