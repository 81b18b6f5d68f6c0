"""`becas-ft forget`."""

from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def forget(
    user_id: Annotated[str, typer.Argument(help="The member's id; `-` reads it from standard input.")],
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Erase everything about a member: author, target, mentioned. It cannot be undone."""
    from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc
    from becas_ft.cli.connection import LONG_CALL_SECONDS, connect
    from becas_ft.messages import to_json

    # An argument is visible to everyone on the machine while the command runs; standard input is not.
    request = dataset_pb2.ForgetRequest(user_id=_standard_input() if user_id == "-" else user_id)
    with connect(server) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        answer = stub.Forget(request, timeout=LONG_CALL_SECONDS)
    if as_json:
        typer.echo(to_json(answer))
        return
    typer.echo(f"erased: {answer.examples:,} examples, {answer.other_records:,} other records")
    for kind, names in (("dataset", answer.datasets), ("model", answer.models)):
        for name in names:
            typer.echo(f"built on what was erased: {kind} {name}")


def _standard_input() -> str:
    return typer.get_text_stream("stdin").readline().strip()
