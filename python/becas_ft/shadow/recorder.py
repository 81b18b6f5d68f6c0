"""Writes what requests leave behind, many in one durable commit, so that no answer waits for the disk."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from becas_ft.ledger import Ledger, WriteTransaction

Change = Callable[[WriteTransaction], None]

_MAXIMUM_WAITING = 10_000
_MAXIMUM_BATCH = 1_000
# A commit beside a request slows its answer down: requests that follow closely share one.
_GATHERING_SECONDS = 0.05

_log = structlog.get_logger("becas_ft.shadow")


class Recorder:
    """A queue of changes to the ledger, applied in order by one task.

    Arguments:
        ledger: where they go.

    Attributes:
        lost: changes that could not be written.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue: asyncio.Queue[Change | asyncio.Future[None]] = asyncio.Queue(_MAXIMUM_WAITING)
        self._task: asyncio.Task[None] | None = None
        self._asked_for = asyncio.Event()
        self.lost = 0

    def start(self) -> None:
        """Begins to write; call from the loop that will use it."""
        self._task = asyncio.create_task(self._run(), name="shadow recorder")

    def record(self, change: Change) -> bool:
        """Takes a change to be written soon; False, and nothing happens, where too many wait."""
        try:
            self._queue.put_nowait(change)
        except asyncio.QueueFull:
            self.lost += 1
            return False
        return True

    async def flush(self) -> None:
        """Returns once everything recorded so far is on disk."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._queue.put(done)
        self._asked_for.set()
        await done

    async def close(self) -> None:
        """Writes what waits, and ends."""
        if self._task is not None:
            await self.flush()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            items = [await self._queue.get()]
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHERING_SECONDS):
                    await self._asked_for.wait()
            self._asked_for.clear()
            while len(items) < _MAXIMUM_BATCH and not self._queue.empty():
                items.append(self._queue.get_nowait())
            changes = [item for item in items if not isinstance(item, asyncio.Future)]
            if changes:
                await self._write(changes)
            for item in items:
                if isinstance(item, asyncio.Future) and not item.done():
                    item.set_result(None)

    async def _write(self, changes: list[Change]) -> None:
        try:
            await asyncio.to_thread(self._ledger.write, partial(_apply, changes))
        except Exception as error:  # noqa: BLE001 - one change must not take the others with it
            if len(changes) == 1:
                self.lost += 1
                _log.error("shadow_record_lost", error=type(error).__name__)
                return
            for change in changes:
                await self._write([change])


def _apply(changes: list[Change], transaction: WriteTransaction) -> None:
    for change in changes:
        change(transaction)
