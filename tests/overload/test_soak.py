"""Hours at seventy per cent of what the server can do: nothing grows.

`BECAS_SOAK_SECONDS` says how long; `make soak` runs it for ten minutes.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import pytest

from helpers import process
from helpers.load import Load, Sent, ending
from helpers.server import ServerProcess, ServerStarter

BATCH = 100
SECONDS = float(os.environ.get("BECAS_SOAK_SECONDS", "600"))
SHARE = 0.7
WARM_UP = 0.25
MOST_DRIFT_KB = 5_000
# Reached in the warm-up, so that what the store keeps is as much at the end as at its beginning.
SETTINGS = {"BECAS_FT_STORE__CAPACITY": "20000", "BECAS_FT_STORE__IDEMPOTENCY_IDS": "100000"}


@dataclass(frozen=True)
class Sample:
    """A server at some moment."""

    second: float
    anonymous_kb: int
    descriptors: int
    file_bytes: int


class Samples:
    """A sample every second while this is entered."""

    def __init__(self, server: ServerProcess) -> None:
        self.taken: list[Sample] = []
        self._server = server
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        pid, data = self._server.process.pid, self._server.data_dir / "examples" / "data.mdb"
        while not self._ended.wait(1.0):
            second = time.monotonic() - self._began
            facts = process.anonymous_kb(pid), process.descriptors(pid), data.stat().st_size
            self.taken.append(Sample(second, *facts))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def drift_kb(samples: list[Sample]) -> float:
    """How much memory grows from the first to the last sample along the line through all of them (Theil–Sen)."""
    from scipy.stats import theilslopes

    seconds = [sample.second for sample in samples]
    slope: Any = theilslopes([sample.anonymous_kb for sample in samples], seconds)
    return float(slope[0]) * (seconds[-1] - seconds[0])


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 600)
def test_nothing_grows(start_server: ServerStarter, record_property: Callable[[str, object], None]) -> None:
    """Anonymous memory drifts by less than 5 MB after the warm-up, descriptors not at all, the file is bounded."""
    server = start_server(**SETTINGS)
    common = {"address": server.address, "batch": BATCH}
    with ending(found := [Load("send", first=0, seconds=15, callers=32, **common)]):
        maximum = found[0].sent()
    rate = SHARE * maximum.goodput / BATCH
    steady = [Load("send", first=10**9, seconds=SECONDS, rate=rate, **common)]
    with Samples(server) as samples, ending(steady):
        sent: Sent = steady[0].sent(SECONDS + 120)
    settled = [sample for sample in samples.taken if WARM_UP * SECONDS <= sample.second <= SECONDS]
    drift = drift_kb(settled)
    thirds = [sent.p99_ms(SECONDS * (WARM_UP + part / 4), SECONDS * (WARM_UP + (part + 1) / 4)) for part in range(3)]
    sizes = {sample.file_bytes for sample in settled}
    figures = {
        "seconds": SECONDS,
        "maximum, events/s": round(maximum.goodput),
        "sent, events/s": round(sent.goodput),
        "memory at the end, kB": settled[-1].anonymous_kb,
        "drift, kB": round(drift),
        "descriptors": sorted({sample.descriptors for sample in settled}),
        "file, bytes": [settled[0].file_bytes, max(sizes)],
        "p99 by thirds, ms": [round(value, 1) for value in thirds],
        "refused": dict(sent.codes),
        "withheld": sent.withheld,
    }
    for name, value in figures.items():
        record_property(name, value)
        print(f"{name}: {value}")  # noqa: T201 - pytest shows it with -s, and where the test fails

    assert drift < MOST_DRIFT_KB
    assert len({sample.descriptors for sample in settled}) == 1
    assert max(sizes) <= 1.05 * settled[0].file_bytes
    assert sent.accepted == len(sent.acknowledged) * BATCH
    # A machine that others use is slower now and then; what creeps up shows in the last third.
    assert thirds[2] < 3 * max(thirds[0], 10.0)
