"""`becas-ft train`."""

from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def train(  # noqa: PLR0917 - Typer calls it by keyword
    category: Annotated[str, typer.Argument(help="What to learn, such as scam_detection.")],
    base: Annotated[str, typer.Option(help="Base model; the category's own where empty.")] = "",
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="Makes the run repeatable.")] = 0,
    max_examples: Annotated[int, typer.Option(min=0, help="At most so many; 0: no limit.")] = 0,
    epochs: Annotated[float, typer.Option(min=0, max=100, help="Passes over the data; 0: the recipe's.")] = 0,
    override_readiness: Annotated[
        bool, typer.Option("--override-readiness", help="Train although the category is not ready; recorded.")
    ] = False,
    watch: Annotated[bool, typer.Option(help="Follow the job until it ends.")] = True,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Train a category: dataset, adapter, served candidate, checks."""
    from becas.ft.v1 import example_pb2, training_pb2, training_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.job_view import follow
    from becas_ft.messages import enum_value, to_json

    request = training_pb2.TrainRequest(
        category=enum_value("CATEGORY", example_pb2.Category.DESCRIPTOR, category),
        base_model=base,
        seed=seed,
        max_examples=max_examples,
        epochs=epochs,
        override_readiness=override_readiness,
    )
    with connect(server) as channel:
        stub = training_service_pb2_grpc.TrainingServiceStub(channel)
        job = stub.Train(request, timeout=CALL_SECONDS)
        if watch:
            job = follow(stub, job.job_id, quiet=as_json)
    if as_json:
        typer.echo(to_json(job))
    elif not watch:
        typer.echo(f"{job.job_id} has begun: follow it with `becas-ft watch {job.job_id}`")
    if watch and job.error:
        raise typer.Exit(1)
