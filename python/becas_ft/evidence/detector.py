"""E-CUSUM detector: finds after a promotion that the new model is worse than its predecessor.

For each stake the wealth is multiplied by 1 + stake * y / k^2, with y = 1 for a pair that only the predecessor got
right, -1 for the reverse and 0 for a tie, and k the running number of decisive pairs of the same cluster, so that no
single user rolls back a model. It starts again at 1 whenever it has fallen below, and the clusters with it: whoever
spoke long ago may speak again. As k is known before the label is, each start begins an e-process, and while the
promoted model is not the worse one, the mean over the stakes reaches A after at least A pairs on average, whatever the
dependence between pairs.

Source: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", arXiv
2203.03532.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from becas_ft.evidence.eprocess import log_mean

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from numpy.typing import ArrayLike, NDArray

STAKES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6)
WARN_AT = 1e3
ROLL_BACK_AT = 1e4


class Alarm(StrEnum):
    """What the detector asks for."""

    NONE = "none"
    WARN = "warn"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class DetectorState:
    """Where the detector stands after some pairs.

    Attributes:
        pairs: Judged pairs seen, ties among them.
        log_wealth: Logarithm of the wealth for each stake.
        log_peak: Largest logarithm of their mean so far; an alarm stays until a new state is begun.
    """

    pairs: int = 0
    log_wealth: tuple[float, ...] = (0.0,) * len(STAKES)
    log_peak: float = 0.0

    @property
    def log_e(self) -> float:
        """Logarithm of the mean wealth now."""
        return float(log_mean(self.log_wealth))

    def alarm(self, *, warn_at: float = WARN_AT, roll_back_at: float = ROLL_BACK_AT) -> Alarm:
        """What the evidence asks for; a threshold is the least mean number of pairs to a false alarm."""
        if self.log_peak >= math.log(roll_back_at):
            return Alarm.ROLL_BACK
        return Alarm.WARN if self.log_peak >= math.log(warn_at) else Alarm.NONE


def replay(outcomes: Iterable[int], clusters: Iterable[Hashable] | None = None) -> DetectorState:
    """State after all outcomes since the promotion, in the order of their labels.

    Args:
        outcomes: 1 where only the predecessor was right, -1 where only the new model was, 0 for a tie.
        clusters: Those that share a stake, as `pairs.Pair.cluster`; None, as a whole or for a pair, is nobody else.
    """
    judged = list(outcomes)
    _check(np.asarray(judged, dtype=np.int_))
    theirs = repeat(None, len(judged)) if clusters is None else clusters
    wealth, peak = [0.0] * len(STAKES), 0.0
    heard: list[Counter[Hashable]] = [Counter() for _ in STAKES]
    for outcome, cluster in zip(judged, theirs, strict=True):
        for place, stake in enumerate(STAKES):
            if wealth[place] < 0:
                wealth[place] = 0.0
                heard[place].clear()
            if outcome:
                heard[place][cluster] += 1
                rank = heard[place][cluster] if cluster is not None else 1
                wealth[place] += math.log1p(stake * outcome / rank**2)
        if outcome:
            peak = max(peak, float(log_mean(wealth)))
    return DetectorState(len(judged), tuple(wealth), peak)


def log_e_paths(outcomes: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the mean wealth after each outcome, each pair of another cluster.

    Pairs run along the last axis, other axes are separate streams.
    """
    worse = np.asarray(outcomes)
    _check(worse)
    stakes = np.asarray(STAKES)
    changes = np.stack([np.log1p(-stakes), np.zeros_like(stakes), np.log1p(stakes)])
    wealth = np.zeros((*worse.shape[:-1], stakes.size))
    paths = np.empty(worse.shape)
    for pair in range(worse.shape[-1]):
        wealth = np.maximum(wealth, 0.0) + changes[worse[..., pair] + 1]
        paths[..., pair] = log_mean(wealth)
    return paths


def _check(outcomes: NDArray[np.int_]) -> None:
    if not np.isin(outcomes, (-1, 0, 1)).all():
        raise ValueError("an outcome is 1, 0 or -1")
