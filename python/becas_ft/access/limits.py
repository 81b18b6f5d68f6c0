"""How much each client may send: a bucket of calls and one of bytes, refilled with time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# Clients without a token are known by their address, and there are many addresses.
_CLIENTS: Final = 10_000


@dataclass
class _Bucket:
    """What a client has left; below zero it owes."""

    calls: float
    bytes: float
    at: float


class ClientLimits:
    """Limits for each client; for one thread.

    A full bucket holds one second's worth. A call goes through while something is left and may owe afterwards, so
    that a call larger than the bucket waits for its time and is not refused for good.

    Arguments:
        calls: a second; 0: no limit.
        size: bytes a second; 0: no limit.
        clock: seconds.
    """

    def __init__(self, calls: float, size: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._size = size
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._tidied = 0.0

    @property
    def on(self) -> bool:
        """Whether anything is limited."""
        return bool(self._calls or self._size)

    def take(self, client: str, size: int) -> float:
        """Count a call of some bytes; the seconds to wait instead, 0 where it may go through."""
        now = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[client] = _Bucket(self._calls, self._size, now)
        elapsed = now - bucket.at
        bucket.calls = min(max(self._calls, 1.0), bucket.calls + elapsed * self._calls)
        bucket.bytes = min(self._size, bucket.bytes + elapsed * self._size)
        bucket.at = now
        wait = max(
            (1 - bucket.calls) / self._calls if self._calls and bucket.calls < 1 else 0.0,
            -bucket.bytes / self._size if self._size and bucket.bytes < 0 else 0.0,
        )
        if not wait:
            bucket.calls -= 1
            bucket.bytes -= size
        return wait

    def exceeded(self, client: str) -> tuple[str, int]:
        """The setting that a client who has to wait exceeds, and its value."""
        bucket = self._buckets[client]
        if self._calls and bucket.calls < 1:
            return "server.client_requests_per_second", int(self._calls)
        return "server.client_bytes_per_second", int(self._size)

    def _make_room(self, now: float) -> None:
        """Forget clients whose buckets are full again, once there are many; looking at all takes a while."""
        if len(self._buckets) < _CLIENTS or now - self._tidied < 1:
            return
        self._tidied = now
        self._buckets = {
            client: bucket
            for client, bucket in self._buckets.items()
            if bucket.calls + (now - bucket.at) * self._calls < self._calls
            or bucket.bytes + (now - bucket.at) * self._size < self._size
        }
