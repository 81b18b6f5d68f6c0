"""The independent scorer agrees with what was computed by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.scorer import expected

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = sorted(path.stem for path in (GOLDEN / "events").glob("*.json"))


def _read(folder: str, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / folder / f"{kind}.json").read_text(encoding="utf-8"))
    return content


def _violation(confidence: float, evidence: dict[str, object]) -> dict[str, Any]:
    return {
        "eventName": "violation.detected",
        "metadata": {"eventId": "e"},
        "payload": {"violationType": "spam", "confidence": confidence, "evidence": "buy now"},
        "evidence": evidence,
    }


def test_every_kind_has_a_golden_event() -> None:
    """Sixteen kinds and custom.example."""
    assert len(KINDS) == 17


@pytest.mark.parametrize("kind", KINDS)
def test_golden_scores_are_the_scorers(kind: str) -> None:
    """Category, score, tier and outcome of each golden example come out of the scorer too."""
    golden = _read("examples", kind)

    actual = expected(_read("events", kind))

    assert (golden["category"], golden["score"], golden["tier"], golden["outcome"], False, False) == (
        actual.category,
        actual.score,
        actual.tier,
        actual.outcome,
        actual.rejected,
        actual.invalid,
    )


@pytest.mark.parametrize(
    ("confidence", "score", "tier", "rejected"),
    [
        (0.8569, "0.5999", "reject", True),
        (0.8570, "0.6000", "bronze", False),
        (0.8573, "0.6001", "bronze", False),
        (0.000_05, "0.1500", "reject", True),
        (0.799_95, "0.5800", "reject", True),
    ],
)
def test_edges_by_hand(confidence: float, score: str, tier: str, *, rejected: bool) -> None:
    """One point either side of bronze; .79995 reads .8000 and is a success."""
    actual = expected(_violation(confidence, {"reasoning": "é" * 50}))

    assert (score, tier, rejected) == (actual.score, actual.tier, actual.rejected)


@pytest.mark.parametrize("confidence", [-0.0001, 1.0001, float("nan"), float("inf")])
def test_a_confidence_outside_of_its_range_is_invalid(confidence: float) -> None:
    """Neither the payload's own nor evidence's may lie outside of 0 to 1."""
    assert expected(_violation(confidence, {})).invalid
    assert expected(_violation(0.5, {"confidence": confidence})).invalid
