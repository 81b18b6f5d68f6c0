"""`becas-ft rollback`."""

import getpass
from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def rollback(
    category: Annotated[str, typer.Argument(help="The category, such as scam_detection.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")],
    to_version: Annotated[
        int | None, typer.Option(min=0, help="One that answered before, or 0 for the base; else the one before.")
    ] = None,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Point a category back at an earlier model."""
    from becas.ft.v1 import example_pb2, model_pb2, model_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect, new_request_id
    from becas_ft.messages import enum_value, to_json

    request = model_pb2.RollbackRequest(
        category=enum_value("category", example_pb2.Category.DESCRIPTOR, category),
        reason=reason,
        to_version=to_version,
        actor=getpass.getuser(),
        request_id=new_request_id(),
    )
    with connect(server) as channel:
        done = model_service_pb2_grpc.ModelServiceStub(channel).Rollback(request, timeout=CALL_SECONDS)
    typer.echo(to_json(done) if as_json else f"{done.alias.name} answers with {done.alias.model}")
