"""`becas-ft audit`."""

from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def audit(
    after: Annotated[int, typer.Option(min=0, help="Only entries after this sequence.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries.")] = 100,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Show who moved which category to which model, why, and on what evidence."""
    from becas.ft.v1 import model_pb2, model_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.rollout_view import print_audit
    from becas_ft.messages import to_json

    with connect(server) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        found = stub.ListAudit(model_pb2.ListAuditRequest(after_sequence=after, page_size=limit), timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(found))
    else:
        print_audit(found.entries)
