"""How often a process made its LMDB file durable, counted from outside of it: see syncs.c."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import lmdb

_SOURCE = Path(__file__).with_name("syncs.c")
_COUNTERS = struct.Struct("<5Q")


def build(folder: Path) -> Path:
    """Compile the counting library."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("counting fsyncs needs a C compiler: install gcc, or name one in CC")
    library = folder / "syncs.so"
    subprocess.run([compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Counts:
    """Calls on one data file.

    Attributes:
        data: fdatasync and fsync.
        data_seconds: spent in them.
        meta: writes of a meta page through a descriptor that syncs each write (O_DSYNC).
        meta_seconds: spent in them.
        written: bytes.
    """

    data: int
    data_seconds: float
    meta: int
    meta_seconds: float
    written: int

    def since(self, earlier: Counts) -> Counts:
        """What came after an earlier look."""
        return Counts(
            self.data - earlier.data,
            self.data_seconds - earlier.data_seconds,
            self.meta - earlier.meta,
            self.meta_seconds - earlier.meta_seconds,
            self.written - earlier.written,
        )


class Counter:
    """Counts in a process that is started with `environment`.

    Arguments:
        library: from `build`.
        file: for the counters; made anew.
        data_file: the end of the path of the LMDB file, such as `examples/data.mdb`.
    """

    def __init__(self, library: Path, file: Path, data_file: str) -> None:
        file.write_bytes(bytes(_COUNTERS.size))
        self._file = file
        self.environment = {"LD_PRELOAD": str(library), "SYNCS_FILE": str(file), "SYNCS_OF": data_file}

    def read(self) -> Counts:
        """The counts so far."""
        data, data_ns, meta, meta_ns, written = _COUNTERS.unpack(self._file.read_bytes())
        return Counts(data, data_ns / 1e9, meta, meta_ns / 1e9, written)


def transactions(environment: Path) -> int:
    """The number of write transactions that an LMDB folder has seen; no process may have it open for writing."""
    with lmdb.open(str(environment), readonly=True, lock=False, max_dbs=0) as opened:
        return int(opened.info()["last_txnid"])


def check_durable(counts: Counts, commits: int, events: int, most_events: int) -> None:
    """Assert that each of the `commits` was synced, data and meta page, and that none held too many of the events."""
    assert commits * most_events >= events > 0, f"{events} events in {commits} commits of at most {most_events}"
    assert counts.data >= commits, f"{commits} commits, but {counts.data} syncs of data: fsync is off"
    assert counts.meta >= commits, f"{commits} commits, but {counts.meta} synced meta pages: fsync is off"
