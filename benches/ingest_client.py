"""A client of its own process that sends requests encoded beforehand, and says how long their receipts took.

`python ingest_client.py ADDRESS stream|concurrent|sequential FILE`: FILE holds IngestRequests, each after its length
in 4 bytes, little-endian. Prints one JSON object: `{"seconds", "events", "statuses", "latency_ms_p50",
"latency_ms_p99"}`; latencies are of single requests.
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

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLERS = 64
IN_FLIGHT = 32
SERVICE = "/becas.ft.v1.IngestService"
OPTIONS = [("grpc.enable_http_proxy", 0)]


def read(path: Path) -> Iterator[bytes]:
    """The requests of a file."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        yield data[at + 4 : end]
        at = end


def stream(address: str, requests: list[bytes]) -> tuple[float, list[bytes], list[float]]:
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


async def single(address: str, requests: list[bytes], callers: int) -> tuple[float, list[bytes], list[float]]:
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


def main() -> None:
    """Send, then count what the receipts say."""
    address, kind, path = sys.argv[1:]
    requests = [*read(Path(path))]
    if kind == "stream":
        seconds, responses, latencies = stream(address, requests)
    else:
        callers = {"concurrent": CALLERS, "sequential": 1}[kind]
        seconds, responses, latencies = asyncio.run(single(address, requests, callers))
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
