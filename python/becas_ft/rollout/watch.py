"""The watch after a promotion: the model that answered before is shadowed in turn, and brought back when it was better.

A promotion is undone by evidence (an e-detector over the judged pairs, so that looking often costs nothing), or at
once by a trip wire: answers that cannot be parsed, answers that are late, a model that is gone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, shadow_pb2
from becas_ft.evidence import detector
from becas_ft.evidence.detector import Alarm
from becas_ft.evidence.pairs import Outcome, Pair
from becas_ft.ledger import ReadTransaction
from becas_ft.rollout import audit
from becas_ft.rollout.promotion import PROMOTE, ROLL_BACK

ACTOR = "watch"
"""Who rolls back, in the audit log."""

_P95 = 0.95
_OUTCOMES = {Outcome.WIN: 1, Outcome.LOSS: -1, Outcome.TIE: 0}


@dataclass(frozen=True)
class Budget:
    """What a promoted model may do before it is taken out at once.

    Arguments:
        maximum_invalid_rate: share of its answers that cannot be parsed, 0 to 1.
        maximum_p95_ms: 95th percentile of its latency, milliseconds.
        minimum_answers: answers below which neither is looked at.
    """

    maximum_invalid_rate: float = 0.02
    maximum_p95_ms: float = 10_000.0
    minimum_answers: int = 200


@dataclass(frozen=True)
class Watched:
    """What is known of a promoted model since its promotion.

    Arguments:
        outcomes: judged pairs in the order of their labels: 1 where only the former model was right, −1 where only
            the promoted one was, 0 for a tie.
        answers: its answers.
        invalid: those that could not be parsed.
        p95_ms: 95th percentile of its latency, milliseconds.
        missing: the runtime does not have it any more.
    """

    outcomes: tuple[int, ...] = ()
    answers: int = 0
    invalid: int = 0
    p95_ms: float = 0.0
    missing: bool = False


@dataclass(frozen=True)
class Finding:
    """What the watch asks for, and why in words.

    Arguments:
        alarm: nothing, a warning, or a rollback.
        reasons: empty where nothing is asked for.
        log_e: logarithm of the detector's evidence now.
        pairs: judged pairs behind it.
    """

    alarm: Alarm
    reasons: tuple[str, ...] = ()
    log_e: float = 0.0
    pairs: int = 0


def find(watched: Watched, budget: Budget) -> Finding:
    """Decides; the same input gives the same finding."""
    state = detector.replay(watched.outcomes)
    tripped = _tripped(watched, budget)
    alarm = state.alarm()
    reasons = list(tripped)
    if alarm is not Alarm.NONE:
        threshold = detector.ROLL_BACK_AT if alarm is Alarm.ROLL_BACK else detector.WARN_AT
        former, promoted = watched.outcomes.count(1), watched.outcomes.count(-1)
        reasons.append(
            f"only the former model was right in {former:,} of {state.pairs:,} judged pairs, only the promoted one in "
            f"{promoted:,}: the evidence that it is worse reached {threshold:,.0f}"
        )
    if tripped:
        alarm = Alarm.ROLL_BACK
    return Finding(alarm, tuple(reasons), state.log_e, state.pairs)


def watched_of(pairs: Iterable[Pair], answers: Iterable[records_pb2.Answer], *, missing: bool) -> Watched:
    """The input of `find`, from a trial whose incumbent is the promoted model.

    Arguments:
        pairs: of the trial, as the statistics see them.
        answers: the promoted model's.
        missing: the runtime does not have it any more.
    """
    judged = sorted((pair for pair in pairs if pair.outcome in _OUTCOMES), key=lambda pair: pair.resolved)
    given = list(answers)
    latencies = sorted(answer.latency_ms for answer in given)
    return Watched(
        outcomes=tuple(_OUTCOMES[pair.outcome] for pair in judged),
        answers=len(given),
        invalid=sum(bool(answer.failure) for answer in given),
        p95_ms=latencies[min(len(latencies) - 1, int(_P95 * len(latencies)))] if latencies else 0.0,
        missing=missing,
    )


def needs_trial(transaction: ReadTransaction, alias: model_pb2.Alias, trials: Iterable[shadow_pb2.Trial]) -> str:
    """The former model, where the alias was moved by a promotion that nothing watches yet; else empty."""
    last = last_switch(transaction, alias.category)
    if last is None or last.action != PROMOTE or last.to_model != alias.model:
        return ""
    promoted = last.time.ToNanoseconds()
    for trial in trials:
        seen = trial.category == alias.category and trial.watch and trial.base_model == alias.model
        if seen and trial.created.ToNanoseconds() >= promoted:
            return ""
    return last.from_model


def last_switch(transaction: ReadTransaction, category: int) -> model_pb2.AuditEntry | None:
    """The newest promotion or rollback of a category."""
    found = None
    for entry in audit.entries(transaction):
        if entry.category == category and entry.action in {PROMOTE, ROLL_BACK}:
            found = entry
    return found


def seconds_since_automatic(transaction: ReadTransaction, category: int, now: float) -> float:
    """Seconds since the watch last moved the category's alias; infinite where it never did."""
    times = [
        entry.time.ToNanoseconds() / 1e9
        for entry in audit.entries(transaction)
        if entry.category == category and entry.action == ROLL_BACK and entry.actor == ACTOR
    ]
    return now - max(times) if times else float("inf")


def _tripped(watched: Watched, budget: Budget) -> tuple[str, ...]:
    reasons = []
    if watched.missing:
        reasons.append("the runtime does not have the promoted model any more")
    if watched.answers >= budget.minimum_answers:
        rate = watched.invalid / watched.answers
        if rate > budget.maximum_invalid_rate:
            reasons.append(
                f"{rate:.1%} of {watched.answers:,} answers cannot be parsed, over {budget.maximum_invalid_rate:.1%}"
            )
        if watched.p95_ms > budget.maximum_p95_ms:
            reasons.append(f"p95 latency {watched.p95_ms:.0f} ms is over {budget.maximum_p95_ms:.0f} ms")
    return tuple(reasons)
