"""How many events came in during the last hour: samples of the core's counters, in memory only."""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from becas.ft.v1 import dataset_pb2

if TYPE_CHECKING:
    from becas_ft.server.application import Application

SPAN_SECONDS: Final = 5.0
_KEPT: Final = int(3600 / SPAN_SECONDS)


class _Sample(NamedTuple):
    """The counters at a moment."""

    at: float
    clock: float
    events: float
    invalid: float


class IngestRates:
    """Differences of counters that only grow; the newest hour of them."""

    def __init__(self) -> None:
        self._last: _Sample | None = None
        self._rates: deque[dataset_pb2.IngestRate] = deque(maxlen=_KEPT)

    def take(self, events: float, invalid: float, *, at: float, clock: float) -> None:
        """Take a sample.

        Arguments:
            events: answered so far.
            invalid: of them, unusable.
            at: seconds since the epoch.
            clock: seconds that only go forward.
        """
        last, self._last = self._last, _Sample(at, clock, events, invalid)
        if last is None or clock <= last.clock:
            return
        seconds = clock - last.clock
        rate = dataset_pb2.IngestRate(
            events_per_second=(events - last.events) / seconds, invalid_per_second=(invalid - last.invalid) / seconds
        )
        rate.time.FromMilliseconds(round(at * 1000))
        self._rates.append(rate)

    def answer(self) -> dataset_pb2.GetIngestRateResponse:
        """What there is."""
        return dataset_pb2.GetIngestRateResponse(rates=self._rates)


async def sample_ingest(application: "Application") -> None:
    """Take samples until it is cancelled."""
    while True:
        figures = application.core.metrics()
        application.ingest_rates.take(
            figures["events_total"], figures["events_invalid_total"], at=time.time(), clock=time.monotonic()
        )
        await asyncio.sleep(SPAN_SECONDS)
