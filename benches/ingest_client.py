"""A client of its own process that sends requests encoded beforehand, and says how long their receipts took.

`python ingest_client.py ADDRESS stream|concurrent|sequential|open FILE [RATE]`: FILE holds IngestRequests, each after
its length in 4 bytes, little-endian. Prints one JSON object: `{"seconds", "events", "statuses", "latency_ms_p50",
"latency_ms_p99"}`; latencies are of single requests. `open` sends RATE requests a second whether answers come or not,
and a request's latency counts from the moment when it was due, so that a server that stalls cannot hide it.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from becas.ft.v1 import ingest_pb2
from events import read_load

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLERS = 64
IN_FLIGHT = 32
SERVICE = "/becas.ft.v1.IngestService"
OPTIONS = [("grpc.enable_http_proxy", 0)]

Answers = tuple[float, list[bytes], list[float]]


def stream(address: str, requests: list[bytes]) -> Answers:
    """All requests through one IngestStream, `IN_FLIGHT` of them without an answer."""
    # More than the server works on at once; latencies then are the server's, not those of a queue in the client.
    room = threading.Semaphore(IN_FLIGHT)
    sent: list[float] = []
    latencies: list[float] = []

    def outgoing() -> Iterator[bytes]:
        for request in requests:
            room.acquire()
            sent.append(time.perf_counter())
            yield request

    with grpc.insecure_channel(address, OPTIONS) as channel:
        grpc.channel_ready_future(channel).result(10)
        call: Any = channel.stream_stream(f"{SERVICE}/IngestStream")
        start = time.perf_counter()
        responses = []
        for response in call(outgoing()):
            latencies.append(time.perf_counter() - sent[len(responses)])
            responses.append(response)
            room.release()
        return time.perf_counter() - start, responses, latencies


async def closed_loop(address: str, requests: list[bytes], callers: int) -> Answers:
    """One Ingest a request, from so many callers that each wait for their receipt."""
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        await channel.channel_ready()
        call: Any = channel.unary_unary(f"{SERVICE}/Ingest")
        waiting = iter(requests)
        responses: list[bytes] = []
        latencies: list[float] = []

        async def caller() -> None:
            for request in waiting:
                began = time.perf_counter()
                responses.append(await call(request))
                latencies.append(time.perf_counter() - began)

        start = time.perf_counter()
        await asyncio.gather(*(caller() for _ in itertools.repeat(None, callers)))
        return time.perf_counter() - start, responses, latencies


async def open_loop(address: str, requests: list[bytes], rate: float) -> Answers:
    """`rate` calls a second, each at its moment."""
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        await channel.channel_ready()
        call: Any = channel.unary_unary(f"{SERVICE}/Ingest")
        responses: list[bytes] = []
        latencies: list[float] = []

        async def ask(request: bytes, due: float) -> None:
            responses.append(await call(request))
            latencies.append(time.perf_counter() - due)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as calls:
            for number, request in enumerate(requests):
                due = start + number / rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                calls.create_task(ask(request, due))
        return time.perf_counter() - start, responses, latencies


def main() -> None:
    """Send, then count what the receipts say."""
    address, kind, path, *rest = sys.argv[1:]
    requests = [*read_load(Path(path))]
    if kind == "stream":
        seconds, responses, latencies = stream(address, requests)
    elif kind == "open":
        seconds, responses, latencies = asyncio.run(open_loop(address, requests, float(rest[0])))
    else:
        callers = {"concurrent": CALLERS, "sequential": 1}[kind]
        seconds, responses, latencies = asyncio.run(closed_loop(address, requests, callers))
    statuses: collections.Counter[str] = collections.Counter()
    for response in responses:
        for receipt in ingest_pb2.IngestResponse.FromString(response).receipts:
            statuses[ingest_pb2.Status.Name(receipt.status).removeprefix("STATUS_")] += 1
    percentiles = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    print(
        json.dumps(
            {
                "seconds": seconds,
                "events": statuses.total(),
                "statuses": statuses,
                "latency_ms_p50": percentiles[49] * 1000,
                "latency_ms_p99": percentiles[98] * 1000,
            }
        )
    )


if __name__ == "__main__":
    main()
