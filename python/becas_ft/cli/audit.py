"""`becas-ft audit`."""

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from becas.ft.v1 import model_pb2

_LIMIT: Final = 100
_PAGE: Final = 1_000


def audit(
    after: Annotated[int, typer.Option(min=0, help="Only entries after this sequence.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries.")] = _LIMIT,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Recompute the log's whole chain of hashes; exit code 1 if it is broken."),
    ] = False,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Show who moved which category to which model, why, and on what evidence."""
    from becas.ft.v1 import model_pb2, model_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS, connect
    from becas_ft.cli.rollout_view import print_audit
    from becas_ft.errors import UsageError
    from becas_ft.messages import to_json

    if verify and (after, limit) != (0, _LIMIT):
        raise UsageError("--verify reads the whole log: leave --after and --limit out")
    with connect(server) as channel:
        if verify:
            _verify(_whole_log(channel), as_json=as_json)
            return
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        found = stub.ListAudit(model_pb2.ListAuditRequest(after_sequence=after, page_size=limit), timeout=CALL_SECONDS)
    if as_json:
        typer.echo(to_json(found))
    else:
        print_audit(found.entries)


def _verify(log: "Iterator[model_pb2.AuditEntry]", *, as_json: bool) -> None:
    from becas_ft.rollout.audit import check

    found = check(log)
    if as_json:
        typer.echo(json.dumps({"sound": found.sound, "hash": found.hash, "broken": found.broken}))
    elif found.broken is None:
        typer.echo(f"sound: {found.sound:,} entries, the newest hash is {found.hash}")
    else:
        typer.echo(
            f"broken at entry {found.broken}, the next after {found.sound} sound ones: it or the one before it was "
            "changed, or what stood between them was removed"
        )
    if found.broken is not None:
        raise typer.Exit(1)


def _whole_log(channel: "grpc.Channel") -> "Iterator[model_pb2.AuditEntry]":
    from becas.ft.v1 import model_pb2, model_service_pb2_grpc
    from becas_ft.cli.connection import CALL_SECONDS

    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    after = 0
    while True:
        request = model_pb2.ListAuditRequest(after_sequence=after, page_size=_PAGE)
        page = stub.ListAudit(request, timeout=CALL_SECONDS).entries
        if not page:
            return
        yield from page
        after = page[-1].sequence
