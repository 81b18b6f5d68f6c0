"""The watch after a promotion: the model that answered before is shadowed in turn, and brought back when it was better.

A promotion is undone by evidence (an e-detector over the judged pairs, so that looking often costs nothing), or at
once by a trip wire: answers that cannot be parsed or do not come, answers that are late, a model that is gone. Trip
wires look at the last answers only: a long good past must not hide a bad present.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, shadow_pb2
from becas_ft.evidence import detector
from becas_ft.evidence.detector import Alarm
from becas_ft.evidence.pairs import Outcome, Pair
from becas_ft.ledger import ReadTransaction
from becas_ft.rollout import audit, limits
from becas_ft.rollout.production import DOWN, p95
from becas_ft.rollout.promotion import PROMOTE, ROLL_BACK

ACTOR = limits.WATCH
"""Who rolls back, in the audit log."""

_NO_ANSWER = frozenset({"timeout", "unavailable", DOWN})
_OUTCOMES = {Outcome.WIN: 1, Outcome.LOSS: -1, Outcome.TIE: 0}


@dataclass(frozen=True)
class Budget:
    """What a promoted model may do before it is taken out at once.

    Arguments:
        maximum_invalid_rate: share of its answers that cannot be parsed or do not come, 0 to 1.
        maximum_p95_ms: 95th percentile of its latency, milliseconds.
        minimum_answers: answers below which neither is looked at.
        maximum_silence: requests in a row without an answer.
    """

    maximum_invalid_rate: float = 0.02
    maximum_p95_ms: float = 10_000.0
    minimum_answers: int = 200
    maximum_silence: int = 5


@dataclass(frozen=True)
class Watched:
    """What is known of a promoted model since its promotion.

    Arguments:
        outcomes: judged pairs in the order of their labels: 1 where only the former model was right, −1 where only
            the promoted one was, 0 for a tie.
        clusters: whose pairs they were, each; None where nobody knows.
        answers: its last answers.
        invalid: those of them that could not be parsed or did not come.
        unanswered: those of them that did not come.
        silence: requests without an answer up to now, in a row.
        p95_ms: 95th percentile of its latency, milliseconds.
        missing: the runtime does not have it any more.
    """

    outcomes: tuple[int, ...] = ()
    clusters: tuple[tuple[str, ...] | None, ...] | None = None
    answers: int = 0
    invalid: int = 0
    unanswered: int = 0
    silence: int = 0
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
        tripped: a trip wire asks for it, which waits for nothing.
        silent: only the silence of the model does: one answer now refutes it.
        doubtful: the runtime may be to blame: no reason to go unless the base answers.
    """

    alarm: Alarm
    reasons: tuple[str, ...] = ()
    log_e: float = 0.0
    pairs: int = 0
    tripped: bool = False
    silent: bool = False
    doubtful: bool = False


def find(watched: Watched, budget: Budget) -> Finding:
    """Decides; the same input gives the same finding."""
    state = detector.replay(watched.outcomes, watched.clusters)
    certain, rate, silence = _certain(watched, budget), _rate(watched, budget), _silence(watched, budget)
    tripped = certain + rate + silence
    alarm = state.alarm()
    by_evidence = alarm is Alarm.ROLL_BACK
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
    return Finding(
        alarm,
        tuple(reasons),
        state.log_e,
        state.pairs,
        tripped=bool(tripped),
        silent=bool(silence) and not (certain or rate or by_evidence),
        doubtful=bool(silence or (rate and watched.unanswered)) and not (certain or by_evidence),
    )


def watched_of(pairs: Iterable[Pair], answers: Iterable[records_pb2.Answer], *, missing: bool) -> Watched:
    """The input of `find`.

    Arguments:
        pairs: of the trials that watch the promoted model, as the statistics see them.
        answers: the promoted model's last ones, oldest first.
        missing: the runtime does not have it any more.
    """
    judged = sorted((pair for pair in pairs if pair.outcome in _OUTCOMES), key=lambda pair: pair.resolved)
    asked = list(answers)
    # What no runtime took says nothing of the model, and has no latency.
    given = [answer for answer in asked if answer.failure != DOWN]
    silence = next((at for at, one in enumerate(reversed(asked)) if one.failure not in _NO_ANSWER), len(asked))
    return Watched(
        outcomes=tuple(_OUTCOMES[pair.outcome] for pair in judged),
        clusters=tuple(pair.cluster for pair in judged),
        answers=len(given),
        invalid=sum(bool(answer.failure) for answer in given),
        unanswered=sum(answer.failure in _NO_ANSWER for answer in given),
        silence=silence,
        p95_ms=p95(answer.latency_ms for answer in given if answer.failure != "unavailable"),
        missing=missing,
    )


def needs_trial(transaction: ReadTransaction, alias: model_pb2.Alias, trials: Iterable[shadow_pb2.Trial]) -> str:
    """The former model, where the alias was moved by a promotion that nothing watches now; else empty.

    A watch that has ended, as a newer candidate was tested, does not count: the promotion still stands.
    """
    last = last_switch(transaction, alias.category)
    if last is None or last.action != PROMOTE or last.to_model != alias.model:
        return ""
    watched = any(trial.running for trial in watches(transaction, alias, trials))
    return "" if watched else last.from_model


def watches(
    transaction: ReadTransaction, alias: model_pb2.Alias, trials: Iterable[shadow_pb2.Trial]
) -> list[shadow_pb2.Trial]:
    """The trials that watch or watched what answers now, since its promotion: one evidence, in parts."""
    last = last_switch(transaction, alias.category)
    promoted = last.time.ToNanoseconds() if last else 0
    return [
        trial
        for trial in trials
        if trial.category == alias.category
        and trial.watch
        and trial.base_model == alias.model
        and trial.created.ToNanoseconds() >= promoted
    ]


def last_switch(transaction: ReadTransaction, category: int) -> model_pb2.AuditEntry | None:
    """The newest promotion or rollback of a category."""
    found = None
    for entry in audit.entries(transaction):
        if entry.category == category and entry.action in {PROMOTE, ROLL_BACK}:
            found = entry
    return found


def _certain(watched: Watched, budget: Budget) -> tuple[str, ...]:
    reasons = []
    if watched.missing:
        reasons.append("the runtime does not have the promoted model any more, or cannot load it")
    if watched.answers >= budget.minimum_answers and watched.p95_ms > budget.maximum_p95_ms:
        reasons.append(f"p95 latency {watched.p95_ms:.0f} ms is over {budget.maximum_p95_ms:.0f} ms")
    return tuple(reasons)


def _rate(watched: Watched, budget: Budget) -> tuple[str, ...]:
    rate = watched.invalid / watched.answers if watched.answers >= budget.minimum_answers else 0.0
    if rate <= budget.maximum_invalid_rate:
        return ()
    limit = budget.maximum_invalid_rate
    return (f"{rate:.1%} of {watched.answers:,} answers cannot be parsed or did not come, over {limit:.1%}",)


def _silence(watched: Watched, budget: Budget) -> tuple[str, ...]:
    if watched.silence < budget.maximum_silence:
        return ()
    return (f"the last {watched.silence:,} requests had no answer",)
