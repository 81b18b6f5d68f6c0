"""Streamed ingest, end to end, beside a straightforward server that takes an event a call (a), and batches (b)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import events
import processes
import stores
import syncs
from becas.ft.v1 import example_pb2
from becas_ft._core import Core
from measure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench
    from events import Load

BATCH = 500
#: The server's default for the events of one commit.
COMMIT_EVENTS = 5_000
PEER_A, PEER_B = "(a) a commit an event", "(b) a commit a batch"
PRODUCT_FILE, PEER_FILE = "/examples/data.mdb", "/store/data.mdb"


def run(bench: Bench) -> list[Figure]:
    """Five in turns: ours, (b), (a), ours over a full store."""
    mine = load(bench, "stream", bench.size(200_000, 20_000), BATCH)
    over_full = load(bench, "full", bench.size(150_000, 20_000), BATCH, stores.UNSEEN_PASS)
    batches = load(bench, "peer-b", bench.size(20_000, 2_000), BATCH)
    singles = load(bench, "peer-a", bench.size(2_000, 200), 1)
    template = stores.full(bench)
    growing = Figure("IngestStream, batches of 500", "events/s", [], {PEER_A: [], PEER_B: []})
    full = Figure("the same, every category full", "events/s", [])
    cpu = Figure("processor time of the server", "µs/event", [])
    for _ in bench.turns("ingest"):
        said = product(bench, mine, "stream")
        growing.product.append(said["rate"])
        cpu.product.append(said["cpu_us"])
        growing.peers[PEER_B].append(peer(bench, batches, "stream"))
        full.product.append(product(bench, over_full, "stream", template=template)["rate"])
        growing.peers[PEER_A].append(peer(bench, singles, "concurrent"))
    growing.at_least(100_000).times(PEER_A, 40).times(PEER_B, 8)
    growing.note = "durably acknowledged; fsyncs counted from outside; (a) from 64 callers at a time"
    full.at_least(50_000)
    return [growing, full, cpu]


def load(bench: Bench, name: str, count: int, batch: int, first_pass: int = 0) -> Load:
    """Requests in a file, with personal data in them."""
    made = events.write_load(bench.folder / f"{name}.requests", events.fresh(first_pass), count, batch)
    assert events.personal_data_sent(made) > 0, "the load holds nothing to redact: the check of what is stored is void"
    return made


def product(
    bench: Bench, sent: Load, kind: str, *, template: Path | None = None, open_rate: float = 0.0
) -> dict[str, Any]:
    """One run of the product: what the client said, `rate` and `cpu_us`; durable, redacted and exportable.

    Arguments:
        bench: the run.
        sent: what is sent.
        kind: how, see ingest_client.py.
        template: a full store to begin with.
        open_rate: requests a second of an open loop.
    """
    settings = {} if template is None else stores.full_settings(bench)
    counter = bench.counter(PRODUCT_FILE)
    with bench.scratch("product", template) as data:
        # Its own first transaction, where it is new, acknowledges nothing.
        Core(str(data))
        before = syncs.transactions(data / "examples")
        with processes.product(data, **counter.environment, **settings) as server:
            began, counted = server.cpu_seconds(), counter.read()
            said = processes.client(server.address, kind, sent.path, open_rate)
            counts, cpu = counter.read().since(counted), server.cpu_seconds() - began
        # From the server's first moment to its last: LMDB numbers its transactions without a gap.
        commits = syncs.transactions(data / "examples") - before
        syncs.check_durable(counter.read(), commits, sent.events, COMMIT_EVENTS)
        assert said["events"] == sent.events, "a receipt is missing"
        assert said["statuses"].get("ACCEPTED", 0) > sent.events // 20, "hardly anything was stored"
        check_stored(data, sent, stores.full_capacity(bench) if template else None)
    return said | {
        "rate": said["events"] / said["seconds"],
        "cpu_us": 1e6 * cpu / said["events"],
        "syncs": counts.data,
        "sync_ms": 1000 * counts.data_seconds / counts.data,
    }


def check_stored(data: Path, sent: Load, capacity: int | None) -> None:
    """Assert that what is stored is sound, redacted and exportable, after the server is gone.

    Arguments:
        data: the server's folder.
        sent: what was sent.
        capacity: of each category where every one was full before.
    """
    core = Core(str(data))
    held = stores.stored(core)
    wanted = {}
    if capacity is None:
        assert held > 0, "nothing is stored"
    else:
        assert held == capacity * stores.CATEGORIES, f"{held} examples in a store that was full"
        # It is large: one category of it shows as much.
        wanted = {"category": example_pb2.CATEGORY_SCAM_DETECTION}
    rows = itertools.islice(stores.exported(core, max_examples=20_000, **wanted), 20_000)
    events.check_rows(rows, 100 if wanted else min(10_000, sent.events // 20))
    core.close()


def peer(bench: Bench, sent: Load, kind: str) -> float:
    """Events a second of the straightforward server; as durable, redacted and exportable."""
    counter = bench.counter(PEER_FILE)
    with bench.scratch("peer") as data:
        with processes.peer(data, **counter.environment) as server:
            counted = counter.read()
            said = processes.client(server.address, kind, sent.path)
            counts = counter.read().since(counted)
        assert said["events"] == sent.events, "a receipt is missing"
        # A commit a request: as many as there were requests.
        syncs.check_durable(counts, -(-sent.events // sent.batch), sent.events, sent.batch)
        with (data / "rows.jsonl").open("rb") as rows:
            events.check_rows(rows, said["statuses"]["ACCEPTED"])
    return float(said["events"] / said["seconds"])
