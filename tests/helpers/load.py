"""Load on a server from processes of their own: senders at a rate or as fast as they are answered, and nuisances.

`python load.py '{"kind": "send", "address": …}'` does one job and prints what came of it as one JSON object; `Load`
runs such processes.
"""

import asyncio
import contextlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import grpc

from becas.ft.v1 import event_pb2, event_service_pb2_grpc, ingest_pb2, published_event_pb2

INGEST: Final = "/becas.ft.v1.IngestService/Ingest"
INGEST_STREAM: Final = "/becas.ft.v1.IngestService/IngestStream"
EXPORT: Final = "/becas.ft.v1.DatasetService/Export"
# A bot's deadline, as long as the server's own.
SECONDS: Final = 30.0
# Calls of one sender without an answer; an open loop that is this far behind offers less than it should, and says so.
MOST_WAITING: Final = 1_500
# As many as a server lets one connection have.
STREAMS_OF_A_CONNECTION: Final = 250
_MARK: Final = b"qqqqqqqqqqqq"
_REASON: Final = "The wording asks for a payment and promises a prize that nobody announced in the guild."
_OPTIONS: Final = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


def word(number: int) -> str:
    """Twelve letters, others for each number below 26¹²."""
    letters = []
    for _ in range(len(_MARK)):
        number, letter = divmod(number, 26)
        letters.append(chr(ord("a") + letter))
    return "".join(reversed(letters))


def event_id(number: int) -> str:
    """The id of an event of `request`."""
    return f"load-{word(number)}"


def _template() -> bytes:
    mark = _MARK.decode()
    event = event_pb2.Event(
        event_id=f"load-{mark}",
        user_id="700000000000000123",
        guild_id="800000000000000001",
        evidence=event_pb2.Evidence(human_validated=True, rag_enhanced=True),
        scam_detected=event_pb2.ScamDetected(
            text=f"claim the {mark} prize that waits for you in the harbour before the evening",
            analysis=event_pb2.ScamAnalysis(
                is_scam=True, scam_type="prize", severity="high", confidence=0.9, reasoning=_REASON
            ),
        ),
    )
    return ingest_pb2.IngestRequest(events=[event]).SerializeToString()


_TEMPLATE: Final = _template()


def request(first: int, size: int) -> bytes:
    """An IngestRequest of events `first` to `first + size`; made quickly, since senders share the machine."""
    return b"".join(_TEMPLATE.replace(_MARK, word(number).encode()) for number in range(first, first + size))


@dataclass
class Sent:
    """What came of a sender.

    Attributes:
        seconds: from the first call to the last answer.
        batch: events of a request.
        acknowledged: numbers of the first events of requests that were answered with receipts.
        accepted: events whose receipt says ACCEPTED.
        codes: how the others ended.
        withheld: requests that an open loop should have sent and did not, being too far behind.
        latencies_ms: (seconds since the start, milliseconds) of answered requests, measured from when each was due.
    """

    seconds: float
    batch: int
    acknowledged: list[int] = field(default_factory=list)
    accepted: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    withheld: int = 0
    latencies_ms: list[tuple[float, float]] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Events a second that were acknowledged."""
        return len(self.acknowledged) * self.batch / self.seconds

    def p99_ms(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Of the answers within a span of seconds."""
        values = [milliseconds for at, milliseconds in self.latencies_ms if since <= at < until]
        return statistics.quantiles(values, n=100)[98] if len(values) > 1 else 0.0

    @classmethod
    def together(cls, parts: "list[Sent]") -> Self:
        """Of senders that ran at the same time."""
        return cls._of(parts, max(part.seconds for part in parts))

    @classmethod
    def one_after_another(cls, parts: "list[Sent]") -> Self:
        """Of senders of which each began when the one before it had ended; latencies as each has them."""
        return cls._of(parts, sum(part.seconds for part in parts))

    @classmethod
    def _of(cls, parts: "list[Sent]", seconds: float) -> Self:
        whole = cls(seconds, parts[0].batch)
        for part in parts:
            whole.acknowledged += part.acknowledged
            whole.accepted += part.accepted
            whole.codes.update(part.codes)
            whole.withheld += part.withheld
            whole.latencies_ms += part.latencies_ms
        return whole


class _Sender:
    """Sends unary Ingest calls on one connection."""

    def __init__(self, channel: grpc.aio.Channel, first: int, batch: int, patience: float) -> None:
        self._patience = patience
        self._call: Any = channel.unary_unary(INGEST)
        self._next = first
        self._began = time.perf_counter()
        self.sent = Sent(0.0, batch)

    async def send(self, due: float) -> bool:
        """One call; whether it was answered with receipts."""
        number, sent = self._next, self.sent
        self._next += sent.batch
        try:
            answer = await self._call(request(number, sent.batch), timeout=self._patience)
        except grpc.aio.AioRpcError as error:
            sent.codes[error.code().name] += 1
            return False
        now = time.perf_counter()
        receipts = ingest_pb2.IngestResponse.FromString(answer).receipts
        sent.acknowledged.append(number)
        sent.accepted += sum(receipt.status == ingest_pb2.STATUS_ACCEPTED for receipt in receipts)
        sent.latencies_ms.append((now - self._began, (now - due) * 1000))
        return True

    async def at_rate(self, rate: float, seconds: float) -> None:
        """An open loop: calls are due at fixed times, whatever became of those before."""
        waiting: set[asyncio.Task[bool]] = set()
        for turn in range(int(rate * seconds)):
            due = self._began + turn / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            if len(waiting) >= MOST_WAITING:
                self.sent.withheld += 1
                await asyncio.sleep(0)
                continue
            task = asyncio.create_task(self.send(due))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)
        self.sent.seconds = time.perf_counter() - self._began

    async def at_once(self, callers: int, seconds: float) -> None:
        """A closed loop: so many callers, each calls again when it has its answer."""

        async def caller() -> None:
            while time.perf_counter() < self._began + seconds:
                if not await self.send(time.perf_counter()):
                    await asyncio.sleep(0.2 * random.uniform(0.8, 1.2))

        await asyncio.gather(*(caller() for _ in range(callers)))
        self.sent.seconds = time.perf_counter() - self._began


async def send(
    address: str,
    *,
    first: int,
    batch: int,
    seconds: float,
    rate: float = 0.0,
    callers: int = 0,
    patience: float = SECONDS,
) -> Sent:
    """Send from event `first` on: `rate` requests a second, or from so many callers, each with a deadline."""
    async with grpc.aio.insecure_channel(address, _OPTIONS) as channel:
        await channel.channel_ready()
        sender = _Sender(channel, first, batch, patience)
        await (sender.at_rate(rate, seconds) if rate else sender.at_once(callers, seconds))
        return sender.sent


def _in_place(begun: str) -> None:
    """Make the file by which a nuisance says that it is as bad as it gets."""
    Path(begun).touch()


async def idle(address: str, *, streams: int, seconds: float, begun: str) -> dict[str, int]:
    """Open streams and say nothing; how they ended, OPEN for those that had not."""
    ends: Counter[str] = Counter()
    async with contextlib.AsyncExitStack() as channels:
        calls: list[Any] = []
        for number in range(streams):
            if number % STREAMS_OF_A_CONNECTION == 0:
                channel = await channels.enter_async_context(grpc.aio.insecure_channel(address, _OPTIONS))
                stub = event_service_pb2_grpc.EventServiceStub(channel)
                open_stream: Any = channel.stream_stream(INGEST_STREAM)
            calls.append(stub.Subscribe(published_event_pb2.SubscribeRequest()) if number % 2 else open_stream())
            # An idle client is no flood.
            if number % 50 == 0:
                await asyncio.sleep(0.02)
        ended = -1
        while ended != (ended := sum(call.done() for call in calls)):  # noqa: ASYNC110 - only time tells that none ends
            await asyncio.sleep(1)
        _in_place(begun)
        await asyncio.sleep(seconds)
        for call in calls:
            ends[(await call.code()).name if call.done() else "OPEN"] += 1
            call.cancel()
    return dict(ends)


async def dawdle(address: str, *, streams: int, seconds: float, begun: str) -> dict[str, int]:
    """Ask for exports and do not read them but for their first message; how many were still open."""
    async with grpc.aio.insecure_channel(address, [*_OPTIONS, ("grpc.http2.lookahead_bytes", 1024)]) as channel:
        export: Any = channel.unary_stream(EXPORT)
        calls = [export(b"\x38\x00") for _ in range(streams)]
        await asyncio.gather(*(call.read() for call in calls))
        _in_place(begun)
        await asyncio.sleep(seconds)
        open_still = sum(not call.done() for call in calls)
        for call in calls:
            call.cancel()
    return {"OPEN": open_still}


async def reset(address: str, *, seconds: float, rate: float, begun: str) -> dict[str, int]:
    """Begin calls and give them up at once."""
    async with grpc.aio.insecure_channel(address, _OPTIONS) as channel:
        call: Any = channel.unary_unary(INGEST)
        began, given_up = time.perf_counter(), 0
        _in_place(begun)
        while (now := time.perf_counter()) < began + seconds:
            while given_up < (now - began) * rate:
                unwanted = call(b"")
                await asyncio.sleep(0)
                unwanted.cancel()
                given_up += 1
            await asyncio.sleep(0.005)
    return {"given_up": given_up}


_KINDS: Final[dict[str, Callable[..., Awaitable[Any]]]] = {"send": send, "idle": idle, "dawdle": dawdle, "reset": reset}


class Load:
    """A process that does one job.

    Arguments:
        kind: send, idle, dawdle or reset.
        options: its arguments.
    """

    def __init__(self, kind: str, **options: object) -> None:
        command = [sys.executable, str(Path(__file__)), json.dumps({"kind": kind, **options})]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self, seconds: float = 480.0) -> Any:  # noqa: ANN401 - whatever the kind gives
        """What it prints at its end."""
        try:
            said, wrong = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        assert self._process.returncode == 0, wrong
        return json.loads(said)

    def sent(self, seconds: float = 480.0) -> Sent:
        """The result of a sender."""
        found = self.result(seconds)
        return Sent(**(found | {"codes": Counter(found["codes"])}))

    def end(self) -> None:
        """Kill it where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextlib.contextmanager
def ending(loads: list[Load]) -> Iterator[None]:
    """No process outlives a test."""
    try:
        yield
    finally:
        for load in loads:
            load.end()


def main() -> None:
    """Do the job that the argument describes."""
    options = json.loads(sys.argv[1])
    job: Any = _KINDS[options.pop("kind")](**options)
    done = asyncio.run(job)
    print(json.dumps(vars(done) if isinstance(done, Sent) else done))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
