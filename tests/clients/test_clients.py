"""The client packages, each through its benchmark command, against real servers."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc
from helpers.access import keys
from helpers.gate import Gate
from helpers.overload import Overloaded
from helpers.programs import CLIENTS, Program, Run
from helpers.server import ServerProcess, ServerStarter

# What the bench publishes: .35 × .9 confidence, .15 reasoning, .15 outcome, .20 validated, .10 retrieved: gold.
EVENTS: Final = 1200
PACE_SECONDS: Final = 0.004


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Program:
    """Each client, built as its README says."""
    made = CLIENTS[request.param]
    made.make()
    return made


class Bench:
    """Runs the bench of a client."""

    def __init__(self, client: Program, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._runs = 0

    def __call__(
        self, server: str, *flags: str, events: int = EVENTS, prefix: str = "first", **variables: str
    ) -> AbstractContextManager[Run]:
        """The running bench."""
        self._runs += 1
        sizes = ("--server", server, "--events", str(events), "--prefix", prefix)
        return self._client.run(self._folder / str(self._runs), *sizes, *flags, **variables)


@pytest.fixture
def bench(client: Program, inputs: Path) -> Bench:
    """The bench of each client; what it printed may show ids."""
    return Bench(client, inputs)


def settled(lines: list[dict[str, Any]]) -> dict[str, str]:
    """The status of each event that has a receipt; an AssertionError where one has two."""
    pairs = [(line["receipt"], line["status"]) for line in lines if "receipt" in line]
    assert len(pairs) == len({event for event, _ in pairs})
    return dict(pairs)


def stored(server: ServerProcess) -> int:
    with server.channel() as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        return stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=30).total_examples


def ids(prefix: str = "first", events: int = EVENTS) -> list[str]:
    return [f"{prefix}-{number}" for number in range(events)]


def test_receipts(bench: Bench, server: ServerProcess) -> None:
    """Each event gets its own receipt, in the order of publishing; sent again, each is a duplicate."""
    with bench(server.address, "--trace") as run:
        lines = run.result()

    assert list(settled(lines).items()) == [(event, "ACCEPTED") for event in ids()]
    assert lines[-1]["events"] == EVENTS
    assert lines[-1]["statuses"] == {"ACCEPTED": EVENTS}
    assert lines[-1]["events_per_second"] == pytest.approx(EVENTS / lines[-1]["seconds"])

    with bench(server.address, "--trace", events=EVENTS + 1) as run:
        again = run.result()

    assert Counter(settled(again).values()) == {"DUPLICATE": EVENTS, "ACCEPTED": 1}
    assert stored(server) == EVENTS + 1


def test_invalid(bench: Bench, server: ServerProcess) -> None:
    """An event that is wrong has its receipt too, which names the field and the remedy; those beside it are stored."""
    with bench(server.address, "--trace", "--confidence", "1.5", events=2) as run:
        lines = run.result()

    told = [line for line in lines if "receipt" in line]
    assert [line["status"] for line in told] == ["INVALID", "INVALID"]
    for line in told:
        (reason,) = line["reasons"]
        assert reason.startswith("OUT_OF_RANGE: scam_detected.analysis.confidence: ")
    assert stored(server) == 0


def test_refused_at_once(bench: Bench, server: ServerProcess) -> None:
    """An event without a usable id is the bot's error: `publish` says so, and nothing is sent."""
    with bench(server.address, events=1, prefix="x" * 256) as run:
        assert run.ended() == 1

    assert "empty, or over 256 bytes: derive it from what happened" in run.errors()
    assert stored(server) == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["drained", "killed"])
def test_restart(bench: Bench, start_server: ServerStarter, end: signal.Signals) -> None:
    """A server that goes and comes back in the middle loses nothing of what was accepted, and stores nothing twice."""
    first = start_server()
    with bench(first.address, "--trace", "--pace", str(PACE_SECONDS)) as run:
        run.wait_until(lambda lines: len(settled(lines)) > EVENTS // 10)
        first.process.send_signal(end)
        first.process.wait(60)
        begun = settled(run.lines())
        second = start_server("--listen", first.address)
        lines = run.result()

    assert len(begun) < EVENTS
    assert list(settled(lines)) == ids()
    # Where an answer was lost, its event was on disk already.
    assert set(settled(lines).values()) <= {"ACCEPTED", "DUPLICATE"}
    assert stored(second) == EVENTS


def test_lost_answers(bench: Bench, server: ServerProcess) -> None:
    """Where the connection breaks before an answer arrives, its events are sent again and counted once."""
    with Gate(server.address) as gate:
        gate.open()
        gate.lose(2)
        with bench(gate.address, "--trace") as run:
            lines = run.result()

    assert list(settled(lines)) == ids()
    assert "DUPLICATE" in settled(lines).values()
    assert stored(server) == EVENTS


def test_overloaded(bench: Bench, server: ServerProcess) -> None:
    """A client that is told RESOURCE_EXHAUSTED comes back when RetryInfo says, and loses nothing.

    Where gRPC hides the first refusal behind a failed write, the client asks once more and listens before it writes.
    """
    wait = 1.5
    with Overloaded(server.address, 2, wait) as door, bench(door.address, "--trace") as run:
        lines = run.result()

    assert list(settled(lines).items()) == [(event, "ACCEPTED") for event in ids()]
    assert len(door.arrivals) == 3
    gaps = [came - told for told, came in zip(door.refused, door.arrivals[1:], strict=True)]
    assert gaps[-1] >= wait, gaps


def test_busy(bench: Bench, start_server: ServerStarter) -> None:
    """A server whose streams are all taken is asked again until one has ended."""
    server = start_server(BECAS_FT_SERVER__MAX_CONCURRENT_RPCS="2", BECAS_FT_SERVER__MAX_STREAMS="1")
    with server.channel() as channel:
        occupied: Any = channel.stream_stream("/becas.ft.v1.IngestService/IngestStream")(_nothing(2.0))
        with bench(server.address, "--trace", events=10) as run:
            lines = run.result()
        assert list(occupied) == []

    assert list(settled(lines).items()) == [(event, "ACCEPTED") for event in ids(events=10)]


def _nothing(seconds: float) -> Iterator[Any]:
    """A stream that says nothing for a while."""
    time.sleep(seconds)
    yield from ()


def test_back_pressure(bench: Bench, server: ServerProcess) -> None:
    """While the server is away a client accepts as much as its buffer holds, then waits; nothing is lost."""
    limit, smallest, largest = 64 * 1024, 200, 600
    with Gate(server.address) as gate, bench(gate.address, "--trace", "--buffer-bytes", str(limit)) as run:
        run.wait_until(lambda lines: len(lines) >= limit // largest)
        time.sleep(1)
        held = len(run.lines())
        gate.open()
        lines = run.result()

    assert limit // largest <= held <= limit // smallest
    assert held < EVENTS
    assert list(settled(lines).items()) == [(event, "ACCEPTED") for event in ids()]


def test_close_gives_up(bench: Bench) -> None:
    """A client that is closed while the server is away says how many events have no receipt."""
    with Gate("127.0.0.1:1") as gate, bench(gate.address, "--close-seconds", "1", events=7) as run:
        code = run.ended()

    assert code == 1
    assert "closed while 7 events had no receipt: publish them again" in run.errors()


def test_guarded_server(bench: Bench, start_server: ServerStarter, data_dir: Path, inputs: Path) -> None:
    """With an authority and a token a client publishes to a server that wants both; without a token it is told so."""
    made = keys(data_dir / "access")
    server = start_server(**made.settings())
    token = inputs / "token"
    token.write_text(f"{made.secrets['bot']}\n")
    authority = str(made.folder.ca)

    with bench(server.address, BECAS_FT_CA=authority, BECAS_FT_TOKEN_FILE=str(token)) as run:
        assert run.result()[-1]["statuses"] == {"ACCEPTED": EVENTS}
    with bench(server.address, BECAS_FT_CA=authority) as run:
        assert run.ended() == 1
        assert "UNAUTHENTICATED: this server needs a token" in run.errors()


def test_calls_are_retried(bench: Bench, start_server: ServerStarter) -> None:
    """Single calls follow the service config: a server that asks for a pause gets it, and nothing fails."""
    server = start_server(BECAS_FT_SERVER__CLIENT_REQUESTS_PER_SECOND="1")
    started = time.monotonic()
    with bench(server.address, "--calls", events=4) as run:
        lines = run.result()
    refused = [line for line in calls(server) if line["code"] == "RESOURCE_EXHAUSTED"]

    assert lines[-1]["statuses"] == {"ACCEPTED": 4}
    # One at once, then one a second.
    assert time.monotonic() - started > 2.9
    assert refused


def calls(server: ServerProcess) -> list[dict[str, Any]]:
    server.stop()
    return [line for line in server.log() if line["event"] == "rpc"]


def test_not_an_ingest_server(bench: Bench) -> None:
    """An answer that no repetition mends is told at once, and not asked for again."""
    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with bench(f"127.0.0.1:{port}", events=7) as run:
            assert run.ended() == 1
            assert "UNIMPLEMENTED" in run.errors()
    finally:
        server.stop(None).wait()
