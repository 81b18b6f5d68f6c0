"""More than the server can take, from real clients: it says so, takes no more memory, and serves what it can."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from becas.ft.v1 import ingest_pb2
from helpers import load, process
from helpers.load import Load, Sent, ending
from helpers.server import ServerProcess, ServerStarter

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


@contextlib.contextmanager
def processors(mine: set[int]) -> Iterator[None]:
    """Keep this process, and those that it starts, on some processors."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


@pytest.fixture
def own_processors(start_server: ServerStarter) -> Iterator[ServerStarter]:
    """Starts servers on half of the processors; what this process starts afterwards stays on the others.

    Senders and nuisances are elsewhere in life, and here would take from the server what they need to send more.
    """
    every = sorted(os.sched_getaffinity(0))
    half = len(every) // 2
    if not half:
        pytest.skip("a processor for the server and another for what it is sent are needed")

    def start(*options: str, **variables: str) -> ServerProcess:
        with processors(set(every[:half])):
            return start_server(*options, **variables)

    with processors(set(every[half:])):
        yield start


@dataclass(frozen=True)
class Senders:
    """Two senders of requests to a server, each on a connection of its own.

    Attributes:
        batch: events of a request.
        numbers: where each begins.
    """

    server: ServerProcess
    batch: int
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(0, 10**12, APART)))

    def at_most(self, seconds: float) -> Sent:
        """As much as the server takes from callers that wait for their answers."""
        return self._send(seconds, callers=CALLERS // 2)

    def at_rate(self, events: float, seconds: float) -> Sent:
        """So many events a second, whatever becomes of them."""
        return self._send(seconds, rate=events / self.batch / 2)

    def _send(self, seconds: float, **options: float) -> Sent:
        common = {"address": self.server.address, "batch": self.batch, "seconds": seconds, "patience": PATIENCE}
        senders = [Load("send", first=next(self.numbers), **common, **options) for _ in range(2)]
        with ending(senders):
            return Sent.together([sender.sent() for sender in senders])


@contextlib.contextmanager
def nuisances(server: ServerProcess, seconds: float, streams: int, ends: list[dict[str, int]]) -> Iterator[None]:
    """Idle streams, exports that nobody reads and a flood of resets, in place and for so long; how they ended."""
    common = {"address": server.address, "seconds": seconds}
    options: dict[str, dict[str, int]] = {
        "idle": {"streams": streams},
        "dawdle": {"streams": 4},
        "reset": {"rate": 200},
    }
    in_place = [server.output_dir / kind for kind in options]
    found = [
        Load(kind, begun=str(begun), **common, **more)
        for begun, (kind, more) in zip(in_place, options.items(), strict=True)
    ]
    with ending(found):
        late = time.monotonic() + PATIENCE
        while not all(begun.exists() for begun in in_place):
            assert time.monotonic() < late, "a nuisance did not begin"
            time.sleep(0.05)
        yield
        ends += [nuisance.result() for nuisance in found]


def lost(server: ServerProcess, sent: Sent, most: int) -> int:
    """How many of the newest acknowledged requests the server does not know any more."""
    missing = 0
    with server.channel() as channel:
        call: Any = channel.unary_unary(load.INGEST)
        for first in sent.acknowledged[-most:]:
            answer = ingest_pb2.IngestResponse.FromString(call(load.request(first, sent.batch), timeout=60))
            missing += sum(receipt.status != ingest_pb2.STATUS_DUPLICATE for receipt in answer.receipts)
    return missing


def told(name: str, sent: Sent, record: Record) -> None:
    """Keep what came of a load; pytest shows it with -s, and where a test fails."""
    record(name, round(sent.goodput))
    print(f"{name}: {sent.goodput:,.0f} events/s, {dict(sent.codes)}, withheld {sent.withheld}")  # noqa: T201 - as it says


@pytest.mark.long
@pytest.mark.timeout(600)
def test_overload(own_processors: ServerStarter, record_property: Record) -> None:
    """Three times the maximum, idle streams, slow readers and resets: refusals that say when, and nothing lost."""
    server = own_processors(BECAS_FT_STORE__QUEUE_BYTES="8 MiB")
    # A few of so large requests fill the queue, which is bounded in bytes.
    senders = Senders(server, batch=500)
    ends: list[dict[str, int]] = []

    maximum = senders.at_most(8)
    with Peak(server) as peak, nuisances(server, 40, 100, ends):
        much = senders.at_rate(3 * maximum.goodput, 16)
    idle, slow, _ = ends
    told("maximum", maximum, record_property)
    told("three times that beside nuisances", much, record_property)

    assert maximum.codes.total() == 0
    assert much.codes.keys() <= ALLOWED
    assert much.codes["RESOURCE_EXHAUSTED"] > 0
    assert much.acknowledged
    # Every event of an answered request got its receipt, and is there.
    assert much.accepted == len(much.acknowledged) * senders.batch
    assert lost(server, much, 50) == 0
    assert idle.keys() <= {"OPEN", *ALLOWED}
    assert slow == {"OPEN": 4}
    assert peak.kb < MOST_KB
    # And when they are gone the server is what it was.
    time.sleep(1)
    again = senders.at_most(3)
    assert again.acknowledged
    assert again.codes.total() == 0
    assert server.stop() == 0


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_overload_long(own_processors: ServerStarter, record_property: Record) -> None:
    """Minutes of three times the maximum, alone and beside ten thousand idle streams: nine tenths get through."""
    server = own_processors()
    senders = Senders(server, batch=100)
    ends: list[dict[str, int]] = []

    # An event costs more once its category is full and the ids of a million have to be remembered.
    senders.at_most(60)
    before = senders.at_most(60)
    alone = senders.at_rate(3 * before.goodput, 120)
    missing = lost(server, alone, 500)
    # Before and after, since the machine and the store change meanwhile.
    maximum = Sent.one_after_another([before, senders.at_most(60)])
    with Peak(server) as peak, nuisances(server, 260, 10_000, ends):
        beside = senders.at_most(60)
        much = senders.at_rate(3 * maximum.goodput, 120)
        missing += lost(server, much, 500)
    idle, slow, resets = ends
    told("maximum", maximum, record_property)
    told("three times that", alone, record_property)
    told("maximum beside nuisances", beside, record_property)
    told("three times the maximum beside nuisances", much, record_property)
    print(f"peak {peak.kb >> 10} MiB, {idle}, {slow}, {resets}")  # noqa: T201 - as above
    record_property("peak, kB", peak.kb)

    for sent in (alone, much):
        assert sent.codes.keys() <= ALLOWED
        assert sent.accepted == len(sent.acknowledged) * senders.batch
    assert missing == 0
    assert idle["RESOURCE_EXHAUSTED"] >= 10_000 - 512
    assert slow == {"OPEN": 4}
    assert peak.kb < MOST_KB
    assert alone.goodput >= 0.9 * maximum.goodput
    # What overload does, apart from what nuisances do without it; then both together.
    assert much.goodput >= 0.9 * beside.goodput
    assert much.goodput >= 0.9 * maximum.goodput
