"""Intervals of a fixed sample size for one share and for the difference of two paired shares.

They describe a sample that was fixed beforehand; for looks at a running test `sequence` has intervals that
stay valid.

Sources: Wilson (1927); Newcombe, "Improved confidence intervals for the difference between binomial
proportions based on paired data", Statistics in Medicine 17 (1998), method 10; Tango, "Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", Statistics in Medicine 17
(1998).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Its subpackages are imported at their first use: `stats` and `optimize` take a second.
import scipy
from scipy import special


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate (NaN where there is nothing to estimate from) and the limits of its interval."""

    estimate: float
    lower: float
    upper: float


def wilson(successes: float, trials: float, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a share; (0, 1) without trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie between 0 and the trials: {successes} of {trials}")
    if trials == 0:
        return Interval(math.nan, 0.0, 1.0)
    z = _quantile(confidence)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    lower = 0.0 if successes == 0 else max(0.0, centre - half)
    upper = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(share, lower, upper)


def newcombe_paired(
    both: float,
    first_only: float,
    second_only: float,
    neither: float,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Difference of two paired shares, first minus second, by Newcombe's square-and-add with corrected phi.

    The four counts are the pairs in which both, only the first, only the second, or neither succeeded; they
    may be fractional.
    """
    pairs = both + first_only + second_only + neither
    if min(both, first_only, second_only, neither) < 0:
        raise ValueError("counts must not be negative")
    if pairs == 0:
        return Interval(math.nan, -1.0, 1.0)
    first = wilson(both + first_only, pairs, confidence=confidence)
    second = wilson(both + second_only, pairs, confidence=confidence)
    phi = _corrected_phi(both, first_only, second_only, neither)
    difference = (first_only - second_only) / pairs
    below = _square_and_add(first.estimate - first.lower, second.upper - second.estimate, phi)
    above = _square_and_add(first.upper - first.estimate, second.estimate - second.lower, phi)
    return Interval(difference, max(-1.0, difference - below), min(1.0, difference + above))


def tango(first_only: float, second_only: float, pairs: float, *, confidence: float = 0.95) -> Interval:
    """Difference of two paired shares, first minus second, by Tango's score method.

    Of the concordant pairs only the number matters.
    """
    if min(first_only, second_only) < 0 or first_only + second_only > pairs:
        raise ValueError("the discordant pairs must not be negative nor more than all pairs")
    if pairs == 0:
        return Interval(math.nan, -1.0, 1.0)
    z = _quantile(confidence)
    difference = (first_only - second_only) / pairs

    def score(delta: float) -> float:
        linear = -first_only - second_only + (2 * pairs - first_only + second_only) * delta
        constant = -second_only * delta * (1 - delta)
        cell = (math.sqrt(max(0.0, linear * linear - 8 * pairs * constant)) - linear) / (4 * pairs)
        variance = pairs * (2 * cell + delta * (1 - delta))
        return (first_only - second_only - pairs * delta) / math.sqrt(max(variance, 1e-300))

    edge = 1 - 1e-12
    lower = -1.0 if score(-edge) <= z else float(scipy.optimize.brentq(lambda d: score(d) - z, -edge, edge, xtol=1e-12))
    upper = 1.0 if score(edge) >= -z else float(scipy.optimize.brentq(lambda d: score(d) + z, -edge, edge, xtol=1e-12))
    return Interval(difference, lower, upper)


def _corrected_phi(both: float, first_only: float, second_only: float, neither: float) -> float:
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if margins == 0:
        return 0.0
    surplus = both * neither - first_only * second_only
    if surplus > 0:
        surplus = max(surplus - (both + first_only + second_only + neither) / 2, 0.0)
    return surplus / math.sqrt(margins)


def _square_and_add(first: float, second: float, phi: float) -> float:
    return math.sqrt(max(0.0, first * first - 2 * phi * first * second + second * second))


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1: {confidence}")
    return float(special.ndtri(0.5 + confidence / 2))
