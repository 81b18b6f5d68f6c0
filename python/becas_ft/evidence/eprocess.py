"""Paired e-process: evidence, valid at every look, that the candidate wins more than it loses.

A pair is a win (only the candidate is right), a loss (only the base is right) or a tie. The null hypothesis
is composite: whatever came before, a decisive pair is a win with probability at most `null`. Mixing the
likelihood ratio over a beta density restricted to win rates above `null` gives a supermartingale that starts
at 1, so that by Ville's inequality it ever reaches 1/alpha with probability at most alpha, however often one
looks. A tie multiplies by 1. The value depends on the counts alone, not on their order.

Sources: Robbins (1970); Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", arXiv 1810.08240, Propositions 7 and 8; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic
statistics and safe anytime-valid inference", arXiv 2210.01948.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EVEN = 0.5
"""The null of equal models: a decisive pair is as likely a loss as a win."""
STRICT = 0.65
"""The null of the strict mode: the candidate does not truly win 65 % of the decisive pairs."""
LONGEST_FORECAST = 100_000
"""Decisive pairs beyond which a forecast is no help to anyone."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Beta density over the win rate (parameters above 0): where the e-process is quickest."""

    wins: float
    losses: float


UNIFORM = Mixture(1.0, 1.0)


def intrinsic_time_scale(variance: float, alpha: float) -> float:
    """Scale rho at which a two-sided normal mixture is tightest (arXiv 1810.08240, tuning of boundaries)."""
    doubled = 2 * math.log(1 / alpha)
    return variance / (doubled + math.log1p(doubled))


def mixture_of_variance(variance: float, alpha: float, null: float, *, one_sided: bool = True) -> Mixture:
    """Mixture that is tightest at an intrinsic time, which is decisive pairs times null times (1 - null).

    The floor keeps both parameters positive for short horizons.
    """
    spread = null * (1 - null)
    rho = intrinsic_time_scale(variance, 2 * alpha if one_sided else alpha)
    scale = max(rho - spread, 1e-3 * spread)
    return Mixture(scale / (1 - null), scale / null)


def tuned(horizon: float, *, alpha: float = 0.05, null: float = EVEN) -> Mixture:
    """Mixture that is quickest when about `horizon` decisive pairs are expected."""
    return mixture_of_variance(horizon * null * (1 - null), alpha, null)


def log_e_values(
    wins: ArrayLike,
    losses: ArrayLike,
    *,
    null: float = EVEN,
    mixture: Mixture = UNIFORM,
    one_sided: bool = True,
) -> NDArray[np.float64]:
    """Natural logarithms of the e-values, of the broadcast shape of `wins` and `losses`.

    Counts may be fractional.     With `one_sided` false the evidence is against a win rate of exactly `null`,
    from either side.
    """
    won = np.asarray(wins, dtype=np.float64)
    lost = np.asarray(losses, dtype=np.float64)
    if np.any(won < 0) or np.any(lost < 0):
        raise ValueError("wins and losses must not be negative")
    if not 0 < null < 1:
        raise ValueError(f"null must lie between 0 and 1: {null}")
    first, second = mixture.wins, mixture.losses
    log_e = special.betaln(first + won, second + lost) - special.betaln(first, second)
    log_e = log_e - won * math.log(null) - lost * math.log1p(-null)
    if one_sided:
        log_e = log_e + log_beta_survival(null, first + won, second + lost) - log_beta_survival(null, first, second)
    return np.asarray(log_e, dtype=np.float64)


def log_e_value(
    wins: float,
    losses: float,
    *,
    null: float = EVEN,
    mixture: Mixture = UNIFORM,
    one_sided: bool = True,
) -> float:
    """Natural logarithm of the e-value of one pair of counts."""
    return float(log_e_values(wins, losses, null=null, mixture=mixture, one_sided=one_sided))


def futility_log_e(wins: float, losses: float, *, mixture: Mixture = UNIFORM) -> float:
    """Logarithm of the evidence for the opposite: that the candidate loses more than it wins."""
    return log_e_value(losses, wins, mixture=mixture)


def p_value(log_e_path: ArrayLike) -> float:
    """Always-valid p-value of a path of log e-values: 1 over the largest e-value so far, at most 1."""
    path = np.asarray(log_e_path, dtype=np.float64)
    return math.exp(-max(0.0, float(path.max()))) if path.size else 1.0


def fewest_wins(decisive: int, threshold: float, *, null: float = EVEN, mixture: Mixture = UNIFORM) -> int | None:
    """Fewest wins among `decisive` pairs that reach `threshold`; None where even all do not."""
    wins = np.arange(decisive + 1)
    enough = log_e_values(wins, decisive - wins, null=null, mixture=mixture) >= math.log(threshold)
    return int(np.argmax(enough)) if enough.any() else None


def further_decisive(
    wins: int,
    losses: int,
    threshold: float,
    *,
    null: float = EVEN,
    mixture: Mixture = UNIFORM,
) -> int | None:
    """How many more decisive pairs, won at the rate seen so far, would bring the e-value to `threshold`.

    None where the rate seen leads nowhere: nothing decisive yet, a rate not above `null`, or more than
    100,000 pairs away.
    """
    decisive = wins + losses
    if decisive == 0 or wins <= null * decisive:
        return None
    goal = math.log(threshold)
    rate = wins / decisive
    near, step = 0, 1024
    # Blocks, because the curve may fall before it rises and so cannot be bisected.
    while near <= LONGEST_FORECAST:
        more = np.arange(near, near + step)
        reached = log_e_values(wins + more * rate, losses + more * (1 - rate), null=null, mixture=mixture) >= goal
        if reached.any():
            return near + int(np.argmax(reached))
        near += step
    return None


def log_mean(log_values: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the mean along the last axis: the value of a mixture of bets; exactly 0 where all are 0."""
    values = np.asarray(log_values, dtype=np.float64)
    largest = values.max(axis=-1, keepdims=True)
    mean = np.log(np.exp(values - largest).mean(axis=-1)) + largest[..., 0]
    return np.asarray(mean, dtype=np.float64)


def log_beta_survival(point: float, first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of P(Beta(first, second) > point), finite far out in the tail.

    scipy's own `beta.logsf` takes the logarithm of a number that underflows after some thousand losses. There
    the series I_y(b, a) = y^b (1-y)^a / (b B(a, b)) * sum of prod((a+b+i) y / (b+1+i)) takes over (Abramowitz
    and Stegun, 26.5.4).
    """
    a, b = np.broadcast_arrays(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    survival = np.asarray(special.betaincc(a, b, point), dtype=np.float64)
    tail = survival < 1e-290  # noqa: PLR2004 - below it the digits of a double begin to go
    with np.errstate(divide="ignore"):
        log_survival = np.log(survival)
    if tail.any():
        log_survival = np.where(
            tail, _log_beta_tail(point, np.where(tail, a, 1.0), np.where(tail, b, 1e4)), log_survival
        )
    return np.asarray(log_survival, dtype=np.float64)


def _log_beta_tail(point: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    term = np.ones_like(a)
    total = np.ones_like(a)
    index = 0
    while np.any(term > total * 1e-17):
        term = term * (a + b + index) * (1 - point) / (b + 1 + index)
        total = total + term
        index += 1
    head = b * math.log1p(-point) + a * math.log(point) - np.log(b) - special.betaln(a, b)
    return np.asarray(head + np.log(total), dtype=np.float64)
