"""Single events: 64 callers that each wait for their receipt, and an open loop at half of what those reach."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from measure import Figure
from parts import ingest

if TYPE_CHECKING:
    from bench import Bench

SECONDS = 10
LATENCY_FSYNCS, LATENCY_MS = 5, 5.0


def run(bench: Bench) -> list[Figure]:
    """In turns: ours, (a), ours in an open loop with the disk's own fsync before and after it."""
    mine = ingest.load(bench, "concurrent", bench.size(10_000, 1_000), 1)
    theirs = ingest.load(bench, "peer-a", bench.size(2_000, 200), 1)
    rates = Figure("Ingest, an event a call, 64 callers", "events/s", [], {ingest.PEER_A: []})
    cpu = Figure("processor time of the server", "µs/event", [])
    shared = Figure("events that shared a commit", "events", [])
    middle = Figure("open loop at half of that: p50", "ms", [])
    tail = Figure("open loop at half of that: p99", "ms", [])
    disk: list[float] = []
    for _ in bench.turns("single"):
        said = ingest.product(bench, mine, "concurrent")
        rates.product.append(said["rate"])
        cpu.product.append(said["cpu_us"])
        shared.product.append(said["events"] / said["syncs"])
        rates.peers[ingest.PEER_A].append(ingest.peer(bench, theirs, "concurrent"))
        half = said["rate"] / 2
        due = ingest.load(bench, "open", int(half * bench.size(SECONDS, 2)), 1)
        before = bench.fsync_ms()
        said = ingest.product(bench, due, "open", open_rate=half)
        disk.append(statistics.mean([before, bench.fsync_ms()]))
        assert said["seconds"] < 1.5 * due.events / half + 1, "the server did not keep up with half of its maximum"
        middle.product.append(said["latency_ms_p50"])
        tail.product.append(said["latency_ms_p99"])
    rates.times(ingest.PEER_A, 2)
    beyond = [late - LATENCY_FSYNCS * fsync for late, fsync in zip(tail.product, disk, strict=True)]
    tail.require(
        f"≤ {LATENCY_FSYNCS} fsyncs + {LATENCY_MS:g} ms",
        f"{LATENCY_FSYNCS} fsyncs {statistics.median(beyond):+.1f} ms",
        reached=statistics.median(beyond) <= LATENCY_MS,
    )
    tail.note = (
        f"from the moment when a request was due; fsync of the disk in the same run {statistics.median(disk):.2f} ms"
    )
    tail.series["fsync p50, ms"] = disk
    return [rates, cpu, shared, middle, tail]
