"""`becas-ft health`."""

import json
from typing import Any, Final

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server

_SECONDS: Final = 5.0


def health(server: Server = DEFAULT_SERVER, as_json: Json = False) -> None:
    """Say whether the server takes calls, for supervisors: exit code 0 where it does. Needs no token."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from becas_ft.cli.connection import connect
    from becas_ft.errors import CommandError

    with connect(server) as channel:
        check: Any = health_pb2_grpc.HealthStub(channel)
        answer = check.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise CommandError(f"the server at {server} answers {status}: it is about to stop, or its disk failed")
    typer.echo(json.dumps({"status": status}) if as_json else status)
