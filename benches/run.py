"""Measures ingest end to end, then the core's own rates, and prints tables: what `make bench` runs.

A real `becas-ft serve` on a disk that is synced, and a client of its own process with requests encoded beforehand. An
event counts once its receipt is there, so its commit is on disk. See README.md for results.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from becas_ft._core import events_from_json
from becas_ft.cli.event_file import Batch

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("BECAS_SHARED", ROOT.parent / "shared")) / "data" / "events.jsonl.gz"
CLIENT = Path(__file__).with_name("ingest_client.py")
EXAMPLES = ("store_rate", "redact_speed", "export_rate")
SEQUENTIAL_EVENTS = 500
CONCURRENT_EVENTS = 5_000
FSYNCS = 200
BLOCK = 4096
TABLE_WIDTH = 120
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """Requests of one way of calling, in a file, each after its length."""

    kind: str
    title: str
    path: Path


def main() -> int:
    """Measure, print, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="medians are of so many")
    parser.add_argument("--batch", type=int, default=500, help="events in a request of the stream")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="on the disk to measure")
    parser.add_argument("--ingest-only", action="store_true", help="leave the core's own rates out")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    kind = filesystem(folder)
    if kind in {"tmpfs", "ramfs"}:
        print(f"{folder} is on {kind}, where an fsync costs nothing: name a real disk with --folder", file=sys.stderr)
        return 1
    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    source, lines = messages()
    with tempfile.TemporaryDirectory(dir=folder) as work:
        fsync_ms = fsync_p50(Path(work)) * 1000
        loads = prepare(lines, Path(work), arguments.batch)
        runs: list[dict[str, Any]] = []
        for number in range(arguments.runs):
            with console.status(f"run {number + 1} of {arguments.runs}"):
                runs.append(measure(Path(work) / f"data-{number}", loads))
        fsync_ms = statistics.median([fsync_ms, fsync_p50(Path(work)) * 1000])
    ingest = [summary(load, [run[load.kind] for run in runs]) for load in loads]
    machine = describe(kind, fsync_ms)
    console.print(table(ingest, source, fsync_ms, arguments.runs))
    rates = {} if arguments.ingest_only else {name: rate(name, console) for name in EXAMPLES}
    result = {"machine": machine, "events": source, "batch": arguments.batch, "ingest": ingest, "core": rates}
    out = folder / "results.json"
    out.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"Written to {out}")
    return 0


def filesystem(folder: Path) -> str:
    """The type of the file system that a folder is on."""
    where = folder.resolve()
    best, kind = Path("/"), "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        point = Path(mount.encode().decode("unicode_escape"))
        if where.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, found
    return kind


def fsync_p50(folder: Path) -> float:
    """Median seconds of appending a block and syncing it."""
    seconds = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            began = time.perf_counter()
            file.write(os.urandom(BLOCK))
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def messages() -> tuple[str, list[str]]:
    """Events as bots publish them, and where they are from."""
    if SHARED.exists():
        with gzip.open(SHARED, "rt", encoding="utf-8") as file:
            return SHARED.name, [line for line in file if line.strip()]
    from becas_ft.cli.demo import messages as demo

    return "the demo's SMS messages", demo.load().events


def prepare(lines: list[str], folder: Path, batch: int) -> list[Load]:
    """Encode everything beforehand: some for each way of calling, the most for the stream."""
    events = [event for event, _ in events_from_json(lines) if event is not None]
    first = min(SEQUENTIAL_EVENTS, len(events) // 20)
    second = first + min(CONCURRENT_EVENTS, len(events) // 5)
    parts = [
        ("sequential", "Ingest, one caller", events[:first], 1),
        ("concurrent", "Ingest, 64 callers", events[first:second], 1),
        ("stream", f"IngestStream, batches of {batch}", events[second:], batch),
    ]
    loads = []
    for kind, title, part, size in parts:
        path = folder / f"{kind}.requests"
        with path.open("wb") as file:
            for start in range(0, len(part), size):
                requests = Batch()
                for event in part[start : start + size]:
                    requests.add(event)
                request = requests.request()
                file.write(len(request).to_bytes(4, "little") + request)
        loads.append(Load(kind, title, path))
    return loads


def measure(data: Path, loads: list[Load]) -> dict[str, Any]:
    """One run of every load on a fresh store."""
    command = [Path(sys.executable).with_name("becas-ft"), "serve", "--data-dir", data, "--listen", "127.0.0.1:0"]
    with (data.parent / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        if server.stdout is None or (ready := re.search(r"listening on (\S+),", server.stdout.readline())) is None:
            sys.exit("the server did not start")
        results = {}
        for load in loads:
            before = cpu_seconds(server.pid)
            client = [sys.executable, CLIENT, ready[1], load.kind, load.path]
            done = subprocess.run(client, capture_output=True, text=True, check=True)
            results[load.kind] = json.loads(done.stdout) | {"server_cpu": cpu_seconds(server.pid) - before}
        return results
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        shutil.rmtree(data, ignore_errors=True)


def cpu_seconds(process: int) -> float:
    """Seconds of processor time of a process, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def summary(load: Load, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the runs."""
    rates = [run["events"] / run["seconds"] for run in runs]
    return {
        "kind": load.kind,
        "title": load.title,
        "events": runs[0]["events"],
        "statuses": runs[0]["statuses"],
        "events_per_second": statistics.median(rates),
        "events_per_second_runs": rates,
        "latency_ms_p50": statistics.median(run["latency_ms_p50"] for run in runs),
        "latency_ms_p99": statistics.median(run["latency_ms_p99"] for run in runs),
        "server_cpu_us_per_event": statistics.median(1e6 * run["server_cpu"] / run["events"] for run in runs),
    }


def describe(kind: str, fsync_ms: float) -> dict[str, Any]:
    """What the figures depend on."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "filesystem": kind,
        "fsync_ms_p50": fsync_ms,
        "python": platform.python_version(),
    }


def table(rows: list[dict[str, Any]], source: str, fsync_ms: float, runs: int) -> Table:
    """The figures of ingest."""
    made = Table(
        "calls",
        title=f"Durably acknowledged events of {source}: medians of {runs}",
        caption=f"fsync of the disk {fsync_ms:.2f} ms (p50); latencies are of requests",
        title_justify="left",
    )
    for column in ("events", "events/s", "min to max", "p50 ms", "p99 ms", "server µs/event"):
        made.add_column(column, justify="right")
    for row in rows:
        rates = row["events_per_second_runs"]
        made.add_row(
            row["title"],
            f"{row['events']:,}",
            f"{row['events_per_second']:,.0f}",
            f"{min(rates):,.0f} to {max(rates):,.0f}",
            f"{row['latency_ms_p50']:,.1f}",
            f"{row['latency_ms_p99']:,.1f}",
            f"{row['server_cpu_us_per_event']:,.0f}",
        )
    return made


def rate(example: str, console: Console) -> str:
    """What one of the core's own measuring programs prints; its end by an error is printed too."""
    console.rule(example)
    if not (ROOT / "rust" / "becas-core" / "examples" / f"{example}.rs").exists():
        console.print("not there")
        return ""
    command = ["cargo", "run", "--quiet", "--release", "--locked", "-p", "becas-core", "--example", example]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        # As they come: some of these take minutes.
        for line in program.stdout or ():
            lines.append(line)
            console.print(line.rstrip(), markup=False, highlight=False)
    if program.returncode != 0:
        console.print(f"{example} ended with {program.returncode}")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
