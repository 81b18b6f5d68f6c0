"""Progress of a job on its way to the journal."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from becas.ft.v1 import training_pb2
from becas_ft.ledger import LedgerError
from becas_ft.orchestrator.training_job import Change

_SECONDS_BETWEEN_NOTES = 0.5


class Notes:
    """Changes of a job's record that come faster than they can be read, written together now and then.

    Arguments:
        write: applies one change to the record.
    """

    def __init__(self, write: Callable[[Change], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[Change] = []
        self._writing: asyncio.Task[None] | None = None
        self._last = 0.0

    def add(self, change: Change) -> None:
        """Takes a change, to be written soon or with those that follow."""
        self._waiting.append(change)
        idle = self._writing is None or self._writing.done()
        if idle and time.monotonic() - self._last >= _SECONDS_BETWEEN_NOTES:
            self._last = time.monotonic()
            self._writing = asyncio.create_task(self._write_if_possible())

    async def flush(self) -> None:
        """Writes what waits.

        Raises: LedgerError.
        """
        await self.aclose()
        changes, self._waiting = self._waiting, []

        def all_of_them(record: training_pb2.Job) -> None:
            for one in changes:
                one(record)

        try:
            if changes:
                await self._write(all_of_them)
        except LedgerError:
            self._waiting[:0] = changes
            raise

    async def aclose(self) -> None:
        """Waits for what is being written."""
        if self._writing is not None and self._writing is not asyncio.current_task():
            await self._writing

    async def _write_if_possible(self) -> None:
        # A disk without room must not end hours of training for the sake of a progress bar.
        with contextlib.suppress(LedgerError):
            await self.flush()
