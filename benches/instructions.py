"""Instructions of the core's stages, counted by callgrind and compared with the committed ones: `make bench-quick`.

A count does not depend on what else the machine does, so a slowdown shows where a timing would drown in noise. It does
depend on the compiler and a little on the processor's instruction sets. `--record` writes the counts down as the ones
to compare with. A change over 10 % is marked; the exit status tells only whether the counting worked.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

import processes

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "events"
COMMITTED = Path(__file__).with_name("instructions.json")
#: What each counts: bytes to events; what is asked and how good it is; one message's redaction; all of the pipeline;
#: encoding a record, admission and its commit; a line of an export and its part of the plan.
STAGES = ("decode", "draft and score", "redact", "prepare", "admit", "export")
MARKED = 0.10
_COLLECTED = re.compile(r"Collected : (\d+)")


def main() -> int:
    """Count, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write the counts down")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("callgrind counts the instructions: install valgrind (apt-get install valgrind)", file=sys.stderr)
        return 2
    program = processes.cargo_example("stages")
    counted = {stage: count(program, stage) for stage in STAGES}
    compiler = subprocess.check_output(["rustc", "--version"], text=True).strip()
    if arguments.record:
        COMMITTED.write_text(json.dumps({"compiler": compiler, "instructions": counted}, indent=2) + "\n")
    committed = json.loads(COMMITTED.read_text())
    show(counted, committed["instructions"], "" if committed["compiler"] == compiler else committed["compiler"])
    return 0


def count(program: Path, stage: str) -> int:
    """Instructions an event: what a second repeat adds to the first."""
    events = 0
    totals = []
    for repeats in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            out = f"--callgrind-out-file={folder}/out"
            command = ["valgrind", "--tool=callgrind", out, program, stage, GOLDEN, str(repeats)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = _COLLECTED.search(done.stderr)
        if done.returncode != 0 or found is None:
            sys.exit(f"counting {stage} failed: {done.stderr[-2000:]}")
        totals.append(int(found[1]))
        events = int(done.stdout)
    return round((totals[1] - totals[0]) / events)


def show(counted: dict[str, int], committed: dict[str, int], other_compiler: str) -> None:
    """Print a table of both, with the difference."""
    table = Table("stage", title="Instructions an event", title_justify="left")
    for column in ("committed", "now", "difference"):
        table.add_column(column, justify="right")
    for stage, now in counted.items():
        before = committed.get(stage)
        if before is None:
            table.add_row(stage, "none", f"{now:,}", "new")
            continue
        change = now / before - 1
        marked = abs(change) > MARKED
        style = "bold red" if marked and change > 0 else "bold green" if marked else ""
        table.add_row(stage, f"{before:,}", f"{now:,}", f"{change:+.1%}{' !' if marked else ''}", style=style)
    console = Console()
    console.print(table)
    if other_compiler:
        console.print(f"The committed counts are of {other_compiler}: another compiler makes other code.")


if __name__ == "__main__":
    sys.exit(main())
