"""E-CUSUM detector: finds after a promotion that the new model is worse than its predecessor.

For each stake the wealth is multiplied by 1 + stake * y, with y = 1 for a pair that only the predecessor got
right, -1 for the reverse and 0 for a tie, and starts again at 1 whenever it has fallen below. While the
promoted model is not the worse one, the mean over the stakes reaches A after at least A pairs on average,
whatever the dependence between pairs.

Source: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", arXiv
2203.03532.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from becas_ft.evidence.eprocess import log_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    """All that the detector remembers, in plain numbers, to be stored beside the outcome that changed it.

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


def update(state: DetectorState, outcome: int) -> DetectorState:
    """Take one judged pair in.

    1 where only the predecessor was right, -1 where only the new model was, 0 for a tie.
    """
    _check(np.asarray(outcome))
    log_wealth = tuple(
        max(wealth, 0.0) + math.log1p(stake * outcome) for wealth, stake in zip(state.log_wealth, STAKES, strict=True)
    )
    after = DetectorState(state.pairs + 1, log_wealth, state.log_peak)
    return DetectorState(after.pairs, log_wealth, max(state.log_peak, after.log_e))


def replay(outcomes: Iterable[int]) -> DetectorState:
    """State after all outcomes since the promotion, in the order of their labels.

    The same bits as one `update` after the other.
    """
    state = DetectorState()
    for outcome in outcomes:
        state = update(state, outcome)
    return state


def log_e_paths(outcomes: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the mean wealth after each outcome.

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
