"""IngestService: request bytes go to the core undecoded, and come back as receipts once they are on disk."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from becas_ft._core import Submitted
from becas_ft.errors import DiskError, DrainingError, OverloadedError
from becas_ft.server import access
from becas_ft.server.application import Application
from becas_ft.server.interceptors import time_left
from becas_ft.server.service import Context

# A stream that meets a full queue waits, since it can push back; a single call is told to come again.
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
_PATIENCE: Final = 30.0
# What takes no longer to prepare than to be handed to a thread: a message with its decision.
_AT_ONCE_BYTES: Final = 4096


class IngestService:
    """Takes events.

    Concurrent calls share commits. The requests of one stream are decided in their order, each as soon as the one
    before it has its place; they share commits too.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._window = application.config.server.stream_window
        self._tracing = application.tracing

    async def Ingest(self, request: bytes, context: Context) -> bytes:
        """IngestRequest in, IngestResponse out."""
        del context
        begun = time.time_ns()
        submitted = await self._submit(request)
        return await self._committed(submitted, begun)

    async def IngestStream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """One response a request, in order; at most `stream_window` requests are read ahead of answers."""
        del context
        answers: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
        room = asyncio.Semaphore(self._window)

        async def read() -> None:
            await room.acquire()
            async for request in requests:
                begun = time.time_ns()
                submitted = await self._submit_patiently(request)
                answers.put_nowait(asyncio.create_task(self._committed(submitted, begun)))
                await room.acquire()

        reader = asyncio.create_task(read())
        reader.add_done_callback(lambda _: answers.put_nowait(None))
        drain = asyncio.create_task(self._application.draining.wait())
        drain.add_done_callback(lambda _: reader.cancel())
        answer: asyncio.Task[bytes] | None = None
        try:
            while (answer := await answers.get()) is not None:
                yield await answer
                room.release()
            if reader.cancelled():
                raise DrainingError("the server is about to stop: open the stream again in a moment")
            reader.result()
        finally:
            drain.cancel()
            reader.cancel()
            while not answers.empty():
                _forget(answers.get_nowait())

    async def _submit_patiently(self, request: bytes) -> Submitted:
        """Give a request its place before the writer, and where too much waits already, wait too."""
        left = time_left()
        pause, give_up = _FIRST_PAUSE, time.monotonic() + (_PATIENCE if left is None else left)
        while True:
            try:
                return await self._submit(request)
            except OverloadedError:
                if time.monotonic() + pause > give_up or self._application.draining.is_set():
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _submit(self, request: bytes) -> Submitted:
        """The first half of an ingest; what waits for a thread counts with what waits for the writer."""
        core = self._application.core
        submit = partial(
            core.submit,
            request,
            core.reserve(len(request)),
            labeller=access.labels(),
            timeout=time_left(),
            timed=self._tracing is not None,
        )
        if len(request) <= _AT_ONCE_BYTES:
            return submit()
        return await self._application.prepare(submit)

    async def _committed(self, submitted: Submitted, begun: int) -> bytes:
        """The second half; `begun` is when the first did, in nanoseconds since the epoch. A disk that fails is told."""
        try:
            answer = await self._application.commits.answer(submitted)
        except DiskError:
            await self._application.disk_failed()
            raise
        if self._tracing is not None:
            self._tracing.stages(begun, submitted.stages(), time.time_ns())
        return answer


def _forget(answer: asyncio.Task[bytes] | None) -> None:
    """Give up an answer that nobody will read: its events were not acknowledged, stored or not."""
    if answer is not None and not answer.cancel() and not answer.cancelled():
        answer.exception()
