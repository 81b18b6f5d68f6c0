"""Waits for the commits of what was submitted to the core, without a thread for each."""

import asyncio
import os
from collections import deque
from typing import Final

from becas_ft._core import Core, Submitted

_READ_BYTES: Final = 4096


class Commits:
    """What waits for a commit, in the order in which it was submitted, which is that of the commits.

    The core makes a descriptor readable after each commit, so that a commit wakes the event loop once, however many
    calls share it.
    """

    def __init__(self, core: Core) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Submitted, asyncio.Future[bytes]]] = deque()
        self._descriptor = core.wakes()
        self._loop.add_reader(self._descriptor, self._woken)

    def close(self) -> None:
        """Settle what is left; to be called after the core has closed, when all of it is decided."""
        self._settle()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    async def answer(self, submitted: Submitted) -> bytes:
        """IngestResponse, once everything it acknowledges is on disk.

        Raises: CoreError.
        """
        answered: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting.append((submitted, answered))
        # What was submitted from a thread may have been committed before it came here.
        self._settle()
        return await answered

    def _woken(self) -> None:
        os.read(self._descriptor, _READ_BYTES)
        self._settle()

    def _settle(self) -> None:
        """Answer from the front what is decided.

        What threads submit can stand here in another order than in the core; then it waits for one commit more.
        """
        while self._waiting:
            submitted, answered = self._waiting[0]
            problem, answer = None, b""
            try:
                polled = submitted.poll()
                if polled is None:
                    return
                answer = polled
            except Exception as error:  # noqa: BLE001 - whoever waits for it gets it
                problem = error
            self._waiting.popleft()
            # A caller that went away takes no answer.
            if answered.done():
                continue
            if problem is None:
                answered.set_result(answer)
            else:
                answered.set_exception(problem)
