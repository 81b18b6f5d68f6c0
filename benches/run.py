"""Runs benchmarks, prints their tables and writes their figures: what `make bench` runs.

`python benches/run.py [PART …]`; without a part, all of them. README.md says what each measures and keeps results;
`python benches/report.py` makes its table and plots from what this wrote.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from rich.console import Console

import events
import machine
import measure
import syncs
from bench import Bench

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("ingest", "single", "store", "scale", "export", "redaction", "shadow", "training")
TABLE_WIDTH = 150


def main() -> int:
    """Measure, print, and write the figures as JSON; 0 whatever is reached, since machines differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--runs", type=int, help="of each measurement: 5, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything works")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="on the disk to measure")
    arguments = parser.parse_args()
    if unknown := {*arguments.parts} - {*PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    folder: Path = arguments.folder / "quick" if arguments.quick else arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    machine.require_disk(folder)
    console = Console()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    runs = arguments.runs or (1 if arguments.quick else 5)
    bench = Bench(folder, runs, arguments.quick, console, syncs.build(folder))
    results = folder / "results.json"
    for part in PARTS:
        if arguments.parts and part not in arguments.parts:
            continue
        facts = machine.describe(folder) | {"runs": runs, "events": events.source()}
        began = time.perf_counter()
        figures = importlib.import_module(f"parts.{part}").run(bench)
        facts["seconds"] = time.perf_counter() - began
        measure.show(f"{part}, {runs} runs in {facts['seconds']:.0f} s", figures, console)
        measure.record(results, part, figures, facts)
    console.print(f"Written to {results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
