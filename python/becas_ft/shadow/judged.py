"""Stored pairs as the evidence needs them: recomputed at every look, so that a corrected label corrects everything."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import shadow_pb2
from becas_ft.evidence import pairs
from becas_ft.ledger import ReadTransaction
from becas_ft.ledger.schema import PAIRS, TRIAL_COUNTS
from becas_ft.rollout import registry
from becas_ft.rollout.gate import ClassEvidence, TrialEvidence
from becas_ft.shadow import grade, trials

HARMLESS = {
    "violation_detection": {"none"},
    "scam_detection": {"false"},
    "policy_interpretation": {"false"},
    "network_analysis": {"none"},
    "user_profiling": {"low", "medium"},
}
"""By category, the true labels whose misses do no harm; all others do. Categories that are not here have none."""


@dataclass(frozen=True)
class Record:
    """A trial as it is stored.

    Arguments:
        trial: what was planned.
        counts: requests, sampled, overflow.
        rows: answered pairs in the order of their keys.
    """

    trial: shadow_pb2.Trial
    counts: records_pb2.TrialCounts
    rows: tuple[records_pb2.Pair, ...]

    @property
    def category(self) -> str:
        """The category's name."""
        return registry.category_name(self.trial.category)


def load(transaction: ReadTransaction, trial_id: str) -> Record:
    """A trial with all its pairs.

    Raises: UnknownTrialError.
    """
    trial = trials.get(transaction, trial_id)
    counts = transaction.get(TRIAL_COUNTS, trial_id)
    rows = tuple(row for _, row in transaction.scan(PAIRS, prefix=f"{trial_id}/") if row.HasField("b"))
    return Record(trial, counts or records_pb2.TrialCounts(), rows)


def as_pair(category: str, row: records_pb2.Pair, task: str = "") -> pairs.Pair:
    """A stored pair as the statistics see it."""
    agreed = grade.agree(category, row.a.output, row.b.output)
    right_a = right_b = None
    if row.HasField("truth"):
        right_a = grade.is_right(category, row.a.output, row.truth)
        right_b = grade.is_right(category, row.b.output, row.truth)
        # Same label, other details: the finer grading decides, and the pair is no agreement then.
        agreed = agreed and right_a == right_b
    return pairs.Pair(
        agreed=agreed,
        base_right=right_a,
        candidate_right=right_b,
        resolved=row.resolved,
        user=row.user,
        guild=row.guild,
        hour=pairs.hour_of(row.time_ms / 1000),
        task=task,
    )


def as_pairs(record: Record) -> list[pairs.Pair]:
    """All pairs of a trial as the statistics see them."""
    return [as_pair(record.category, row, record.trial.task_type) for row in record.rows]


def summarise(record: Record) -> pairs.Summary:
    """The evidence of a trial."""
    return pairs.summary(as_pairs(record))


def trial_evidence(record: Record, summary: pairs.Summary) -> TrialEvidence:
    """What the gate looks at."""
    latency_a, latency_b = latencies(record.rows)
    return TrialEvidence(
        judged=summary.standing.judged,
        wins=summary.standing.wins,
        losses=summary.standing.losses,
        e_value=summary.standing.e_value,
        e_threshold=record.trial.e_threshold,
        reversed_e_value=float(np.exp(min(summary.futility_log_e, 700.0))),
        horizon=record.trial.horizon,
        p95_a=float(np.quantile(latency_a, 0.95)) if latency_a.size else 0.0,
        p95_b=float(np.quantile(latency_b, 0.95)) if latency_b.size else 0.0,
        latencies=int(latency_a.size),
        invalid_rate_b=invalid_rate(record.rows),
        answers_b=len(record.rows),
        classes=classes(record),
    )


def latencies(rows: Iterable[records_pb2.Pair]) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", ...]:
    """Latencies of A and B in milliseconds over pairs that both answered while nothing else ran.

    Beside other requests B waits for A, which says nothing about the models.
    """
    answered = [
        (row.a.latency_ms, row.b.latency_ms) for row in rows if row.quiet and not row.a.failure and not row.b.failure
    ]
    return np.array([a for a, _ in answered]), np.array([b for _, b in answered])


def invalid_rate(rows: tuple[records_pb2.Pair, ...]) -> float:
    """Share of B's answers that are late, missing or unparsable, 0 to 1."""
    return sum(bool(row.b.failure) for row in rows) / len(rows) if rows else 0.0


def classes(record: Record) -> tuple[ClassEvidence, ...]:
    """Judged pairs by true label."""
    totals: Counter[str] = Counter()
    right_a: Counter[str] = Counter()
    right_b: Counter[str] = Counter()
    for row in record.rows:
        if row.HasField("truth"):
            label = (grade.label_of(record.category, row.truth) or row.truth).casefold()
            totals[label] += 1
            right_a[label] += grade.is_right(record.category, row.a.output, row.truth)
            right_b[label] += grade.is_right(record.category, row.b.output, row.truth)
    harmless = HARMLESS.get(record.category, set(totals))
    return tuple(
        ClassEvidence(label, totals[label], right_a[label], right_b[label], severe=label not in harmless)
        for label in sorted(totals)
    )
