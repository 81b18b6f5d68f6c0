"""`becas-ft events`."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from becas.ft.v1 import published_event_pb2

# What is kept arrives at once; after a silence of this length there is no more of it.
_SILENCE_SECONDS: Final = 2.0


def events(
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Wait for what happens, over the server's restarts, until interrupted."),
    ] = False,
    after: Annotated[int, typer.Option(min=0, help="Only events after this cursor.")] = 0,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Show what happened; with --json one object a line."""
    from becas_ft.messages import to_json

    for event in _followed(server, after) if follow else _kept(server, after):
        typer.echo(to_json(event) if as_json else _line(event))


def _followed(server: str, after: int) -> "Iterator[published_event_pb2.PublishedEvent]":
    from becas_ft.cli.event_stream import follow

    return follow(server, after, lambda line: typer.echo(line, err=True))


def _kept(server: str, after: int) -> "Iterator[published_event_pb2.PublishedEvent]":
    import grpc

    from becas.ft.v1 import event_service_pb2_grpc, published_event_pb2
    from becas_ft.cli.connection import connect

    with connect(server) as channel:
        stub = event_service_pb2_grpc.EventServiceStub(channel)
        last = time.monotonic()
        # A stream's time runs on while the reader is busy with what came: the next one goes on after that.
        while (left := last + _SILENCE_SECONDS - time.monotonic()) > 0:
            try:
                for event in stub.Subscribe(published_event_pb2.SubscribeRequest(after_cursor=after), timeout=left):
                    yield event
                    after, last = event.cursor, time.monotonic()
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise


def _line(event: "published_event_pb2.PublishedEvent") -> str:
    from becas.ft.v1 import example_pb2
    from becas_ft.messages import enum_name

    category = enum_name(example_pb2.Category.DESCRIPTOR, event.category) or ""
    subject = event.model or event.job_id or event.trial_id
    parts = (str(event.cursor), event.time.ToJsonString(), event.name, category, subject, event.reason)
    return "  ".join(part for part in parts if part)
