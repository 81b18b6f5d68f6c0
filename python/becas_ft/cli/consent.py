"""`becas-ft consent`."""

from enum import StrEnum
from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


class Decision(StrEnum):
    """What a guild decided."""

    GRANT = "grant"
    WITHDRAW = "withdraw"


def consent(
    guild_id: Annotated[str, typer.Argument(help="The guild's id.")],
    decision: Annotated[Decision, typer.Argument(help="Withdrawing erases the guild's examples.")],
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """State whether a guild's events may be used; after `withdraw` they are REFUSED."""
    from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc
    from becas_ft.cli.connection import LONG_CALL_SECONDS, connect
    from becas_ft.messages import to_json

    request = dataset_pb2.SetConsentRequest(guild_id=guild_id, granted=decision is Decision.GRANT)
    with connect(server) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        answer = stub.SetConsent(request, timeout=LONG_CALL_SECONDS)
    if as_json:
        typer.echo(to_json(answer))
    elif decision is Decision.GRANT:
        typer.echo("granted: the guild's events are used from now on")
    else:
        typer.echo(f"withdrawn: {answer.examples:,} examples erased; the guild's events are refused from now on")
