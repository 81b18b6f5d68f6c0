"""The rule that turns a standing into a recommendation, fixed before the first pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from becas_ft.evidence.clusters import further_clusters
from becas_ft.evidence.eprocess import EVEN, UNIFORM, Mixture, further_decisive, log_e_values

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from becas_ft.evidence.pairs import Summary


class Recommendation(StrEnum):
    """What a report advises."""

    PROMOTE_B = "promote_B"
    KEEP_A = "keep_A"
    NEED_MORE_DATA = "need_more_data"


@dataclass(frozen=True, slots=True)
class Rule:
    """When the evidence is enough.

    Attributes:
        threshold: E-value needed, 1 / alpha of the version (`spending.threshold_of_version`).
        minimum_pairs: Judged pairs needed, ties among them.
        minimum_win_rate: Share of the decisive pairs that the candidate must have won.
        futility_threshold: E-value of the opposite at which the base is kept.
        maximum_pairs: Judged pairs after which an undecided trial keeps the base; None for no such end.
        null: Win rate that the evidence speaks against: .5, or .65 in the strict mode.
        mixture: Density over win rates.
    """

    threshold: float = 20.0
    minimum_pairs: int = 100
    minimum_win_rate: float = 0.65
    futility_threshold: float = 20.0
    maximum_pairs: int | None = None
    null: float = EVEN
    mixture: Mixture = UNIFORM


def promotes(wins: ArrayLike, losses: ArrayLike, pairs: ArrayLike, rule: Rule) -> NDArray[np.bool_]:
    """Whether counts alone satisfy the rule, element by element, without the cluster cap."""
    won, lost, judged = np.broadcast_arrays(wins, losses, pairs)
    passes = np.asarray(
        (judged >= rule.minimum_pairs) & (won + lost > 0) & (won >= rule.minimum_win_rate * (won + lost))
    )
    passes[passes] = log_e_values(won[passes], lost[passes], null=rule.null, mixture=rule.mixture) >= math.log(
        rule.threshold
    )
    return passes


def recommend(summary: Summary, rule: Rule) -> Recommendation:
    """Promote on enough evidence, keep on futility or at the end of the trial, else go on."""
    standing = summary.standing
    if bool(promotes(standing.wins, standing.losses, standing.judged, rule)) and standing.log_e >= math.log(
        rule.threshold
    ):
        return Recommendation.PROMOTE_B
    ended = rule.maximum_pairs is not None and standing.judged >= rule.maximum_pairs
    if ended or summary.futility_log_e >= math.log(rule.futility_threshold):
        return Recommendation.KEEP_A
    return Recommendation.NEED_MORE_DATA


def further_disagreements(summary: Summary, rule: Rule) -> int | None:
    """How many more judged disagreements it would take at the win rate seen so far, each of another user.

    Both e-values count, the plain and the capped one. Before the first decisive pair the rate is taken to be 1: no test
    can need fewer. None where the rate does not lead there.
    """
    standing = summary.standing
    if not standing.decisive:
        return _both(1 + standing.wins, 0, summary.log_wealth, 1.0, rule, taken=1)
    if standing.wins < rule.minimum_win_rate * standing.decisive:
        return None
    return _both(standing.wins, standing.losses, summary.log_wealth, standing.win_rate, rule)


def _both(wins: int, losses: int, log_wealth: ArrayLike, win_rate: float, rule: Rule, *, taken: int = 0) -> int | None:
    plain = further_decisive(wins, losses, rule.threshold, null=rule.null, mixture=rule.mixture)
    capped = further_clusters(log_wealth, win_rate, rule.threshold, null=rule.null)
    return None if plain is None or capped is None else max(plain + taken, capped)
