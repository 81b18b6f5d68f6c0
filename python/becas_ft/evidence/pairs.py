"""Stored pairs, and the summary that recomputes the whole evidence from them.

Counts, e-values and intervals depend on the pairs alone, not on the order in which they are given; only the
always-valid p-value and the paths follow the order of `resolved`. Correcting a label is replacing its pair
and summing up again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from becas_ft.evidence.clusters import capped_log_e, capped_log_e_path, capped_log_wealth
from becas_ft.evidence.eprocess import (
    EVEN,
    UNIFORM,
    Mixture,
    futility_log_e,
    log_e_value,
    log_e_values,
    p_value,
)
from becas_ft.evidence.intervals import Interval, newcombe_paired, wilson
from becas_ft.evidence.sequence import accuracy_difference_interval, win_rate_interval

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

SECONDS_PER_HOUR = 3600


class Outcome(StrEnum):
    """What a pair says about the two models."""

    WIN = "win"
    LOSS = "loss"
    TIE = "tie"
    UNJUDGED = "unjudged"


_SCORES = {Outcome.WIN: 1, Outcome.LOSS: -1, Outcome.TIE: 0, Outcome.UNJUDGED: 0}


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers of both models to one request.

    Attributes:
        agreed: Both gave the same graded answer, so that it is a tie whatever the truth.
        base_right: Whether the base was right; None without a truth.
        candidate_right: Whether the candidate was right; None without a truth.
        resolved: Place in the order in which outcomes became known: that of the first label, or of the
            request where both agreed. A corrected label keeps the place. Meaningless while unjudged.
        user: Pseudonym of the user whose message it was, if known.
        guild: Pseudonym of the guild, if known.
        hour: Hour of the request, in whole hours since 1970.
        task: Task type that the report breaks down by.
    """

    agreed: bool
    base_right: bool | None = None
    candidate_right: bool | None = None
    resolved: int = 0
    user: str = ""
    guild: str = ""
    hour: int = 0
    task: str = ""

    def __post_init__(self) -> None:
        if (self.base_right is None) != (self.candidate_right is None):
            raise ValueError("a truth judges both models: base_right and candidate_right are given together")
        if self.agreed and self.base_right != self.candidate_right:
            raise ValueError("two models that agreed are both right or both wrong")

    @property
    def outcome(self) -> Outcome:
        """Win, loss, tie, or unjudged."""
        if self.agreed or (self.base_right is not None and self.base_right == self.candidate_right):
            return Outcome.TIE
        if self.base_right is None:
            return Outcome.UNJUDGED
        return Outcome.LOSS if self.base_right else Outcome.WIN

    @property
    def cluster(self) -> tuple[str, ...] | None:
        """Those it shares a stake with: the user, else the guild within the hour; None where neither is known."""
        if self.user:
            return ("user", self.user)
        return ("guild", self.guild, str(self.hour)) if self.guild else None


def hour_of(unix_seconds: float) -> int:
    """Whole hours since 1970 of a time in seconds since 1970."""
    return math.floor(unix_seconds / SECONDS_PER_HOUR)


@dataclass(frozen=True, slots=True)
class Standing:
    """Counts of judged pairs with the evidence that they carry.

    Attributes:
        wins: Pairs that only the candidate got right.
        losses: Pairs that only the base got right.
        ties: Pairs that both got right or both got wrong.
        log_e_plain: Logarithm of the e-value that lets each pair bet.
        log_e_capped: Logarithm of the e-value that lets each cluster bet once.
    """

    wins: int
    losses: int
    ties: int
    log_e_plain: float
    log_e_capped: float

    @property
    def judged(self) -> int:
        """Pairs whose outcome is known."""
        return self.wins + self.losses + self.ties

    @property
    def decisive(self) -> int:
        """Judged pairs that are no ties."""
        return self.wins + self.losses

    @property
    def win_rate(self) -> float:
        """Wins over decisive pairs; NaN without any. A tie is not half a win."""
        return self.wins / self.decisive if self.decisive else math.nan

    @property
    def log_e(self) -> float:
        """Logarithm of the e-value that decides: the smaller of the plain and the capped one."""
        return min(self.log_e_plain, self.log_e_capped)

    @property
    def e_value(self) -> float:
        """The e-value that decides, at most the largest double."""
        return math.exp(min(self.log_e, 709.0))


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a report and a gate take from the outcomes of a trial.

    Attributes:
        standing: Judged pairs. An unjudged pair would be a tie to the e-value, and weighs nothing.
        unjudged: Disagreements without a truth.
        unattributed: Disagreements without a user and a guild, on which no cap can be put.
        unjudged_as_ties: The standing if every unjudged pair turned out a tie.
        unjudged_as_losses: The worst case: the standing if every unjudged pair turned out a loss.
        p_value: Always-valid p-value: 1 over the largest deciding e-value at any look so far.
        log_wealth: Logarithm of the capped wealth for each stake.
        futility_log_e: Logarithm of the evidence that the candidate loses more than it wins: as for the standing, the
            smaller of the plain and the capped one, so that no single hand ends a test either.
        win_rate: Win rate over decisive pairs, with a confidence sequence.
        difference: Candidate's accuracy minus the base's, with a confidence sequence.
        difference_now: The same with Newcombe's interval for a sample size fixed beforehand; descriptive.
        base_accuracy: Accuracy of the base over pairs with a truth (Wilson); descriptive.
        candidate_accuracy: Accuracy of the candidate over the same pairs (Wilson); descriptive.
        tasks: Standing by task type.
    """

    standing: Standing
    unjudged: int
    unattributed: int
    unjudged_as_ties: Standing
    unjudged_as_losses: Standing
    p_value: float
    log_wealth: tuple[float, ...]
    futility_log_e: float
    win_rate: Interval
    difference: Interval
    difference_now: Interval
    base_accuracy: Interval
    candidate_accuracy: Interval
    tasks: dict[str, Standing]

    @property
    def confidence(self) -> float:
        """1 minus the always-valid p-value."""
        return 1 - self.p_value

    @property
    def resolved_share(self) -> float:
        """Share of all pairs whose outcome is known; NaN without pairs."""
        pairs = self.standing.judged + self.unjudged
        return self.standing.judged / pairs if pairs else math.nan


@dataclass(frozen=True, slots=True)
class EvidencePath:
    """Counts and log e-values after each judged pair, in the order of `resolved`."""

    wins: NDArray[np.int_]
    losses: NDArray[np.int_]
    log_e_plain: NDArray[np.float64]
    log_e_capped: NDArray[np.float64]

    @property
    def log_e(self) -> NDArray[np.float64]:
        """The path of the e-value that decides."""
        return np.minimum(self.log_e_plain, self.log_e_capped)


def summary(
    pairs: Iterable[Pair],
    *,
    null: float = EVEN,
    mixture: Mixture = UNIFORM,
    alpha: float = 0.05,
    horizon: float = 100,
) -> Summary:
    """Recompute the evidence of a trial from its stored pairs.

    Args:
        pairs: All pairs of the trial, in any order.
        null: Win rate that the evidence speaks against: .5, or .65 in the strict mode.
        mixture: Density over win rates, fixed before the first pair.
        alpha: Error rate of each interval.
        horizon: Decisive pairs at which the win rate's confidence sequence is tightest.
    """
    stored = list(pairs)
    standing = _standing(stored, null, mixture)
    unjudged = sum(pair.outcome is Outcome.UNJUDGED for pair in stored)
    path = evidence_path(stored, null=null, mixture=mixture)
    by_task: dict[str, list[Pair]] = defaultdict(list)
    for pair in stored:
        by_task[pair.task].append(pair)
    base_accuracy, candidate_accuracy, difference_now = _accuracies(stored, standing, 1 - alpha)
    as_ties = Standing(
        standing.wins, standing.losses, standing.ties + unjudged, standing.log_e_plain, standing.log_e_capped
    )
    return Summary(
        standing=standing,
        unjudged=unjudged,
        unattributed=sum(pair.cluster is None and not pair.agreed for pair in stored),
        unjudged_as_ties=as_ties,
        unjudged_as_losses=_standing(stored, null, mixture, unjudged_score=-1),
        p_value=p_value(path.log_e),
        log_wealth=tuple(capped_log_wealth(*_bets(stored, None), null=null).tolist()),
        futility_log_e=_futility_log_e(stored, standing, mixture),
        win_rate=win_rate_interval(standing.wins, standing.decisive, alpha=alpha, horizon=horizon),
        difference=accuracy_difference_interval(standing.wins, standing.losses, standing.ties, alpha=alpha),
        difference_now=difference_now,
        base_accuracy=base_accuracy,
        candidate_accuracy=candidate_accuracy,
        tasks={task: _standing(by_task[task], null, mixture) for task in sorted(by_task)},
    )


def evidence_path(
    pairs: Iterable[Pair],
    *,
    null: float = EVEN,
    mixture: Mixture = UNIFORM,
) -> EvidencePath:
    """How the evidence grew, pair by judged pair; arguments as for `summary`."""
    stored = list(pairs)
    judged = sorted((pair for pair in stored if pair.outcome is not Outcome.UNJUDGED), key=_judged_at)
    scores = np.array([_SCORES[pair.outcome] for pair in judged], dtype=np.int_)
    wins, losses = np.cumsum(scores > 0, dtype=np.int_), np.cumsum(scores < 0, dtype=np.int_)
    bets = capped_log_e_path(*_bets(judged, None), null=null)
    so_far = np.cumsum([not pair.agreed for pair in judged], dtype=np.int_)
    return EvidencePath(
        wins=wins,
        losses=losses,
        log_e_plain=log_e_values(wins, losses, null=null, mixture=mixture),
        log_e_capped=np.r_[0.0, bets][so_far],
    )


def _standing(
    pairs: Sequence[Pair],
    null: float,
    mixture: Mixture,
    *,
    unjudged_score: int | None = None,
) -> Standing:
    outcomes = [pair.outcome for pair in pairs]
    worst = outcomes.count(Outcome.UNJUDGED) if unjudged_score is not None else 0
    wins, losses = outcomes.count(Outcome.WIN), outcomes.count(Outcome.LOSS) + worst
    scores, clusters = _bets(pairs, unjudged_score)
    return Standing(
        wins=wins,
        losses=losses,
        ties=outcomes.count(Outcome.TIE),
        log_e_plain=log_e_value(wins, losses, null=null, mixture=mixture),
        log_e_capped=capped_log_e(scores, clusters, null=null),
    )


def _futility_log_e(pairs: Sequence[Pair], standing: Standing, mixture: Mixture) -> float:
    scores, clusters = _bets(pairs, None)
    return min(
        futility_log_e(standing.wins, standing.losses, mixture=mixture),
        capped_log_e([-score for score in scores], clusters),
    )


def _bets(pairs: Iterable[Pair], unjudged_score: int | None) -> tuple[list[int], list[Hashable]]:
    """Scores and clusters of the disagreements in the order of their labels; unjudged ones come last, if at all.

    A pair of unknown origin is a cluster of its own.
    """
    disagreed = [pair for pair in pairs if not pair.agreed]
    bets = sorted((pair for pair in disagreed if pair.outcome is not Outcome.UNJUDGED), key=_judged_at)
    scores = [_SCORES[pair.outcome] for pair in bets]
    if unjudged_score is not None:
        waiting = [pair for pair in disagreed if pair.outcome is Outcome.UNJUDGED]
        bets += waiting
        scores += [unjudged_score] * len(waiting)
    return scores, [pair.cluster or number for number, pair in enumerate(bets)]


def _judged_at(pair: Pair) -> int:
    return pair.resolved


def _accuracies(
    pairs: Sequence[Pair],
    standing: Standing,
    confidence: float,
) -> tuple[Interval, Interval, Interval]:
    """Wilson for both models over pairs with a truth, Newcombe for the difference over judged pairs."""
    audited = [pair for pair in pairs if pair.base_right is not None]
    base_right = sum(pair.base_right is True for pair in audited)
    candidate_right = sum(pair.candidate_right is True for pair in audited)
    both_right = sum(pair.base_right is True and pair.candidate_right is True for pair in audited)
    known_ties = len(audited) - standing.decisive
    # Agreements without a truth are right as often as the ties with one; only the width depends on it.
    tie_right = both_right / known_ties if known_ties else 0.5
    difference = newcombe_paired(
        standing.ties * tie_right,
        standing.wins,
        standing.losses,
        standing.ties * (1 - tie_right),
        confidence=confidence,
    )
    return (
        wilson(base_right, len(audited), confidence=confidence),
        wilson(candidate_right, len(audited), confidence=confidence),
        difference,
    )
