"""The preloaded library that writes down what a process asks of the disk, or lets requests fail; see faults.c."""

import errno
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pytest

_SOURCE: Final = Path(__file__).with_name("faults.c")
_RECORD: Final = struct.Struct("=IIicBxxQ")
_NOTE: Final = b"A"


class Entry(NamedTuple):
    """A record of the log.

    Attributes:
        kind: O open, W write, S sync, T truncate, R rename, L link, U unlink, M mkdir, Y msync, N send; A: a note.
        process: who asked.
        fd: its descriptor.
        dsync: of an open: writes are syncs too.
        offset: of a write; the length of a truncate.
        data: what was written or sent; a path; two paths with a NUL between them; a note's text.
    """

    kind: str
    process: int
    fd: int
    dsync: bool
    offset: int
    data: bytes


def library(folder: Path) -> Path:
    """The library, compiled into a folder. A C compiler is there wherever becas-ft is built."""
    built = folder / "faults.so"
    compiler = shutil.which("cc") or pytest.fail("no C compiler on PATH")
    subprocess.run(
        [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", built, _SOURCE, "-pthread"], check=True
    )
    return built


@dataclass(frozen=True)
class Preload:
    """Settings of the library, as environment variables.

    Attributes:
        library: compiled.
        root: folder whose files are watched.
        log: file for the records; none are kept without.
        ignore: syncs that are neither done nor recorded: fdatasync, fsync, dsync.
        fail_at: which write or sync fails, counted from 1; 0: none.
        error: how it fails.
        full: a file; while it exists the disk is full.
        slow: a file; while it exists syncs wait.
    """

    library: Path
    root: Path
    log: Path | None = None
    ignore: Sequence[str] = ()
    fail_at: int = 0
    error: int = errno.EIO
    full: Path | None = None
    slow: Path | None = None

    def variables(self) -> dict[str, str]:
        """For the process."""
        found = {
            "LD_PRELOAD": str(self.library),
            "BECAS_FAULT_ROOT": str(self.root.resolve()),
            "BECAS_FAULT_IGNORE": ",".join(self.ignore),
        }
        if self.log:
            found["BECAS_FAULT_LOG"] = str(self.log)
        if self.fail_at:
            found["BECAS_FAULT_FAIL"] = f"{self.fail_at}:{self.error}"
        if self.full:
            found["BECAS_FAULT_FULL"] = str(self.full)
        if self.slow:
            found["BECAS_FAULT_SLOW"] = str(self.slow)
        return found


def note(log: Path, text: bytes) -> None:
    """Write something of the test's own into the log: what happened before it stands before it."""
    with log.open("ab", buffering=0) as file:
        file.write(_RECORD.pack(len(text), 0, -1, _NOTE, 0, 0) + text)


def read(log: Path) -> list[Entry]:
    """Every record, in order."""
    return list(_entries(log.read_bytes()))


def _entries(data: bytes) -> Iterator[Entry]:
    at = 0
    while at < len(data):
        length, process, fd, kind, dsync, offset = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        yield Entry(kind.decode(), process, fd, bool(dsync), offset, data[at : at + length])
        at += length
