"""What the promotion rule and the rollback detector do on invented streams, by the product's own statistics.

Units are judged pairs. Chances without ties are exact (dynamic programming over the number of wins); all else is
simulated with fixed seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from becas_ft.evidence.decision import Rule, promotes
from becas_ft.evidence.detector import ROLL_BACK_AT, log_e_paths
from becas_ft.evidence.spending import threshold_of_version

FIRST_LOOK = 100
NAIVE_LEVEL = 0.05
# Of the chance of a number of wins: over all looks less than a billionth is left out.
_NEGLIGIBLE = 1e-16
# (wins, losses, pairs) → whether a look promotes, elementwise.
Look = Callable[[NDArray[np.int_], NDArray[np.int_], NDArray[np.int_]], NDArray[np.bool_]]


def naive(wins: NDArray[np.int_], losses: NDArray[np.int_], pairs: NDArray[np.int_]) -> NDArray[np.bool_]:
    """A test for a fixed sample, looked at again and again: one-sided binomial, p < .05."""
    decisive = wins + losses
    p_values = stats.binom.sf(wins - 1, decisive, 0.5)
    return np.asarray((pairs >= FIRST_LOOK) & (p_values < NAIVE_LEVEL))


def evidence(threshold: float) -> Look:
    """The rule of the product: 65 % of the decisive pairs won, and an e-value."""
    return partial(promotes, rule=Rule(threshold=threshold))


win_rate_only = evidence(np.finfo(float).tiny)
"""The gate without evidence."""
product = evidence(threshold_of_version(1))
"""What the product asks of the first version of a category."""


def chance_to_promote(look: Look, win_rate: float, longest: int) -> NDArray[np.float64]:
    """Chance that a look at any pair up to the n-th has promoted, n = 1 … longest; no ties, exact."""
    undecided = np.ones(1)
    promoted = np.zeros(longest)
    for pairs in range(1, longest + 1):
        grown = np.zeros(pairs + 1)
        grown[1:] += undecided * win_rate
        grown[:-1] += undecided * (1 - win_rate)
        wins = np.flatnonzero(grown > _NEGLIGIBLE)
        stops = np.zeros(pairs + 1, dtype=np.bool_)
        stops[wins] = look(wins, pairs - wins, np.full(wins.size, pairs))
        promoted[pairs - 1] = grown[stops].sum()
        undecided = np.where(stops, 0.0, grown)
    return np.cumsum(promoted)


def share_promoted(look: Look, win_rate: float, ties: float, longest: int, *, runs: int, every: int) -> float:
    """Share of simulated trials that a look at every so many pairs promotes, among pairs of which some are ties."""
    random = np.random.default_rng(20)
    drawn = random.random((runs, longest))
    won, decisive = drawn < (1 - ties) * win_rate, drawn < 1 - ties
    wins = np.cumsum(won, axis=1, dtype=np.int_)[:, every - 1 :: every]
    losses = np.cumsum(decisive & ~won, axis=1, dtype=np.int_)[:, every - 1 :: every]
    pairs = np.broadcast_to(np.arange(every, longest + 1, every), wins.shape)
    return float(look(wins, losses, pairs).any(axis=1).mean())


@dataclass(frozen=True)
class Delay:
    """Pairs from the moment that a promoted model turned worse to its rollback; NaN where none came.

    Attributes:
        loss_rate: share of the decisive pairs that the old model wins.
        quartiles: a quarter, half and three quarters of the runs had been rolled back by then.
    """

    loss_rate: float
    quartiles: tuple[float, float, float]


def delay_to_rollback(loss_rate: float, *, ties: float = 0.8, longest: int = 4000, runs: int = 300) -> Delay:
    """Simulate streams of a model that is worse from the first pair on."""
    random = np.random.default_rng(21)
    decisive = random.random((runs, longest)) >= ties
    worse = np.where(random.random((runs, longest)) < loss_rate, 1, -1)
    alarmed = log_e_paths(np.where(decisive, worse, 0)) >= np.log(ROLL_BACK_AT)
    pairs = np.where(alarmed.any(axis=1), alarmed.argmax(axis=1) + 1.0, np.inf)
    low, middle, high = np.quantile(pairs, (0.25, 0.5, 0.75), method="inverted_cdf")
    return Delay(loss_rate, (float(low), float(middle), float(high)))
