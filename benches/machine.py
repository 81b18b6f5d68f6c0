"""The machine that the figures depend on: its disk, its processor, what else it does."""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FSYNCS = 100
BLOCK = 4096
TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY = {"tmpfs", "ramfs"}


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


def require_disk(folder: Path) -> None:
    """End where a folder is in memory."""
    kind = filesystem(folder)
    if kind in _MEMORY:
        sys.exit(f"{folder} is on {kind}, where an fsync costs nothing: name a real disk with --folder")


def fsync_seconds(folder: Path, count: int = FSYNCS) -> list[float]:
    """Seconds of appending a block and syncing it, so many times."""
    seconds = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(os.urandom(BLOCK))
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - began)
    path.unlink()
    return seconds


def fsync_p50(folder: Path) -> float:
    """Median seconds of an fsync."""
    return statistics.median(fsync_seconds(folder))


def cpu_seconds(process: int) -> float:
    """Seconds of processor time of a process, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def anonymous_bytes(process: int) -> int:
    """Anonymous memory of a process: what is not pages of files."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.search(r"^Anonymous:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None, "smaps_rollup has no line Anonymous"
    return int(found[1]) * 1024


def peak_bytes(process: int) -> int:
    """Most resident memory that a process had so far."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    assert found is not None, "status has no line VmHWM"
    return int(found[1]) * 1024


def describe(folder: Path) -> dict[str, Any]:
    """What the figures depend on."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load_average": os.getloadavg(),
        "filesystem": filesystem(folder),
        "fsync_ms_p50": fsync_p50(folder) * 1000,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
