"""The canary of a category in the ledger: begun, widened, counted, ended; the audit log has every change of the share.

The record goes when the alias moves (see `promotion`), when its job ends, and when its trial says nothing any more.
"""

import json

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, shadow_pb2
from becas_ft.ledger import ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import CANARIES, TRIALS
from becas_ft.rollout import audit, limits, registry

ACTION = "canary"
"""In the audit log: a share of the guilds moved to the candidate, or back."""

OPERATOR = "operator"
"""Who ends a canary that nothing speaks against, in the audit log."""

NO_ANSWER = frozenset({"timeout", "unavailable"})
"""Failures of an answer that did not come."""


def of(transaction: ReadTransaction, category: int) -> records_pb2.Canary | None:
    """The canary of a category; None where there is none."""
    return transaction.get(CANARIES, int(category))


def move(
    transaction: WriteTransaction, trial_id: str, percent: int, *, now_ms: int, reason: str, evidence: str
) -> bool:
    """Widens the share of a trial's candidate, or begins with it; whether it did.

    What was decided may have been overtaken: nothing changes where the trial has ended, the alias has moved, or the
    share is as wide already.

    Arguments:
        transaction: writes record and audit entry together.
        trial_id: gathers the evidence.
        percent: of the guilds, 1 to 99.
        now_ms: milliseconds since the epoch.
        reason: in words.
        evidence: the gate's figures, as a JSON object or empty.
    """
    trial = transaction.get(TRIALS, trial_id)
    if trial is None or not trial.running or not _still_answers(transaction, trial):
        return False
    before = of(transaction, trial.category)
    if before is not None and before.trial_id == trial_id and before.percent >= percent:
        return False
    record = records_pb2.Canary(
        category=trial.category,
        candidate_model=trial.candidate_model,
        base_model=trial.base_model,
        trial_id=trial_id,
        percent=percent,
        since_ms=now_ms,
    )
    transaction.put(CANARIES, int(trial.category), record)
    entry = model_pb2.AuditEntry(
        action=ACTION,
        actor=limits.PIPELINE,
        category=trial.category,
        from_model=trial.base_model,
        to_model=trial.candidate_model,
        reason=f"{percent} % of guilds: {reason}",
        evidence=json.dumps(json.loads(evidence or "{}") | {"percent": percent} | _counts(before)),
    )
    _append(transaction, entry)
    return True


def note(transaction: WriteTransaction, *, category: int, trial_id: str, failure: str) -> None:
    """Counts a request of a trial's canary: the candidate's answer, or how it failed; nothing once that has ended."""
    record = of(transaction, category)
    if record is None or record.trial_id != trial_id:
        return
    record.answers += not failure
    record.failures += bool(failure)
    record.silence = record.silence + 1 if failure in NO_ANSWER else 0
    transaction.put(CANARIES, int(category), record)


def end(transaction: WriteTransaction, category: int, why: str, *, actor: str) -> None:
    """Takes the share of a category's candidate back to nothing; nothing happens where there is none.

    Arguments:
        transaction: writes record and audit entry together.
        category: its number.
        why: in words.
        actor: `limits.PIPELINE` where the candidate is to blame: it then needs a new trial; OPERATOR otherwise.
    """
    record = of(transaction, category)
    if record is None:
        return
    transaction.delete(CANARIES, int(category))
    entry = model_pb2.AuditEntry(
        action=ACTION,
        actor=actor,
        category=record.category,  # type: ignore[arg-type]  # stored as the enum's number
        from_model=record.candidate_model,
        to_model=record.base_model,
        reason=f"0 % of guilds: {why}",
        evidence=json.dumps({"trial": record.trial_id, "percent": 0} | _counts(record)),
    )
    _append(transaction, entry)


def took_back(entry: model_pb2.AuditEntry, model: str) -> bool:
    """Whether an entry of the audit log took a model's canary back, and the model was to blame."""
    return entry.action == ACTION and entry.actor == limits.PIPELINE and entry.from_model == model


def _still_answers(transaction: ReadTransaction, trial: shadow_pb2.Trial) -> bool:
    alias = registry.alias_of(transaction, trial.category)
    return alias is None or alias.model == trial.base_model


def _counts(record: records_pb2.Canary | None) -> dict[str, int]:
    """What the step that ends has shown."""
    if record is None:
        return {}
    return {"answers": record.answers, "failures": record.failures, "silence": record.silence}


def _append(transaction: WriteTransaction, entry: model_pb2.AuditEntry) -> None:
    entry.time.GetCurrentTime()
    audit.append(transaction, entry)
