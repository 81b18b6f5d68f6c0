"""`becas-ft promote`."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc

    from becas.ft.v1 import shadow_pb2


def promote(  # noqa: PLR0917 - a command has the options that it has
    model: Annotated[str, typer.Argument(help="The model; see `becas-ft models`.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Although the gate says no; kept in the audit log.")] = False,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Point a category at a model whose trial passed; shows the report and asks first."""
    from becas.ft.v1 import model_pb2, model_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect, new_request_id
    from becas_ft.messages import to_json

    with connect(server) as channel:
        if not yes:
            _show(channel, model)
            typer.confirm(f"Promote {model}?", abort=True, err=as_json)
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        request = model_pb2.PromoteRequest(
            model=model, actor=getpass.getuser(), reason=reason, force=force, request_id=new_request_id()
        )
        done = stub.Promote(request, timeout=CALL_SECONDS)
    typer.echo(to_json(done) if as_json else f"{done.alias.name} answers with {done.alias.model}")


def _show(channel: "grpc.Channel", model: str) -> None:
    """The report of the model's newest trial, on standard error: the answer alone goes to standard output."""
    from becas.ft.v1 import shadow_pb2, shadow_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS
    from becas_ft.cli.options import wide_console
    from becas_ft.shadow import report_text

    stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
    known = stub.GetShadowStats(shadow_pb2.GetShadowStatsRequest(), timeout=CALL_SECONDS).recent
    trial = _newest(known, model)
    console = wide_console(stderr=True)
    if trial is None:
        console.print("no shadow test of this model is known")
        return
    request = shadow_pb2.GetComparisonReportRequest(trial_id=trial.trial_id)
    console.print(report_text.render(stub.GetComparisonReport(request, timeout=CALL_SECONDS).report))


def _newest(trials: "Iterable[shadow_pb2.Trial]", model: str) -> "shadow_pb2.Trial | None":
    return next((trial for trial in trials if trial.candidate_model == model and not trial.watch), None)
