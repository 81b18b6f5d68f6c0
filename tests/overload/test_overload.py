"""More than the server can take, from real clients: it says so, takes no more memory, and serves what it can."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest

from becas.ft.v1 import ingest_pb2
from helpers import load, process
from helpers.load import Load, Sent, ending
from helpers.server import ServerProcess, ServerStarter

BATCH = 100
CALLERS = 32
# Numbers of events are spread so far that no two senders share one.
APART = 100_000_000
MOST_KB = 700 << 10
# Refusals are the server's own: with a shorter deadline a slow machine would add some of the clients'.
PATIENCE = 240.0
ALLOWED = {"RESOURCE_EXHAUSTED", "UNAVAILABLE"}

Record = Callable[[str, object], None]


class Peak:
    """The most anonymous memory that a server has while this is entered; in kB."""

    def __init__(self, server: ServerProcess) -> None:
        self.kb = 0
        self._pid = server.process.pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.kb = max(self.kb, process.anonymous_kb(self._pid))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """Where a sender begins."""
    return iter(range(0, 10**12, APART))


def at_most(server: ServerProcess, seconds: float, numbers: Iterator[int]) -> Sent:
    """As much as the server takes from callers that wait for their answers."""
    options = {
        "address": server.address,
        "batch": BATCH,
        "seconds": seconds,
        "callers": CALLERS // 2,
        "patience": PATIENCE,
    }
    senders = [Load("send", first=next(numbers), **options) for _ in range(2)]
    with ending(senders):
        return Sent.together([sender.sent() for sender in senders])


def too_much(
    server: ServerProcess, rate: float, seconds: float, numbers: Iterator[int], nuisances: list[Load]
) -> tuple[Sent, list[dict[str, int]]]:
    """Requests at a rate, whatever becomes of them, and nuisances beside; what came of both."""
    options = {
        "address": server.address,
        "batch": BATCH,
        "seconds": seconds,
        "rate": rate / 2,
        "patience": PATIENCE,
    }
    senders = [Load("send", first=next(numbers), **options) for _ in range(2)]
    with ending([*senders, *nuisances]):
        return Sent.together([sender.sent() for sender in senders]), [nuisance.result() for nuisance in nuisances]


def lost(server: ServerProcess, sent: Sent, most: int) -> int:
    """How many of the newest acknowledged requests the server does not know any more."""
    missing = 0
    with server.channel() as channel:
        call: Any = channel.unary_unary(load.INGEST)
        for first in sent.acknowledged[-most:]:
            answer = ingest_pb2.IngestResponse.FromString(call(load.request(first, sent.batch), timeout=60))
            missing += sum(receipt.status != ingest_pb2.STATUS_DUPLICATE for receipt in answer.receipts)
    return missing


def overload(
    server: ServerProcess, seconds: float, streams: int, numbers: Iterator[int], record: Record
) -> tuple[Sent, Sent, int, list[dict[str, int]]]:
    """The maximum, then three times as much of it with every nuisance; and the peak of memory."""
    maximum = at_most(server, seconds / 2, numbers)
    rate = 3 * maximum.goodput / BATCH
    common = {"address": server.address, "seconds": seconds}
    nuisances = [
        Load("idle", streams=streams, **common),
        Load("dawdle", streams=4, **common),
        Load("reset", rate=200, **common),
    ]
    with Peak(server) as peak:
        much, ends = too_much(server, rate, seconds, numbers, nuisances)
    record("maximum, events/s", round(maximum.goodput))
    record("goodput at three times that", round(much.goodput))
    record("peak, kB", peak.kb)
    record("ends", dict(much.codes))
    print(  # noqa: T201 - pytest shows it with -s, and where the test fails
        f"maximum {maximum.goodput:,.0f} events/s; offered {rate * BATCH:,.0f}, goodput {much.goodput:,.0f}, "
        f"{dict(much.codes)}, withheld {much.withheld}; peak {peak.kb // 1024} MiB; {ends}"
    )
    return maximum, much, peak.kb, ends


@pytest.mark.long
@pytest.mark.timeout(600)
def test_overload(start_server: ServerStarter, numbers: Iterator[int], record_property: Record) -> None:
    """Three times the maximum, idle streams, slow readers and resets: refusals that say when, and nothing lost."""
    server = start_server(BECAS_FT_STORE__QUEUE_BYTES="2 MiB")

    maximum, much, peak, (idle, slow, _) = overload(server, 16, 100, numbers, record_property)

    assert maximum.codes.keys() <= ALLOWED
    assert much.codes.keys() <= ALLOWED
    assert much.codes["RESOURCE_EXHAUSTED"] > 0
    assert much.acknowledged
    # Every event of an answered request got its receipt, and is there.
    assert much.accepted == len(much.acknowledged) * BATCH
    assert lost(server, much, 50) == 0
    assert idle.keys() <= {"OPEN", *ALLOWED}
    assert slow == {"OPEN": 4}
    assert peak < MOST_KB
    # And when they are gone the server is what it was.
    time.sleep(1)
    again = at_most(server, 3, numbers)
    assert again.acknowledged
    assert again.codes.total() == 0
    assert server.stop() == 0


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_overload_long(start_server: ServerStarter, numbers: Iterator[int], record_property: Record) -> None:
    """Ten thousand idle streams, minutes of three times the maximum: at least nine tenths of it get through."""
    server = start_server()

    maximum, much, peak, (idle, slow, _) = overload(server, 120, 10_000, numbers, record_property)

    assert much.codes.keys() <= ALLOWED
    assert much.accepted == len(much.acknowledged) * BATCH
    assert lost(server, much, 500) == 0
    assert idle["RESOURCE_EXHAUSTED"] >= 10_000 - 512
    assert slow == {"OPEN": 4}
    assert peak < MOST_KB
    assert much.goodput >= 0.9 * maximum.goodput
