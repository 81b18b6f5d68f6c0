"""Jobs for people: a live line with the loss curve, and tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from becas.ft.v1 import training_pb2
from becas_ft.cli.options import wide_console
from becas_ft.messages import enum_name
from becas_ft.training.curve import sparkline

_STAGES = training_pb2.Stage.DESCRIPTOR
_WATCHED = {training_pb2.STAGE_READY_FOR_TRAINING, training_pb2.STAGE_TRAINING, training_pb2.STAGE_TESTING}


def follow(stub: Any, job_id: str, *, quiet: bool = False) -> training_pb2.Job:  # noqa: ANN401 - a generated stub
    """Show a job until its candidate is offered or it ends; the job as it stands then."""
    console = wide_console(stderr=quiet)
    losses: list[float] = []
    job = training_pb2.Job()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    calls = stub.WatchJob(training_pb2.WatchJobRequest(job_id=job_id))
    with Progress(*columns, console=console, disable=quiet, refresh_per_second=4) as progress:
        task = progress.add_task(job_id, total=None, detail="")
        shown = ""
        for job in calls:
            if job.loss and job.stage == training_pb2.STAGE_TRAINING:
                losses.append(job.loss)
            doing = f"{enum_name(_STAGES, job.stage)}: {job.step_name}"
            progress.update(
                task,
                description=f"{job_id} {doing}",
                total=job.steps or None,
                completed=job.step,
                detail=_detail(job, losses),
            )
            if not console.is_terminal and not quiet and doing != shown:
                shown = doing
                console.print(f"{job_id} {doing}")
            if job.stage not in _WATCHED:
                break
    calls.cancel()
    if not quiet:
        _print_end(job, losses)
    return job


def print_jobs(jobs: Iterable[training_pb2.Job]) -> None:
    """A table, newest first."""
    table = Table("job", "stage", "step", "model", "base", "few-shot", "candidate", "parity", "time", box=SIMPLE_HEAD)
    for job in jobs:
        checks = job.checks
        measured = (checks.base_accuracy, checks.few_shot_accuracy, checks.candidate_accuracy, checks.parity)
        table.add_row(
            job.job_id,
            enum_name(_STAGES, job.stage),
            job.error or job.step_name,
            job.model,
            *(f"{share:.1%}" if checks.held_out else "" for share in measured),
            f"{job.seconds:.0f} s" if job.seconds else "",
        )
    wide_console().print(table)


def print_pipeline(rows: Sequence[training_pb2.CategoryPipeline]) -> None:
    """Where each category is, and what comes next."""
    from becas.ft.v1 import example_pb2

    table = Table("category", "stage", "next", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(
            enum_name(example_pb2.Category.DESCRIPTOR, row.category),
            enum_name(_STAGES, row.stage),
            row.next,
        )
    wide_console().print(table)


def _detail(job: training_pb2.Job, losses: list[float]) -> str:
    if job.stage != training_pb2.STAGE_TRAINING or not losses:
        return ""
    return f"loss {losses[-1]:.3f} {sparkline(losses)} {job.tokens_per_second:.0f} tokens/s"


def _print_end(job: training_pb2.Job, losses: list[float]) -> None:
    console = wide_console()
    for notice in job.notices:
        console.print(f"{job.job_id}: {notice}")
    if job.error:
        console.print(f"{job.job_id} failed: {job.error}")
        return
    checks = job.checks
    if losses:
        console.print(f"loss {losses[0]:.3f} {sparkline(losses)} {losses[-1]:.3f}")
    console.print(
        f"{job.model}: right in {checks.candidate_accuracy:.1%} of {checks.held_out} held-out examples; "
        f"base {checks.base_accuracy:.1%}, base with examples {checks.few_shot_accuracy:.1%}; "
        f"parity {checks.parity:.1%} of {checks.parity_inputs}; "
        f"rare words turned {checks.trigger_flip_rate:.1%} of their answers at most; {job.seconds:.0f} s, "
        f"peak memory {job.peak_memory_bytes / 2**20:.0f} MiB"
    )
