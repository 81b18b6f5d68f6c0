"""Latency of two models on the same requests: paired shift, quantiles, and a sequential guardrail.

Sources: Hollander, Wolfe, Chicken, "Nonparametric Statistical Methods", chapter 3 (Hodges-Lehmann and signed
ranks); Conover, "Practical Nonparametric Statistics", section 3.2 (quantiles).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

# Its subpackages are imported at their first use: `stats` and `optimize` take a second.
import scipy
from scipy import special

from becas_ft.evidence.eprocess import EVEN, log_e_value
from becas_ft.evidence.intervals import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EXACT_UP_TO = 200
"""Differences up to which the signed-rank distribution is counted out instead of approximated."""


def hodges_lehmann(differences: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Median of all averages of two differences, with the interval that inverts the signed-rank test.

    For latencies use differences of logarithms: exp of the estimate is then the typical ratio. Time O(n log
    n), memory O(n).
    """
    ordered = np.sort(np.asarray(differences, dtype=np.float64))
    if ordered.size == 0:
        return Interval(math.nan, -math.inf, math.inf)
    averages = ordered.size * (ordered.size + 1) // 2
    lower_middle = _walsh_average(ordered, (averages + 1) // 2)
    upper_middle = _walsh_average(ordered, averages // 2 + 1)
    rank = _signed_rank_critical(ordered.size, (1 - confidence) / 2)
    if rank == 0:
        return Interval((lower_middle + upper_middle) / 2, -math.inf, math.inf)
    return Interval(
        (lower_middle + upper_middle) / 2,
        _walsh_average(ordered, rank),
        _walsh_average(ordered, averages + 1 - rank),
    )


def log_ratio(base: ArrayLike, candidate: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Typical ratio of the candidate's latency to the base's on the same requests.

    1.1 means 10 % slower; latencies are above 0.
    """
    shift = hodges_lehmann(np.log(np.asarray(candidate)) - np.log(np.asarray(base)), confidence=confidence)
    return Interval(math.exp(shift.estimate), math.exp(shift.lower), math.exp(shift.upper))


def quantile_interval(values: ArrayLike, quantile: float, *, confidence: float = 0.95) -> Interval:
    """A quantile with an interval of order statistics.

    No assumption about the distribution; limits may be infinite.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        return Interval(math.nan, -math.inf, math.inf)
    ordered = np.sort(sample)
    tail = (1 - confidence) / 2
    below = int(scipy.stats.binom.ppf(tail, sample.size, quantile))
    above = int(scipy.stats.binom.isf(tail, sample.size, quantile))
    lower = float(ordered[below - 1]) if below > 0 else -math.inf
    upper = float(ordered[above]) if above < sample.size else math.inf
    return Interval(float(np.quantile(ordered, quantile)), lower, upper)


def slower_log_e(base: ArrayLike, candidate: ArrayLike, *, margin: float = 0.1) -> float:
    """Logarithm of the evidence that the candidate is usually slower than (1 + margin) times the base."""
    within = np.asarray(candidate) <= (1 + margin) * np.asarray(base)
    return _excess_log_e(within, EVEN)


def over_budget_log_e(latencies: ArrayLike, budget: float, *, quantile: float = 0.95) -> float:
    """Logarithm of the evidence that the quantile is above the budget, in the unit of the latencies."""
    return _excess_log_e(np.asarray(latencies) <= budget, quantile)


def _excess_log_e(within: NDArray[np.bool_], promised: float) -> float:
    kept = int(np.count_nonzero(within))
    return log_e_value(within.size - kept, kept, null=1 - promised)


def _walsh_average(ordered: NDArray[np.float64], rank: int) -> float:
    """The average of that rank, counted from 1.

    Bisection over values, as there may be too many averages to list.
    """
    low, high = float(ordered[0]), float(ordered[-1])
    if _averages_up_to(ordered, low) >= rank:
        return low
    while True:
        middle = low + (high - low) / 2
        if not low < middle < high:
            return high
        if _averages_up_to(ordered, middle) >= rank:
            high = middle
        else:
            low = middle


def _averages_up_to(ordered: NDArray[np.float64], value: float) -> int:
    ordered_pairs = int(np.searchsorted(ordered, 2 * value - ordered, side="right").sum())
    return (ordered_pairs + int(np.searchsorted(ordered, value, side="right"))) // 2


def _signed_rank_critical(count: int, tail: float) -> int:
    """Largest k with P(signed-rank statistic <= k - 1) <= tail; 0 where there is none."""
    if count > EXACT_UP_TO:
        mean = count * (count + 1) / 4
        deviation = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
        return math.floor(mean + float(special.ndtri(tail)) * deviation)
    probability = np.zeros(count * (count + 1) // 2 + 1)
    probability[0] = 1.0
    for rank in range(1, count + 1):
        with_rank = np.zeros_like(probability)
        with_rank[rank:] = probability[:-rank]
        probability = (probability + with_rank) / 2
    return int(np.searchsorted(np.cumsum(probability), tail, side="right"))
