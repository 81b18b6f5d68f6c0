"""What every part is given: where to work, how often, how much."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import machine
import syncs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console


@dataclass
class Bench:
    """A benchmark run.

    Attributes:
        folder: on the disk that is measured; loads and filled stores stay there for the next time.
        runs: of each measurement.
        quick: small sizes, to see that everything works; the figures then mean nothing.
        library: counts fsyncs, see syncs.py.
    """

    folder: Path
    runs: int
    quick: bool
    console: Console
    library: Path

    def size(self, full: int, quick: int) -> int:
        """The full size, or the small one."""
        return quick if self.quick else full

    def turns(self, what: str) -> Iterator[int]:
        """Numbers of the runs, shown while they last."""
        for number in range(self.runs):
            with self.console.status(f"{what}: run {number + 1} of {self.runs}"):
                yield number

    def counter(self, data_file: str) -> syncs.Counter:
        """A counter of fsyncs for one process."""
        return syncs.Counter(self.library, self.folder / "syncs", data_file)

    @contextmanager
    def scratch(self, name: str, copy_of: Path | None = None) -> Iterator[Path]:
        """A folder for one run, a copy of another one if wanted; nothing of it is left, nor waits to be written."""
        path = self.folder / "runs" / name
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        if copy_of is not None:
            shutil.copytree(copy_of, path)
        # What others wrote would otherwise be written by the fsyncs that are measured.
        os.sync()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def fsync_ms(self) -> float:
        """The disk's own fsync now: 4 KiB appended and synced, median."""
        return machine.fsync_p50(self.folder) * 1000
