"""The store stage alone, beside a bare loop (c) that puts the store's own bytes and keys in the same batches."""

from __future__ import annotations

import itertools
import json
import subprocess
from typing import TYPE_CHECKING, Any

import events
import processes
import stores
import syncs
from becas_ft._core import Core
from measure import Figure
from parts import ingest

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench

RAW = "(c) bare LMDB"
COMMITS = (5_000, 500)
PROGRAM = "store_stage"


def run(bench: Bench) -> list[Figure]:
    """For both sizes of commits, in turns: the store, the bare loop, a store whose every category is full."""
    program = processes.cargo_example(PROGRAM)
    load = ingest.load(bench, "stage", bench.size(150_000, 20_000), 500)
    unseen = ingest.load(bench, "stage-full", bench.size(100_000, 10_000), 500, 2 * stores.UNSEEN_PASS)
    template = stores.full(bench)
    figures = []
    for commit in COMMITS:
        growing = Figure(f"store stage, commits of {commit:,}", "events/s", [], {RAW: []})
        full = Figure(f"store stage, every category full, commits of {commit:,}", "events/s", [])
        for _ in bench.turns(f"store, commits of {commit}"):
            with bench.scratch("stage") as folder:
                said = stage(bench, program, folder, load, commit)
                check_raw(folder / "raw", load)
                growing.product.append(said["store"])
                growing.peers[RAW].append(said["raw"])
            with bench.scratch("stage", template) as folder:
                full.product.append(stage(bench, program, folder, unseen, commit)["store"])
        figures += [growing, full]
    figures[0].times(RAW, 0.5)
    return figures


def stage(bench: Bench, program: Path, folder: Path, load: events.Load, commit: int) -> dict[str, Any]:
    """One run of the program: events a second of the store, and of the bare loop where the store began empty."""
    began_empty = not (folder / "examples").exists()
    before = 0 if began_empty else syncs.transactions(folder / "examples")
    counter = bench.counter("/data.mdb")
    command = [program, folder, load.path, str(commit)]
    variables = processes.environment(**counter.environment)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    said: dict[str, Any] = json.loads(done.stdout)
    commits = syncs.transactions(folder / "examples") - before
    if began_empty:
        commits += syncs.transactions(folder / "raw" / "examples")
    syncs.check_durable(counter.read(), commits, load.events, commit)
    assert said["accepted"] > load.events // 20, "hardly anything was stored"
    return said


def check_raw(folder: Path, load: events.Load) -> None:
    """Assert that what the bare loop wrote is a store: sound, redacted and exportable."""
    core = Core(str(folder))
    assert (problems := core.verify()) == [], f"what the bare loop wrote is no sound store: {problems[:3]}"
    events.check_rows(
        itertools.islice(stores.exported(core, max_examples=20_000), 20_000), min(10_000, load.events // 20)
    )
    core.close()
