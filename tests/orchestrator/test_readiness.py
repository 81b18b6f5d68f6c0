"""Readiness is exactly the design's: 500 gold, 2,000 total, mean .85, and 500 new gold or 30 days."""

from dataclasses import replace

import pytest

from becas_ft.orchestrator.readiness import Progress, Thresholds, lacks

READY = Progress(gold=500, total=2_000, mean_quality=0.85, gold_ever=500)


def test_exactly_enough_is_ready() -> None:
    """The thresholds themselves suffice."""
    assert lacks(READY, Thresholds()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gold": 499}, "499 of 500 gold examples"),
        ({"total": 1_999}, "1,999 of 2,000 examples"),
        ({"mean_quality": 0.8499}, "mean quality 0.8499 of 0.8500"),
        ({"job_in_flight": "scam_detection-1"}, "job scam_detection-1 is in flight"),
    ],
)
def test_one_less_is_not_and_says_so(change: dict[str, object], words: str) -> None:
    """What is missing is named with its counts."""
    assert lacks(replace(READY, **change), Thresholds()) == [words]  # type: ignore[arg-type]  # by field name


@pytest.mark.parametrize(
    ("gold_ever", "days", "ready"),
    [(999, 29.9, False), (1_000, 0.0, True), (500, 30.0, True), (500, 29.99, False)],
)
def test_after_a_training_new_gold_or_time_is_needed(gold_ever: int, days: float, ready: bool) -> None:
    """500 gold since the last training, or 30 days."""
    progress = replace(READY, gold_ever=gold_ever, gold_ever_at_training=500, days_since_training=days)

    assert (lacks(progress, Thresholds()) == []) is ready
