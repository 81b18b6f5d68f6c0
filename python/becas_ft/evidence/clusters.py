"""Cluster-capped betting: a user, or a guild in one hour, has one stake, so that no single hand decides a test.

The k-th judged disagreement of a cluster multiplies the wealth by 1 + stake * payoff / k^2. A win pays (1 - null) /
null, a loss -1, a tie 0; under the null each payoff has an expectation of at most 0 given what came before. As k is
known before the label is, the wealth is a supermartingale at every look and whatever the order in which labels
arrive, also within an hour that still runs, which averaging a cluster's payoffs would not be. Stakes are mixed over a
grid.

A cluster is a user for the whole test, which is stricter than one bet an hour: an hourly bet would let a patient user
decide after some seven hours. However many labels one user wins, the e-value grows by less than sinh(pi) / pi = 3.68
(null 1/2). Where only the guild is known, each of its hours is a cluster.

Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", arXiv 2010.09686
(predictable stakes, diversified betting).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from becas_ft.evidence.eprocess import EVEN, LONGEST_FORECAST, log_mean

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

STAKES = np.arange(1, 20) / 20
"""Shares of the wealth put on the first disagreement of a cluster; the e-value is the mean over them."""


def capped_log_e(scores: Sequence[int], clusters: Sequence[Hashable], *, null: float = EVEN) -> float:
    """Logarithm of the cluster-capped e-value after all judged disagreements; arguments as for the path."""
    path = capped_log_e_path(scores, clusters, null=null)
    return float(path[-1]) if path.size else 0.0


def capped_log_wealth(
    scores: Sequence[int], clusters: Sequence[Hashable], *, null: float = EVEN
) -> NDArray[np.float64]:
    """Logarithm of the wealth for each of `STAKES` after all judged disagreements; arguments as for the path."""
    return np.asarray(_log_factors(scores, clusters, null).sum(axis=0), dtype=np.float64)


def further_clusters(
    log_wealth: ArrayLike, win_rate: float, threshold: float, *, null: float = EVEN, most: int = LONGEST_FORECAST
) -> int | None:
    """How many more disagreements, each of another cluster and won at a rate, bring the e-value to `threshold`.

    None where more than `most` would be needed.
    """
    won, lost = np.log1p((1 - null) / null * STAKES), np.log1p(-STAKES)
    step = win_rate * won + (1 - win_rate) * lost
    more = np.unique(np.geomspace(1, most + 1, 4096).astype(np.int_)) - 1
    reached = log_mean(np.asarray(log_wealth) + np.outer(more, step)) >= math.log(threshold)
    if not reached.any():
        return None
    first = int(np.argmax(reached))
    near = np.arange(more[first - 1] + 1 if first else 0, more[first] + 1)
    enough = log_mean(np.asarray(log_wealth) + np.outer(near, step)) >= math.log(threshold)
    return int(near[int(np.argmax(enough))])


def capped_log_e_path(
    scores: Sequence[int], clusters: Sequence[Hashable], *, null: float = EVEN
) -> NDArray[np.float64]:
    """Logarithm of the cluster-capped e-value after each judged disagreement.

    Args:
        scores: 1 for a win, -1 for a loss, 0 for a disagreement that is a tie, in the order of their first labels.
        clusters: The cluster of each disagreement. Only the order within a cluster matters to the last value.
        null: Largest win rate of the null hypothesis.
    """
    return log_mean(np.cumsum(_log_factors(scores, clusters, null), axis=0))


def _log_factors(scores: Sequence[int], clusters: Sequence[Hashable], null: float) -> NDArray[np.float64]:
    """By disagreement and stake, the logarithm of what it multiplies the wealth by."""
    if len(scores) != len(clusters):
        raise ValueError(f"one cluster for each score: {len(scores)} scores, {len(clusters)} clusters")
    outcome = np.asarray(scores, dtype=np.int_)
    payoffs = np.where(outcome > 0, (1 - null) / null, np.where(outcome < 0, -1.0, 0.0))
    bets = payoffs / np.array(_ranks(clusters), dtype=np.float64) ** 2
    return np.log1p(np.outer(bets, STAKES))


def _ranks(clusters: Iterable[Hashable]) -> list[int]:
    """Running number of each disagreement within its cluster, from 1."""
    seen: Counter[Hashable] = Counter()
    ranks = []
    for cluster in clusters:
        seen[cluster] += 1
        ranks.append(seen[cluster])
    return ranks
