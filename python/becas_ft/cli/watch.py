"""`becas-ft watch`."""

from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def watch(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="Its id, such as scam_detection-1.")],
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Follow a training job until its candidate is offered or it ends."""
    from becas.ft.v1 import training_service_pb2_grpc
    from becas_ft.cli.connection import connect
    from becas_ft.cli.job_view import follow
    from becas_ft.messages import to_json

    with connect(server) as channel:
        job = follow(training_service_pb2_grpc.TrainingServiceStub(channel), job_id, quiet=as_json)
    if as_json:
        typer.echo(to_json(job))
    if job.error:
        raise typer.Exit(1)
