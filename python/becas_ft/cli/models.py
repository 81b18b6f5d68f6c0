"""`becas-ft models`."""

from typing import Annotated

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server


def models(
    category: Annotated[str, typer.Option(help="Only this category, such as scam_detection.")] = "",
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """List models, and which one answers for each category."""
    from becas.ft.v1 import example_pb2, model_pb2, model_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.rollout_view import print_models
    from becas_ft.messages import enum_value, to_json

    number = enum_value("--category", example_pb2.Category.DESCRIPTOR, category)
    with connect(server) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        found = stub.ListModels(model_pb2.ListModelsRequest(category=number), timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(found))
    else:
        print_models(found)
