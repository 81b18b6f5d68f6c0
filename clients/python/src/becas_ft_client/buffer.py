"""Events that have no receipt yet: bounded in bytes, in the order of publishing."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from becas_ft_client.settings import ClosedError, Settings
from becas_ft_client.v1 import Receipt


@dataclass(eq=False)
class Entry:
    """An event that was accepted.

    Attributes:
        event_id: as published.
        content: the encoded event.
        receipt: what became of it.
        since: when it was accepted, by the loop's clock.
    """

    event_id: str
    content: bytes
    receipt: asyncio.Future[Receipt]
    since: float


@dataclass(eq=False)
class Batch:
    """What goes in one message.

    Attributes:
        sent: when, by the loop's clock.
    """

    entries: list[Entry] = field(default_factory=list)
    sent: float = 0.0


class Buffer:
    """Takes events as long as there is room, hands them out in batches, and forgets what is settled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: deque[Entry] = deque()
        self._waiting_bytes = 0
        self._held_bytes = 0
        self._accepted = 0
        self._settled = 0
        # Everything accepted up to this number goes out without waiting for others.
        self._hurried = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._progress = asyncio.Event()
        self.closed = False
        self.failure: Exception | None = None

    @property
    def accepted(self) -> int:
        """How many events were ever accepted."""
        return self._accepted

    @property
    def unsettled(self) -> int:
        """How many of them have no receipt."""
        return self._accepted - self._settled

    async def put(self, entry: Entry) -> None:
        """Accept an event, once there is room.

        Raises: what `check` raises.
        """
        self.check()
        size = len(entry.content)
        while self._held_bytes and self._held_bytes + size > self._settings.buffer_bytes:
            self._room.clear()
            await self._room.wait()
            self.check()
        entry.since = asyncio.get_running_loop().time()
        self._held_bytes += size
        self._waiting_bytes += size
        self._waiting.append(entry)
        self._accepted += 1
        self._changed.set()

    def check(self) -> None:
        """Raises: the failure, or ClosedError."""
        if self.failure is not None:
            raise self.failure
        if self.closed:
            raise ClosedError("the client is closed")

    async def wait_for_work(self) -> bool:
        """Wait until something is to be sent; False where nothing ever will be."""
        while not self._waiting:
            if self.closed:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    async def next_batch(self) -> Batch | None:
        """A full batch at once, a smaller one when its first event has waited long enough; None at the end."""
        loop = asyncio.get_running_loop()
        while await self.wait_for_work():
            left = self._waiting[0].since + self._settings.linger_seconds - loop.time()
            hurry = self.closed or self._hurried > self._accepted - len(self._waiting)
            if self._full() or hurry or left <= 0:
                return self._take()
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return None

    def settle(self, entry: Entry, outcome: Receipt | Exception) -> None:
        """An event has its receipt, or will never have one; in the order of publishing."""
        self._held_bytes -= len(entry.content)
        self._settled += 1
        self._room.set()
        self._progress.set()
        if entry.receipt.done():
            return
        if isinstance(outcome, Exception):
            entry.receipt.set_exception(outcome)
            # `publish`, `flush` and `close` say it too: who does not look here is not warned.
            entry.receipt.exception()
        else:
            entry.receipt.set_result(outcome)

    async def flush(self) -> None:
        """Wait until everything that was accepted before is settled.

        Raises: the failure.
        """
        target = self._hurried = self._accepted
        self._changed.set()
        while self._settled < target and self.failure is None:
            self._progress.clear()
            await self._progress.wait()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Accept nothing any more; what waits goes out at once."""
        self.closed = True
        self._changed.set()
        self._room.set()

    def fail(self, failure: Exception, in_flight: deque[Batch]) -> None:
        """Nothing will have a receipt any more."""
        self.failure = self.failure or failure
        for batch in in_flight:
            for entry in batch.entries:
                self.settle(entry, failure)
        in_flight.clear()
        for entry in self._waiting:
            self.settle(entry, failure)
        self._waiting.clear()
        self._room.set()
        self._progress.set()
        self._changed.set()

    def _full(self) -> bool:
        return len(self._waiting) >= self._settings.batch_events or self._waiting_bytes >= self._settings.batch_bytes

    def _take(self) -> Batch:
        batch, size = Batch(), 0
        while self._waiting and len(batch.entries) < self._settings.batch_events:
            size += len(self._waiting[0].content)
            if batch.entries and size > self._settings.batch_bytes:
                break
            entry = self._waiting.popleft()
            self._waiting_bytes -= len(entry.content)
            batch.entries.append(entry)
        return batch
