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

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from becas_ft.evidence.eprocess import EVEN, log_mean

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

STAKES = np.arange(1, 20) / 20
"""Shares of the wealth put on the first disagreement of a cluster; the e-value is the mean over them."""


def capped_log_e(scores: Sequence[int], clusters: Sequence[Hashable], *, null: float = EVEN) -> float:
    """Logarithm of the cluster-capped e-value after all judged disagreements; arguments as for the path."""
    path = capped_log_e_path(scores, clusters, null=null)
    return float(path[-1]) if path.size else 0.0


def capped_log_e_path(
    scores: Sequence[int], clusters: Sequence[Hashable], *, null: float = EVEN
) -> NDArray[np.float64]:
    """Logarithm of the cluster-capped e-value after each judged disagreement.

    Args:
        scores: 1 for a win, -1 for a loss, 0 for a disagreement that is a tie, in the order of their first labels.
        clusters: The cluster of each disagreement. Only the order within a cluster matters to the last value.
        null: Largest win rate of the null hypothesis.
    """
    if len(scores) != len(clusters):
        raise ValueError(f"one cluster for each score: {len(scores)} scores, {len(clusters)} clusters")
    outcome = np.asarray(scores, dtype=np.int_)
    payoffs = np.where(outcome > 0, (1 - null) / null, np.where(outcome < 0, -1.0, 0.0))
    bets = payoffs / np.array(_ranks(clusters), dtype=np.float64) ** 2
    return log_mean(np.cumsum(np.log1p(np.outer(bets, STAKES)), axis=0))


def _ranks(clusters: Iterable[Hashable]) -> list[int]:
    """Running number of each disagreement within its cluster, from 1."""
    seen: Counter[Hashable] = Counter()
    ranks = []
    for cluster in clusters:
        seen[cluster] += 1
        ranks.append(seen[cluster])
    return ranks
