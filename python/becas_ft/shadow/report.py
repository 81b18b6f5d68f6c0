"""The report: everything a trial has shown, and what it says to do, in figures and in plain words."""

import json
import math

import numpy as np

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import shadow_pb2
from becas_ft.evidence import calibration, decision, intervals, latency, mcnemar, pairs, ratio
from becas_ft.ledger import ReadTransaction
from becas_ft.messages import to_json
from becas_ft.rollout.gate import Decision, Policy, Verdict, decide
from becas_ft.shadow import grade, judged

_LARGEST = 1e308
_DECISIVE = ("judged", "wins", "losses", "ties", "e_value", "e_threshold", "recommendation", "broken_guardrails")
_RECOMMENDATIONS = {
    Decision.PROMOTE: shadow_pb2.RECOMMENDATION_PROMOTE_B,
    Decision.KEEP: shadow_pb2.RECOMMENDATION_KEEP_A,
    Decision.NEED_MORE: shadow_pb2.RECOMMENDATION_NEED_MORE_DATA,
}
_LATENCY_WEIGHT = 10.0
_CALIBRATION_WEIGHT = 20.0
_ACCURACY_WEIGHT = 70.0


def build(record: judged.Record, policy: Policy) -> shadow_pb2.ComparisonReport:
    """The report of a trial; the same pairs give the same report, however they came in."""
    summary = judged.summarise(record)
    evidence = judged.trial_evidence(record, summary)
    verdict = decide(evidence, policy)
    standing = summary.standing
    needed = _needed(summary, record, policy)
    report = shadow_pb2.ComparisonReport(
        trial=record.trial,
        overall_winner=_winner(standing.wins, standing.losses),
        confidence=summary.confidence,
        recommendation=_RECOMMENDATIONS[verdict.decision],
        requests=record.counts.requests,
        sampled=record.counts.sampled,
        pairs=len(record.rows),
        judged=standing.judged,
        wins=standing.wins,
        losses=standing.losses,
        ties=standing.ties,
        win_rate=_interval(summary.win_rate),
        e_value=standing.e_value,
        e_value_plain=_exp(standing.log_e_plain),
        e_value_capped=_exp(standing.log_e_capped),
        e_value_worst_case=summary.unjudged_as_losses.e_value,
        e_threshold=record.trial.e_threshold,
        accuracy_a=_interval(summary.base_accuracy),
        accuracy_b=_interval(summary.candidate_accuracy),
        accuracy_difference=_interval(summary.difference_now),
        mcnemar_mid_p=mcnemar.mid_p(standing.wins, standing.losses),
        latency_p95_a=evidence.p95_a,
        latency_p95_b=evidence.p95_b,
        invalid_rate_b=evidence.invalid_rate_b,
        judged_disagreements_needed=needed or 0,
        sample_ratio_e_value=_sample_ratio(record),
        broken_guardrails=verdict.broken_guardrails,
        classes=[
            shadow_pb2.ClassCount(label=group.label, pairs=group.pairs, right_a=group.right_a, right_b=group.right_b)
            for group in evidence.classes
        ],
    )
    _calibrate(report, record)
    _compare_latencies(report, record)
    for task, row in summary.tasks.items():
        report.win_rate_by_task_type[task or record.category].CopyFrom(
            _interval(intervals.wilson(row.wins, row.decisive) if row.decisive else summary.win_rate)
        )
    report.quality_score = _quality(report)
    report.reasoning = _reasoning(report, verdict, summary.unjudged, needed, record.counts.overflow)
    return report


def figures(found: shadow_pb2.ComparisonReport) -> str:
    """The figures that decide, as JSON, for the audit log and published events."""
    whole = json.loads(to_json(found))
    return json.dumps({"trial": found.trial.trial_id} | {name: whole[name] for name in _DECISIVE})


def figures_of(transaction: ReadTransaction, trial_id: str, policy: Policy) -> str:
    """The figures of a trial as it stands.

    Raises: UnknownTrialError.
    """
    return figures(build(judged.load(transaction, trial_id), policy))


def _winner(wins: int, losses: int) -> "shadow_pb2.Winner.ValueType":
    if wins == losses:
        return shadow_pb2.WINNER_TIE
    return shadow_pb2.WINNER_B if wins > losses else shadow_pb2.WINNER_A


def _needed(summary: pairs.Summary, record: judged.Record, policy: Policy) -> int | None:
    rule = decision.Rule(
        threshold=record.trial.e_threshold,
        minimum_pairs=policy.minimum_judged,
        minimum_win_rate=policy.minimum_win_rate,
    )
    if summary.standing.e_value >= record.trial.e_threshold:
        return 0
    return decision.further_disagreements(summary, rule)


def _sample_ratio(record: judged.Record) -> float:
    counts, rate = record.counts, record.trial.sample_rate
    if not counts.requests or rate >= 1:
        return 1.0
    return _exp(ratio.ratio_log_e([counts.sampled, counts.requests - counts.sampled], [rate, 1 - rate]))


def _calibrate(report: shadow_pb2.ComparisonReport, record: judged.Record) -> None:
    known = [row for row in record.rows if row.HasField("truth")]
    for field, answer in (("calibration_a", "a"), ("calibration_b", "b")):
        # An answer that never came stated no confidence; as 0 it would look well calibrated.
        rows = [row for row in known if not _answer(row, answer).failure]
        stated = [_answer(row, answer).confidence for row in rows]
        right = [grade.is_right(record.category, _answer(row, answer).output, row.truth) for row in rows]
        getattr(report, field).CopyFrom(
            shadow_pb2.Calibration(
                brier=_number(calibration.brier(stated, right)),
                ece=_number(calibration.calibration_error(calibration.reliability_table(stated, right)).mean),
                pairs=len(rows),
            )
        )
    answered = [row for row in record.rows if not row.a.failure and not row.b.failure]
    if answered:
        report.confidence_delta = float(np.mean([row.b.confidence - row.a.confidence for row in answered]))


def _answer(row: records_pb2.Pair, side: str) -> records_pb2.Answer:
    return row.a if side == "a" else row.b


def _compare_latencies(report: shadow_pb2.ComparisonReport, record: judged.Record) -> None:
    first, second = judged.latencies(record.rows)
    if first.size:
        report.latency_delta.CopyFrom(_interval(latency.hodges_lehmann(second - first)))


def _quality(report: shadow_pb2.ComparisonReport) -> float:
    """0 to 100: 70 for B's accuracy, 20 for its calibration (1 − 4·Brier), 10 for its speed beside A's."""
    if not report.calibration_b.pairs:
        return 0.0
    calibrated = max(0.0, 1 - 4 * report.calibration_b.brier)
    quick = min(1.0, report.latency_p95_a / report.latency_p95_b) if report.latency_p95_b else 0.0
    return _ACCURACY_WEIGHT * report.accuracy_b.estimate + _CALIBRATION_WEIGHT * calibrated + _LATENCY_WEIGHT * quick


def _reasoning(
    report: shadow_pb2.ComparisonReport, verdict: Verdict, unjudged: int, needed: int | None, overflow: int
) -> str:
    seen = (
        f"Of {report.pairs:,} pairs {report.judged:,} are judged: the candidate alone was right in {report.wins:,}, "
        f"the incumbent alone in {report.losses:,}, {report.ties:,} were ties."
    )
    conclusions = {
        Decision.PROMOTE: "The candidate is better: ",
        Decision.KEEP: "The incumbent stays: ",
        Decision.NEED_MORE: "Not decided yet: ",
    }
    words = [seen, conclusions[verdict.decision] + "; ".join(verdict.reasons) + "."]
    if unjudged:
        words.append(
            f"{unjudged:,} disagreements wait for a label; were all of them losses, the e-value would be "
            f"{report.e_value_worst_case:.4g}."
        )
    if verdict.decision is Decision.NEED_MORE:
        if needed and not report.wins + report.losses:
            words.append(f"None decides yet: it takes at least {needed:,} disagreements, all won, of as many users.")
        elif needed is None:
            words.append("At the win rate seen so far no number of further disagreements would promote it.")
        elif needed:
            words.append(f"At the win rate seen so far {needed:,} more judged disagreements would decide it.")
    if overflow:
        words.append(
            f"{overflow:,} of {report.sampled:,} sampled requests made no pair: production left the candidate no time."
        )
    waiting = report.sampled - report.pairs - overflow
    if waiting > 0 and report.trial.running:
        words.append(
            f"{waiting:,} sampled requests have no pair yet: the candidate answers while production is quiet. "
            "Those that were erased, or cut off by a crash, get none."
        )
    if report.sample_ratio_e_value > 100:  # noqa: PLR2004 - documented in the proto
        words.append("The share of sampled requests is not what was set: look for lost requests before believing this.")
    return " ".join(words)


def _interval(found: intervals.Interval) -> shadow_pb2.Interval:
    return shadow_pb2.Interval(
        estimate=_number(found.estimate), low=_number(found.lower, -_LARGEST), high=_number(found.upper, _LARGEST)
    )


def _number(value: float, otherwise: float = 0.0) -> float:
    return float(value) if math.isfinite(value) else otherwise


def _exp(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))
