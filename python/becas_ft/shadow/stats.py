"""Totals over trials."""

from collections import Counter

from becas.ft.v1 import shadow_pb2
from becas_ft.ledger import ReadTransaction
from becas_ft.ledger.schema import PAIRS, TRIAL_COUNTS
from becas_ft.shadow import trials

RECENT = 50
"""Trials that are listed one by one."""


def total(transaction: ReadTransaction) -> shadow_pb2.GetShadowStatsResponse:
    """Trials and pairs in all, by task type and by candidate; a trial without a task type counts as its category's."""
    known = trials.all_trials(transaction)
    by_task: Counter[str] = Counter()
    by_model: Counter[str] = Counter()
    overflow = 0
    for trial in known:
        pairs = sum(row.HasField("b") for _, row in transaction.scan(PAIRS, prefix=f"{trial.trial_id}/"))
        by_task[trial.task_type or trial.trial_id.rpartition("-trial-")[0]] += pairs
        by_model[trial.candidate_model] += pairs
        counts = transaction.get(TRIAL_COUNTS, trial.trial_id)
        overflow += counts.overflow if counts else 0
    return shadow_pb2.GetShadowStatsResponse(
        trials=len(known),
        running=sum(trial.running for trial in known),
        pairs_by_task_type=by_task,
        pairs_by_model=by_model,
        overflow=overflow,
        recent=known[:RECENT],
    )
