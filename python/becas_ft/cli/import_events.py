"""`becas-ft import`."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from becas_ft.cli.options import DEFAULT_SERVER, Json, Server

if TYPE_CHECKING:
    import grpc

    from becas_ft.cli.event_file import Batch, EventFile
    from becas_ft.cli.receipts import Tally

_BATCH_EVENTS: Final = 500
_BATCH_BYTES: Final = 1 << 20
_LINE_SECONDS: Final = 5.0
# Requests that may wait for their answer; the server works on several at once.
_WINDOW: Final = 8


def import_events(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl[.gz]", help="Events as bots publish them, one a line.")],
    receipts: Annotated[
        Path | None,
        typer.Option(metavar="OUT.jsonl", help="Write what became of each event, in their order."),
    ] = None,
    server: Server = DEFAULT_SERVER,
    as_json: Json = False,
) -> None:
    """Send a file of events. Repeating it is harmless: an event id counts once."""
    from becas_ft.cli.event_file import EventFile

    started = time.monotonic()
    with ExitStack() as stack:
        events = EventFile(file)
        stack.callback(events.close)
        out = stack.enter_context(_atomic(receipts)) if receipts is not None else None
        progress = stack.enter_context(_progress(events))
        tally = _send(events, server, out, progress)
    seconds = time.monotonic() - started
    summary = {**tally.as_object(), "seconds": round(seconds, 3)}
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        _print(tally, seconds)


def send_file(path: Path, server: str) -> "Tally":
    """Send a file of events, with the progress bar; what became of them."""
    from becas_ft.cli.event_file import EventFile

    with ExitStack() as stack:
        events = EventFile(path)
        stack.callback(events.close)
        return _send(events, server, None, stack.enter_context(_progress(events)))


def _send(events: "EventFile", server: str, out: IO[str] | None, progress: Callable[[int], None]) -> "Tally":
    """Stream every batch and settle the answers in order."""
    from collections import deque
    from queue import SimpleQueue

    from becas.ft.v1 import ingest_pb2
    from becas_ft.cli.connection import connect
    from becas_ft.cli.receipts import Tally

    tally = Tally()
    waiting: deque[Batch] = deque()
    outgoing: SimpleQueue[bytes | None] = SimpleQueue()
    with connect(server) as channel:
        stream: grpc.StreamStreamMultiCallable[bytes, ingest_pb2.IngestResponse] = channel.stream_stream(
            "/becas.ft.v1.IngestService/IngestStream",
            request_serializer=None,
            response_deserializer=ingest_pb2.IngestResponse.FromString,
        )
        responses = stream(iter(outgoing.get, None))

        def settle() -> None:
            batch = waiting.popleft()
            tally.settle(batch, next(responses) if batch.events else None, out)
            progress(len(batch.entries))

        try:
            for batch in events.batches(_BATCH_EVENTS, _BATCH_BYTES):
                waiting.append(batch)
                if batch.events:
                    outgoing.put(batch.request())
                if len(waiting) >= _WINDOW:
                    settle()
            while waiting:
                settle()
            outgoing.put(None)
            # The stream ends by itself; a channel that closes first would cancel it.
            next(responses, None)
        finally:
            outgoing.put(None)
    return tally


@contextmanager
def _atomic(path: Path) -> Iterator[IO[str]]:
    """A file that appears under its name only once it is whole and on disk."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _progress(events: "EventFile") -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else a line now and then, on standard error; told how many lines are settled."""
    if not sys.stderr.isatty():
        yield _lines(events)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[settled]:,} events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("import", total=events.size, settled=0)
        settled = 0

        def advance(count: int) -> None:
            nonlocal settled
            settled += count
            bar.update(task, completed=events.position(), settled=settled)

        yield advance
        bar.update(task, completed=events.size)


def _lines(events: "EventFile") -> Callable[[int], None]:
    settled, due = 0, time.monotonic() + _LINE_SECONDS

    def advance(count: int) -> None:
        nonlocal settled, due
        settled += count
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_SECONDS
            sys.stderr.write(f"{settled:,} events, {100 * events.position() // max(1, events.size)} % of the file\n")

    return advance


def _print(tally: "Tally", seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from becas_ft.cli.receipts import STATUSES

    table = Table("status", title="Import", title_justify="left")
    table.add_column("events", justify="right")
    for status in STATUSES:
        table.add_row(status, f"{tally.statuses[status]:,}")
    table.add_section()
    total = tally.statuses.total()
    table.add_row("all", f"{total:,}")
    console = Console()
    console.print(table)
    console.print(f"{seconds:.1f} s, {total / max(seconds, 1e-9):,.0f} events/s")
    for reason, count in tally.reasons.most_common():
        console.print(f"{reason}: {count:,}")
