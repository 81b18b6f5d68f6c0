"""Production traffic as a candidate sees it: when to begin, and a clock that stops while production is busy.

The candidate runs in the time that production leaves. Time that it spends waiting for production says nothing about
it, so neither its time limit nor the comparison of latencies counts it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Traffic:
    """Production requests in flight.

    Arguments:
        began: called as the first of them begins.
        ended: called as the last of them ends.

    Attributes:
        requests: that ever began.
    """

    def __init__(self, began: Callable[[], None] = lambda: None, ended: Callable[[], None] = lambda: None) -> None:
        self._began = began
        self._ended = ended
        self._in_flight = 0
        self._busy_seconds = 0.0
        self._busy_since = 0.0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.requests = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts a production request while it runs."""
        self.requests += 1
        self._in_flight += 1
        if self._in_flight == 1:
            self._busy_since = time.monotonic()
            self._quiet.clear()
            self._began()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._busy_seconds += time.monotonic() - self._busy_since
                self._quiet.set()
                self._ended()

    @property
    def busy(self) -> bool:
        """Whether a production request is in flight."""
        return self._in_flight > 0

    def clock(self) -> float:
        """Seconds of a clock that stops while a production request is in flight."""
        now = time.monotonic()
        busy = self._busy_seconds + (now - self._busy_since if self._in_flight else 0.0)
        return now - busy

    async def quiet(self) -> None:
        """Returns when no production request is in flight."""
        await self._quiet.wait()
