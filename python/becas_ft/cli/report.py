"""`becas-ft report`."""

from pathlib import Path
from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def report(
    trial: Annotated[str, typer.Argument(help="The trial's id; see `becas-ft shadow stats`.")],
    html: Annotated[Path | None, typer.Option(help="Also write the report as one page to this file.")] = None,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Show what a trial says; it holds however often one looks."""
    from becas.ft.v1 import shadow_pb2, shadow_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.options import wide_console
    from becas_ft.messages import to_json
    from becas_ft.shadow import report_text

    with connect(server) as channel:
        stub = shadow_service_pb2_grpc.ShadowServiceStub(channel)
        request = shadow_pb2.GetComparisonReportRequest(trial_id=trial, html=html is not None)
        found = stub.GetComparisonReport(request, timeout=CALL_SECONDS)
    if html is not None:
        html.write_text(found.html, encoding="utf-8")
    if as_json:
        typer.echo(to_json(found.report))
    else:
        wide_console().print(report_text.render(found.report))
