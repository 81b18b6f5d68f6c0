"""Published events: appended with what they tell of, read by cursor, the oldest dropped."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice

from google.protobuf.timestamp_pb2 import Timestamp

from becas.ft.v1 import published_event_pb2
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import EVENTS

KEPT = 100_000
"""How many events are kept for subscribers that come back."""

_POLL_SECONDS = 0.25
_PAGE = 500

NAMES = frozenset(
    {
        "fine_tuning.completed",
        "fine_tuning.failed",
        "fine_tuning.ready_for_promotion",
        "fine_tuning.promoted",
        "fine_tuning.rolled_back",
        "ab_test.completed",
    }
)
"""The contract's event names."""


def publish(transaction: WriteTransaction, event: published_event_pb2.PublishedEvent) -> int:
    """Appends the event in the transaction of what it tells of; its cursor.

    Raises: ValueError for a name that is not in the contract.
    """
    if event.name not in NAMES:
        raise ValueError(f"{event.name} is not a published event")
    cursor = transaction.next_number(EVENTS)
    stored = published_event_pb2.PublishedEvent()
    stored.CopyFrom(event)
    stored.cursor = cursor
    if not stored.HasField("time"):
        now = Timestamp()
        now.GetCurrentTime()
        stored.time.CopyFrom(now)
    transaction.put(EVENTS, cursor, stored)
    transaction.delete(EVENTS, max(0, cursor - KEPT))
    return cursor


def read(ledger: Ledger, *, after: int, limit: int = _PAGE) -> list[published_event_pb2.PublishedEvent]:
    """The next events after a cursor, oldest first."""
    return ledger.read(lambda transaction: [event for _, event in islice(transaction.scan(EVENTS, after=after), limit)])


class Feed:
    """Events as they come, for any number of followers: one looks for news on behalf of all; for one event loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._newest = 0
        self._moved = asyncio.Event()
        self._waiting = 0
        self._look: asyncio.Task[None] | None = None

    async def follow(self, *, after: int) -> AsyncIterator[published_event_pb2.PublishedEvent]:
        """What is kept after the cursor, then what happens; ends when the caller stops."""
        while True:
            page = await asyncio.to_thread(read, self._ledger, after=after)
            for event in page:
                yield event
                after = event.cursor
            if not page:
                await self._news(after)

    async def _news(self, after: int) -> None:
        """Wait until there is an event after a cursor."""
        self._waiting += 1
        try:
            while self._newest <= after:
                if self._look is None or self._look.done():
                    self._look = asyncio.create_task(self._look_for_all())
                moved = asyncio.ensure_future(self._moved.wait())
                await asyncio.wait({moved, self._look}, return_when=asyncio.FIRST_COMPLETED)
                moved.cancel()
                if self._look.done():
                    self._look.result()
        finally:
            self._waiting -= 1

    async def _look_for_all(self) -> None:
        while self._waiting:
            newest = await asyncio.to_thread(self._ledger.read, _newest)
            if newest != self._newest:
                self._newest = newest
                self._moved.set()
                self._moved = asyncio.Event()
            await asyncio.sleep(_POLL_SECONDS)


def _newest(transaction: ReadTransaction) -> int:
    last = transaction.last(EVENTS)
    return last[0] if last else 0
