"""Models, trials, disagreements and the audit log for people."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from becas.ft.v1 import example_pb2, model_pb2, shadow_pb2
from becas_ft.cli.options import wide_console
from becas_ft.messages import enum_name

_CATEGORIES = example_pb2.Category.DESCRIPTOR


def print_models(found: model_pb2.ListModelsResponse) -> None:
    """A table; the model that answers is marked."""
    answering = {alias.model for alias in found.aliases}
    table = Table("model", "category", "version", "state", "base", "answers", box=SIMPLE_HEAD)
    for model in found.models:
        table.add_row(
            escape(model.name),
            enum_name(_CATEGORIES, model.category) or "",
            str(model.version) if model.version else "",
            enum_name(model_pb2.ModelState.DESCRIPTOR, model.state),
            escape(model.base_model),
            "yes" if model.name in answering else "",
        )
    console = wide_console()
    console.print(table)
    for alias in found.aliases:
        console.print(f"{alias.name} ► {escape(alias.model)}")


def print_trials(found: shadow_pb2.GetShadowStatsResponse) -> None:
    """Totals, then the trials, newest first."""
    console = wide_console()
    console.print(f"trials: {found.trials:,}, running: {found.running:,}, dropped requests: {found.overflow:,}")
    for title, counts in (("task type", found.pairs_by_task_type), ("candidate", found.pairs_by_model)):
        for name, pairs in sorted(counts.items()):
            console.print(f"pairs, {title} {escape(name)}: {pairs:,}")
    table = Table("trial", "A", "B", "state", box=SIMPLE_HEAD)
    for trial in found.recent:
        state = "running" if trial.running else f"ended: {trial.ended_reason}"
        table.add_row(trial.trial_id, escape(trial.base_model), escape(trial.candidate_model), escape(state))
    console.print(table)


def print_disagreements(found: shadow_pb2.ListDisagreementsResponse) -> None:
    """A table, oldest first."""
    table = Table("pair", "category", "A", "B", "input", box=SIMPLE_HEAD)
    for entry in found.disagreements:
        table.add_row(
            entry.pair_id,
            enum_name(_CATEGORIES, entry.category),
            escape(entry.label_a),
            escape(entry.label_b),
            escape(entry.input),
        )
    console = wide_console()
    console.print(table)
    if found.next_page_token:
        console.print("there are more: ask for them with --limit")


def print_audit(entries: Iterable[model_pb2.AuditEntry]) -> None:
    """A table, oldest first."""
    table = Table("#", "time", "action", "category", "from", "to", "who", "why", box=SIMPLE_HEAD)
    for entry in entries:
        table.add_row(
            str(entry.sequence),
            entry.time.ToJsonString()[:19],
            entry.action,
            enum_name(_CATEGORIES, entry.category) or "",
            escape(entry.from_model),
            escape(entry.to_model),
            escape(entry.actor),
            escape(entry.reason),
        )
    wide_console().print(table)
