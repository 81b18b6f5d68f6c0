"""Decides whether a category has what a training needs, and says what it lacks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """What a training needs.

    Arguments:
        gold: gold examples.
        total: examples of any tier.
        mean_quality: mean score, 0 to 1.
        new_gold: gold examples since the last training, or
        days: days since the last training.
    """

    gold: int = 500
    total: int = 2_000
    mean_quality: float = 0.85
    new_gold: int = 500
    days: float = 30.0


@dataclass(frozen=True)
class Progress:
    """What a category has.

    Arguments:
        gold: gold examples stored.
        total: examples stored.
        mean_quality: mean score, 0 to 1.
        gold_ever: gold examples ever added.
        job_in_flight: id of a running job; empty where there is none.
        gold_ever_at_training: `gold_ever` when the last training began; None where there was none.
        days_since_training: days since the last training began.
    """

    gold: int
    total: int
    mean_quality: float
    gold_ever: int
    job_in_flight: str = ""
    gold_ever_at_training: int | None = None
    days_since_training: float = 0.0


def lacks(progress: Progress, thresholds: Thresholds) -> list[str]:
    """What is missing, in words with the counts; empty when a training may start."""
    missing = []
    if progress.gold < thresholds.gold:
        missing.append(f"{progress.gold:,} of {thresholds.gold:,} gold examples")
    if progress.total < thresholds.total:
        missing.append(f"{progress.total:,} of {thresholds.total:,} examples")
    if progress.mean_quality < thresholds.mean_quality:
        missing.append(f"mean quality {progress.mean_quality:.4f} of {thresholds.mean_quality:.4f}")
    if progress.job_in_flight:
        missing.append(f"job {progress.job_in_flight} is in flight")
    if progress.gold_ever_at_training is not None:
        new = progress.gold_ever - progress.gold_ever_at_training
        if new < thresholds.new_gold and progress.days_since_training < thresholds.days:
            missing.append(
                f"{new:,} of {thresholds.new_gold:,} new gold examples since the last training, "
                f"or {progress.days_since_training:.1f} of {thresholds.days:.0f} days"
            )
    return missing
