"""The report for a terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from becas.ft.v1 import shadow_pb2

_WORDS = {
    shadow_pb2.RECOMMENDATION_PROMOTE_B: ("promote B", "bold green"),
    shadow_pb2.RECOMMENDATION_KEEP_A: ("keep A", "bold red"),
    shadow_pb2.RECOMMENDATION_NEED_MORE_DATA: ("need more data", "bold yellow"),
}


def render(report: shadow_pb2.ComparisonReport) -> RenderableType:
    """What a person reads before deciding: the recommendation first, then why, then the figures."""
    trial = report.trial
    head = Text.assemble((trial.trial_id, "bold"), ": ", _WORDS[report.recommendation], f"  {_state(trial)}")
    parts: list[RenderableType] = [head, Padding(Text(report.reasoning), (0, 0, 1, 2)), _figures(report)]
    if report.classes:
        parts.append(_classes(report))
    parts += [Text(f"guardrail broken: {broken}", style="red") for broken in report.broken_guardrails]
    return Group(*parts)


def _state(trial: shadow_pb2.Trial) -> str:
    return "running" if trial.running else f"ended: {trial.ended_reason}"


def _figures(report: shadow_pb2.ComparisonReport) -> Table:
    trial = report.trial
    table = Table("", f"A: {escape(trial.base_model)}", f"B: {escape(trial.candidate_model)}", "", box=SIMPLE_HEAD)
    table.add_row(
        "alone right", f"{report.losses:,}", f"{report.wins:,}", f"{report.ties:,} ties, {report.judged:,} judged"
    )
    table.add_row("win rate", "", f"{report.win_rate.estimate:.3f}", _ends(report.win_rate, "confidence sequence"))
    table.add_row("e-value", "", f"{report.e_value:.4g}", f"promotes from {report.e_threshold:.4g}")
    table.add_row(
        "accuracy",
        f"{report.accuracy_a.estimate:.1%}",
        f"{report.accuracy_b.estimate:.1%}",
        f"difference {report.accuracy_difference.estimate:+.1%}",
    )
    table.add_row("Brier score", f"{report.calibration_a.brier:.4f}", f"{report.calibration_b.brier:.4f}", "")
    table.add_row("p95 latency", f"{report.latency_p95_a:.0f} ms", f"{report.latency_p95_b:.0f} ms", "")
    table.add_row("invalid answers", "", f"{report.invalid_rate_b:.1%}", "")
    table.add_row("pairs", "", f"{report.pairs:,}", f"of {report.requests:,} requests, {report.sampled:,} sampled")
    return table


def _classes(report: shadow_pb2.ComparisonReport) -> Table:
    table = Table("true label", "pairs", "A right", "B right", box=SIMPLE_HEAD)
    for group in report.classes:
        table.add_row(escape(group.label), f"{group.pairs:,}", f"{group.right_a:,}", f"{group.right_b:,}")
    return table


def _ends(interval: shadow_pb2.Interval, name: str) -> str:
    return f"{name} {interval.low:.3f} to {interval.high:.3f}"
