"""What 700,000 stored examples cost: start-up, statistics, a page, memory; and that ingest stays as quick."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import grpc

import machine
import processes
import stores
from becas.ft.v1 import dataset_pb2
from measure import Figure
from parts import ingest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench import Bench

SERVICE = "/becas.ft.v1.DatasetService"
CALLS = 300
PAGE = 50
PAGES = 4
#: Two figures count as the same within this.
SAME = 1.2


def run(bench: Bench) -> list[Figure]:
    """In turns: servers over few and many examples, asked the same; then streams into stores of three sizes."""
    return [*_reading(bench), _growth(bench)]


def _reading(bench: Bench) -> list[Figure]:
    few, many = stores.growing(bench, bench.size(1_000, 500)), stores.full(bench)
    held = bench.size(700_000, 7_000)
    small = f"at {bench.size(1_000, 500):,}"
    start = Figure(f"start-up with {held:,} examples", "s", [], {small: []})
    cold = Figure("the same, nothing of the store in memory", "s", [])
    stats = Figure(f"GetTrainingStats at {held:,}, p50", "ms", [], {small: []})
    page = Figure(f"ListExamples, {PAGE} a page, at {held:,}, p50", "ms", [], {small: []})
    memory = Figure(f"anonymous memory at {held:,}, after start-up and ingest", "MB", [])
    load = ingest.load(bench, "memory", bench.size(50_000, 2_000), ingest.BATCH, 3 * stores.UNSEEN_PASS)
    for _ in bench.turns("scale"):
        with bench.scratch("few", few) as data, processes.product(data, **stores.roomy()) as server:
            start.peers[small].append(server.seconds)
            asked = _asked(server.address)
            stats.peers[small].append(asked[0])
            page.peers[small].append(asked[1])
        with bench.scratch("many", many) as data:
            _forget_pages(data / "examples" / "data.mdb")
            with processes.product(data, **stores.full_settings(bench)) as server:
                cold.product.append(server.seconds)
            with processes.product(data, **stores.full_settings(bench)) as server:
                start.product.append(server.seconds)
                asked = _asked(server.address)
                stats.product.append(asked[0])
                page.product.append(asked[1])
                said = processes.client(server.address, "stream", load.path)
                assert said["events"] == load.events, "a receipt is missing"
                memory.product.append(machine.anonymous_bytes(server.process.pid) / 1e6)
    start.below(3)
    stats.at_most_times(small, SAME)
    page.at_most_times(small, SAME)
    memory.below(400)
    start.note = "until it says that it is ready; imports of Python are most of the smaller one"
    return [start, cold, stats, page, memory]


def _growth(bench: Bench) -> Figure:
    """Events a second into stores that hold more and more, and are never full."""
    sizes = [bench.size(size, size // 100) for size in (10_000, 100_000, 700_000)]
    templates = [stores.growing(bench, size) for size in sizes]
    load = ingest.load(bench, "growth", bench.size(60_000, 5_000), ingest.BATCH, 4 * stores.UNSEEN_PASS)
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in bench.turns("growth"):
        for size, template in zip(sizes, templates, strict=True):
            with bench.scratch("growth", template) as data, processes.product(data, **stores.roomy()) as server:
                said = processes.client(server.address, "stream", load.path)
                rates[size].append(said["events"] / said["seconds"])
    *smaller, largest = sizes
    names = {size: f"at {size:,}" for size in sizes}
    figure = Figure(f"IngestStream at {largest:,} stored", "events/s", rates[largest])
    figure.peers = {names[size]: rates[size] for size in smaller}
    medians = [statistics.median(rates[size]) for size in sizes]
    apart = max(medians) / min(medians)
    figure.require(f"within {SAME:g} × of each other", f"{apart:.2f} ×", reached=apart <= SAME)
    figure.series = {"stored": [float(size) for size in sizes], "events/s": medians}
    return figure


def _asked(address: str) -> tuple[float, float]:
    """Median milliseconds of GetTrainingStats and of a page, over a channel that is open."""
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        ask: Any = channel.unary_unary(f"{SERVICE}/GetTrainingStats")
        page: Any = channel.unary_unary(f"{SERVICE}/ListExamples")
        request = dataset_pb2.ListExamplesRequest(page_size=PAGE)
        requests = []
        for _ in range(PAGES):
            requests.append(request.SerializeToString())
            answer = dataset_pb2.ListExamplesResponse.FromString(page(requests[-1], timeout=60))
            assert len(answer.examples) == PAGE, f"a page of {len(answer.examples)}"
            request.page_token = answer.next_page_token
        pages = itertools.cycle(requests)
        return _median_ms(lambda: ask(b"", timeout=60)), _median_ms(lambda: page(next(pages), timeout=60))


def _median_ms(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def _forget_pages(path: Path) -> None:
    """Drop a file's pages from memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
