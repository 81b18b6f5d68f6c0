"""Confidence sequences: intervals that hold at all times together, for a win rate or a difference.

Sources: Howard, Ramdas, McAuliffe, Sekhon, arXiv 1810.08240 (normal and beta-binomial mixtures);
Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences", arXiv 2103.06476, Proposition 2.5; Waudby-Smith and Ramdas, arXiv 2010.09686 (hedged betting).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

# Its subpackages are imported at their first use: `stats` and `optimize` take a second.
import scipy
from scipy import special

from becas_ft.evidence.eprocess import intrinsic_time_scale, log_e_value, log_mean, mixture_of_variance
from becas_ft.evidence.intervals import Interval

if TYPE_CHECKING:
    from collections.abc import Callable

STAKES = np.geomspace(0.005, 0.95, 32)
"""Shares of the largest possible bet; small ones suit tests in which nearly all pairs are ties."""
EDGE = 1e-12


def normal_mixture_log_e(total: float, variance: float, rho: float, *, one_sided: bool = False) -> float:
    """Logarithm of the normal mixture supermartingale at a centred sum and its intrinsic time."""
    spread = variance + rho
    log_e = 0.5 * math.log(rho / spread) + total * total / (2 * spread)
    if one_sided:
        log_e += math.log(2) + float(special.log_ndtr(total / math.sqrt(spread)))
    return log_e


def normal_mixture_bound(variance: float, alpha: float, rho: float, *, one_sided: bool = False) -> float:
    """Centred sum that is ever exceeded with probability at most `alpha`, at one intrinsic time."""
    two_sided = math.sqrt((variance + rho) * (math.log1p(variance / rho) - 2 * math.log(alpha)))
    if not one_sided:
        return two_sided

    def excess(total: float) -> float:
        return normal_mixture_log_e(total, variance, rho, one_sided=True) + math.log(alpha)

    return _root(excess, 0.0, two_sided)


def tuned_normal_scale(variance: float, alpha: float, *, one_sided: bool = False) -> float:
    """Scale rho at which the normal mixture is tightest for an intrinsic time."""
    return intrinsic_time_scale(variance, 2 * alpha if one_sided else alpha)


def win_rate_interval(wins: int, decisive: int, *, alpha: float = 0.05, horizon: float = 100) -> Interval:
    """Win rate over decisive pairs, or any share of yes-no outcomes, valid at every look.

    All rates whose two-sided beta-binomial mixture stays below 1/alpha; tightest near `horizon` outcomes.
    Without outcomes (0, 1).
    """
    if not 0 <= wins <= decisive:
        raise ValueError(f"wins must lie between 0 and the number of decisive pairs: {wins} of {decisive}")
    if decisive == 0:
        return Interval(math.nan, 0.0, 1.0)
    threshold = -math.log(alpha)

    def excess(rate: float) -> float:
        mixture = mixture_of_variance(horizon * rate * (1 - rate), 0.05, rate, one_sided=False)
        return log_e_value(wins, decisive - wins, null=rate, mixture=mixture, one_sided=False) - threshold

    seen = wins / decisive
    lower = 0.0 if wins == 0 or excess(EDGE) <= 0 else _root(excess, EDGE, seen if seen < 1 else 1 - EDGE)
    upper = 1.0 if wins == decisive or excess(1 - EDGE) <= 0 else _root(excess, seen if seen > 0 else EDGE, 1 - EDGE)
    return Interval(seen, lower, upper)


def accuracy_difference_interval(wins: int, losses: int, ties: int, *, alpha: float = 0.05) -> Interval:
    """Candidate's accuracy minus the base's, valid at every look and for every sample size.

    The mean of pairs worth 1, -1 and 0, by two betting supermartingales of alpha/2 each: one bets that the
    mean is above m, one that it is below. Stakes are a fixed grid, so that only the counts matter. Each is
    monotone in m, which makes the set an interval.
    """
    pairs = wins + losses + ties
    if min(wins, losses, ties) < 0:
        raise ValueError("wins, losses and ties must not be negative")
    if pairs == 0:
        return Interval(math.nan, -1.0, 1.0)
    threshold = math.log(2 / alpha)

    def above(mean: float, gains: int, falls: int) -> float:
        log_wealth = gains * np.log1p(STAKES * (1 - mean) / (1 + mean)) + falls * np.log1p(-STAKES)
        log_wealth = log_wealth + ties * np.log1p(-STAKES * mean / (1 + mean))
        return float(log_mean(log_wealth)) - threshold

    def limit(gains: int, falls: int) -> float:
        if above(EDGE - 1, gains, falls) <= 0:
            return -1.0
        return _root(lambda mean: above(mean, gains, falls), EDGE - 1, 1 - EDGE)

    return Interval((wins - losses) / pairs, limit(wins, losses), -limit(losses, wins))


def asymptotic_scale(alpha: float, horizon: float) -> float:
    """Scale rho at which the asymptotic confidence sequence is tightest near a time of `horizon`."""
    doubled = -2 * math.log(alpha)
    return math.sqrt((doubled + math.log(doubled) + 1) / horizon)


def asymptotic_half_width(variance: float, count: int, *, alpha: float = 0.05, rho: float | None = None) -> float:
    """Half of the width of an asymptotic confidence sequence for a mean, in the unit of the mean.

    Valid at every look once the normal approximation is good, which takes some dozens of values; `variance`
    is the sample's.
    """
    if count <= 0:
        return math.inf
    scale = asymptotic_scale(alpha, 100) if rho is None else rho
    time = count * variance * scale * scale + 1
    return math.sqrt(time / (count * scale) ** 2 * math.log(time / (alpha * alpha)))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-12))
