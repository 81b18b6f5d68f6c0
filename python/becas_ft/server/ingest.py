"""IngestService: request bytes go to the core undecoded, and come back as receipts once they are on disk."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, TypeVar

from becas_ft._core import Submitted
from becas_ft.errors import DiskError, DrainingError, OverloadedError
from becas_ft.server.application import Application
from becas_ft.server.interceptors import time_left
from becas_ft.server.service import Context

Result = TypeVar("Result")

# A stream that meets a full queue waits, since it can push back; a single call is told to come again.
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5
_PATIENCE: Final = 30.0


class IngestService:
    """Takes events.

    Concurrent calls wait in threads of their own, and so share commits. The requests of one stream are decided in
    their order, each as soon as the one before it has its place; they share commits too.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._window = application.config.server.stream_window
        self._byte_limit = int(application.config.store.queue_bytes)
        self._bytes = 0
        self._tracing = application.tracing

    async def Ingest(self, request: bytes, context: Context) -> bytes:
        """IngestRequest in, IngestResponse out."""
        del context
        if self._tracing is None:
            return await self._hand_over(self._application.core.ingest, request)
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
        """The first half of an ingest."""
        submit = self._application.core.submit
        return await self._hand_over(submit if self._tracing is None else partial(submit, timed=True), request)

    async def _committed(self, submitted: Submitted, begun: int) -> bytes:
        """The second half; `begun` is when the first did, in nanoseconds since the epoch."""
        answer = await self._settle(submitted.wait)
        if self._tracing is not None:
            self._tracing.stages(begun, submitted.stages(), time.time_ns())
        return answer

    async def _hand_over(self, call: Callable[..., Result], request: bytes) -> Result:
        """Hand bytes to the core; what waits for a thread is bounded as what waits for the writer is."""
        if self._bytes and self._bytes + len(request) > self._byte_limit:
            refusal = OverloadedError(
                f"{self._bytes} bytes are waiting to be written: try again shortly, or send less at once"
            )
            # As the core's own has it.
            vars(refusal)["queued_bytes"] = self._bytes
            raise refusal
        self._bytes += len(request)
        try:
            return await self._settle(call, request, labeller=True, timeout=time_left())
        finally:
            self._bytes -= len(request)

    async def _settle(self, call: Callable[..., Result], *args: bytes, **kwargs: object) -> Result:
        """Run a call that ends with a commit; a disk that fails takes no more."""
        try:
            return await self._application.write(call, *args, **kwargs)
        except DiskError:
            await self._application.disk_failed()
            raise


def _forget(answer: asyncio.Task[bytes] | None) -> None:
    """Give up an answer that nobody will read: its events were not acknowledged, stored or not."""
    if answer is not None and not answer.cancel() and not answer.cancelled():
        answer.exception()
