"""Calibration of stated confidences: Brier score, expected calibration error, reliability table.

A confidence is the probability, 0 to 1, that a model gave its own answer; an outcome is whether the answer
was right. The Brier score is proper, so that its paired difference may be compared; the calibration error is
biased upwards on small samples and is shown with an interval, never decided on.

Sources: Brier (1950); Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", arXiv
1706.04599; Nixon et al., "Measuring Calibration in Deep Learning", arXiv 1904.01685 (adaptive bins).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from becas_ft.evidence.intervals import Interval
from becas_ft.evidence.sequence import asymptotic_half_width

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One row of a reliability table.

    Confidences in (lower, upper], how many, their mean, and the share that was right.
    """

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """Gaps between confidence and accuracy over the bins: mean and root mean square by count, and largest."""

    mean: float
    root_mean_square: float
    largest: float


def brier(confidences: ArrayLike, outcomes: ArrayLike) -> float:
    """Mean squared gap between confidence and outcome: 0 is perfect, .25 is a coin that knows it."""
    stated, right = _checked(confidences, outcomes)
    return float(np.mean((stated - right) ** 2)) if stated.size else math.nan


def brier_difference(
    base_confidences: ArrayLike,
    base_outcomes: ArrayLike,
    candidate_confidences: ArrayLike,
    candidate_outcomes: ArrayLike,
    *,
    alpha: float = 0.05,
) -> Interval:
    """Candidate's Brier score minus the base's on the same requests; below 0 is better.

    Valid at every look, for large samples.
    """
    base, base_right = _checked(base_confidences, base_outcomes)
    candidate, candidate_right = _checked(candidate_confidences, candidate_outcomes)
    if base.size != candidate.size:
        raise ValueError(f"paired scores need the same requests: {base.size} and {candidate.size}")
    if base.size < 2:  # noqa: PLR2004 - a variance needs two values
        return Interval(math.nan, -1.0, 1.0)
    gaps = (candidate - candidate_right) ** 2 - (base - base_right) ** 2
    half = asymptotic_half_width(float(gaps.var(ddof=1)), gaps.size, alpha=alpha)
    mean = float(gaps.mean())
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half))


def reliability_table(confidences: ArrayLike, outcomes: ArrayLike, *, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Confidence against accuracy in bins of equal width; empty ones are left out."""
    stated, right = _checked(confidences, outcomes)
    edges = np.linspace(0.0, 1.0, bins + 1)
    return _table(stated, right, edges)


def adaptive_reliability_table(
    confidences: ArrayLike, outcomes: ArrayLike, *, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """Confidence against accuracy in bins of about equal counts; equal confidences stay together."""
    stated, right = _checked(confidences, outcomes)
    if not stated.size:
        return ()
    # Whole-number arithmetic, because the rounding of a quantile's rank would move single values.
    last_of_bin = -(-stated.size * np.arange(1, bins) // bins) - 1
    inner = np.sort(stated)[np.maximum(last_of_bin, 0)]
    return _table(stated, right, np.unique(np.r_[0.0, inner, 1.0]))


def calibration_error(table: tuple[ReliabilityBin, ...]) -> CalibrationError:
    """Expected calibration error (`mean`) and its relatives; NaN from an empty table."""
    if not table:
        return CalibrationError(math.nan, math.nan, math.nan)
    counts = np.array([row.count for row in table])
    gaps = np.abs([row.confidence - row.accuracy for row in table])
    weights = counts / counts.sum()
    return CalibrationError(
        float(weights @ gaps),
        math.sqrt(float(weights @ gaps**2)),
        float(gaps.max()),
    )


def calibration_error_interval(
    confidences: ArrayLike,
    outcomes: ArrayLike,
    *,
    seed: int,
    bins: int = BINS,
    resamples: int = 500,
    confidence: float = 0.95,
) -> Interval:
    """Expected calibration error over equal bins.

    The interval is a bootstrap of percentiles, the same for the same seed.
    """
    stated, right = _checked(confidences, outcomes)
    if not stated.size:
        return Interval(math.nan, 0.0, 1.0)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.maximum(np.searchsorted(edges, stated, side="left") - 1, 0)
    gaps = stated - right
    random = np.random.default_rng(seed)
    errors = np.empty(resamples)
    for draw in range(resamples):
        chosen = random.integers(stated.size, size=stated.size)
        errors[draw] = np.abs(np.bincount(place[chosen], gaps[chosen], minlength=bins)).sum() / stated.size
    estimate = float(np.abs(np.bincount(place, gaps, minlength=bins)).sum() / stated.size)
    lower, upper = np.quantile(errors, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(lower), float(upper))


def _checked(confidences: ArrayLike, outcomes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    stated = np.asarray(confidences, dtype=np.float64)
    right = np.asarray(outcomes, dtype=np.float64)
    if stated.shape != right.shape or stated.ndim != 1:
        raise ValueError(f"one outcome for each confidence: {stated.shape} and {right.shape}")
    if not (np.all((stated >= 0) & (stated <= 1)) and np.isin(right, (0.0, 1.0)).all()):
        raise ValueError("confidences must lie between 0 and 1, and outcomes be true or false")
    return stated, right


def _table(
    stated: NDArray[np.float64],
    right: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> tuple[ReliabilityBin, ...]:
    place = np.maximum(np.searchsorted(edges, stated, side="left") - 1, 0)
    bins = edges.size - 1
    counts = np.bincount(place, minlength=bins)
    confidence = np.bincount(place, stated, minlength=bins)
    accuracy = np.bincount(place, right, minlength=bins)
    return tuple(
        ReliabilityBin(
            float(edges[row]),
            float(edges[row + 1]),
            int(counts[row]),
            float(confidence[row] / counts[row]),
            float(accuracy[row] / counts[row]),
        )
        for row in np.flatnonzero(counts)
    )
