"""Exports of half a million rows, plain, balanced and filtered, beside DuckDB and Polars (d) writing the same rows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import events
import processes
import stores
from becas.ft.v1 import dataset_pb2, example_pb2
from becas_ft._core import Core
from becas_ft.dataset_folder import write_dataset
from measure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench import Bench

PEERS = {"duckdb": "(d) DuckDB", "polars": "(d) Polars"}
#: What the filtered export asks for, and the same in SQL.
FILTER = {"min_tier": example_pb2.TIER_SILVER}
WHERE = "quality >= 0.75"


def run(bench: Bench) -> list[Figure]:
    """In turns: plain, DuckDB, Polars, balanced, filtered, and filtered by both peers."""
    data = stores.growing(bench, bench.size(700_000, 7_000))
    rows = bench.size(500_000, 3_000)
    plain = Figure(f"plain export of {rows:,} rows", "rows/s", [], {name: [] for name in PEERS.values()})
    balanced = Figure("balanced export", "rows/s", [])
    filtered = Figure("filtered export: silver and gold", "rows/s", [], {name: [] for name in PEERS.values()})
    counts: dict[str, int] = {}
    held: dict[str, Path] = {}
    for _ in bench.turns("export"):
        core = Core(str(data), json.dumps({"store": {"capacity": stores.ROOMY}}))
        with bench.scratch("export") as folder:
            folder.mkdir()
            counts["plain"], rate = product(core, folder / "plain", balance=False, max_examples=rows)
            plain.product.append(rate)
            # The peers hold what the product wrote the first time: the same rows, and the same bytes of text.
            held = held or load(bench, folder / "plain" / "data.jsonl")
            for name, title in PEERS.items():
                plain.peers[title].append(peer(name, held[name], folder / "out", counts["plain"]))
            counts["balanced"], rate = product(core, folder / "balanced", balance=True)
            balanced.product.append(rate)
            counts["filtered"], rate = product(core, folder / "filtered", balance=False, **FILTER)
            filtered.product.append(rate)
            for name, title in PEERS.items():
                filtered.peers[title].append(peer(name, held[name], folder / "out", None, WHERE))
        core.close()
    faster = max(PEERS.values(), key=lambda title: sum(plain.peers[title]))
    assert counts["plain"] == rows, f"{counts['plain']} rows were exported instead of {rows}"
    for figure in (balanced, filtered):
        figure.peers[f"plain, {faster}"] = plain.peers[faster]
        figure.times(f"plain, {faster}", 0.5)
    plain.times(faster, 1)
    plain.note = "written to a folder and synced; near-copies are dropped and sides drawn, which the peers do not do"
    balanced.note, filtered.note = f"{counts['balanced']:,} rows", f"{counts['filtered']:,} rows"
    return [plain, balanced, filtered]


def product(core: Core, out: Path, **wanted: Any) -> tuple[int, float]:  # noqa: ANN401 - fields of the request
    """Rows, and rows a second, of an export into a folder, as `becas-ft export` makes it."""
    request = dataset_pb2.ExportRequest(name="bench", **wanted).SerializeToString()

    def pieces() -> Iterator[dataset_pb2.ExportResponse]:
        return map(dataset_pb2.ExportResponse.FromString, core.export(request))

    began = time.perf_counter()
    manifest = write_dataset(out, pieces(), "jsonl", force=True)
    seconds = time.perf_counter() - began
    with (out / "data.jsonl").open("rb") as written:
        events.check_rows((row for number, row in enumerate(written) if number % 50 == 0), manifest.examples // 50)
    return manifest.examples, manifest.examples / seconds


def load(bench: Bench, rows: Path) -> dict[str, Path]:
    """The stores of both peers."""
    made = {}
    for name in PEERS:
        made[name] = bench.folder / f"export.{name}"
        made[name].unlink(missing_ok=True)
        _peer(name, "load", rows, made[name])
    return made


def peer(name: str, held: Path, out: Path, rows: int | None, where: str = "") -> float:
    """Rows a second of a peer; what it wrote is as much as it must be, and of the same form."""
    out.unlink(missing_ok=True)
    seconds = float(_peer(name, "write", held, out, where))
    with out.open("rb") as written:
        first = json.loads(written.readline())
        count = 1 + sum(1 for _ in written)
    assert {*first} == {"input", "output", "system", "metadata", "quality"}, "the peer's lines are of another form"
    assert rows in {None, count}, f"the peer wrote {count} rows instead of {rows}"
    return count / seconds


def _peer(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-m", "peers.export", name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=processes.environment()).stdout
