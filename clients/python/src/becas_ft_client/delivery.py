"""Brings batches to the server, over one stream after another, until each has its receipts."""

import asyncio
from collections import deque
from contextlib import suppress

import grpc

from becas_ft_client.buffer import Batch, Buffer
from becas_ft_client.retry import AGAIN, Backoff
from becas_ft_client.settings import DeliveryError, Settings
from becas_ft_client.v1 import IngestResponse

METHOD = "/becas.ft.v1.IngestService/IngestStream"
# As many as the server works on at once; more would only wait there.
WINDOW = 16
_LOOK_SECONDS = 0.5
_LISTEN_SECONDS = 1.0
_HIDDEN = "Internal error from Core"
# Field 1 of IngestRequest, length-delimited.
_EVENTS_TAG = b"\x0a"

Stream = grpc.aio.StreamStreamCall[bytes, IngestResponse]


class Delivery:
    """Sends what the buffer hands out; what a broken stream left unanswered goes first over the next."""

    def __init__(self, channel: grpc.aio.Channel, buffer: Buffer, settings: Settings) -> None:
        self._open: grpc.aio.StreamStreamMultiCallable[bytes, IngestResponse] = channel.stream_stream(
            METHOD, request_serializer=None, response_deserializer=IngestResponse.FromString
        )
        self._buffer = buffer
        self._settings = settings
        self._backoff = Backoff(settings)
        self._in_flight: deque[Batch] = deque()
        self._answered = asyncio.Event()
        self._listen_first = False

    async def run(self) -> None:
        """Deliver until the buffer is closed and empty, or until the server says what no repetition mends."""
        try:
            while self._in_flight or await self._buffer.wait_for_work():
                error = await self._one_stream()
                # gRPC says this of a stream that ended under a write, and hides why. Whoever was refused may be again,
                # so the next stream listens first.
                self._listen_first = error is not None
                hidden = error is not None and error.details() == _HIDDEN
                if error is not None and not hidden and error.code() not in AGAIN:
                    self.give_up(DeliveryError(error.code(), error.details() or ""))
                    return
                if self._in_flight or error is not None:
                    await asyncio.sleep(self._backoff.pause(error))
        except Exception as error:  # noqa: BLE001 - whoever waits for a receipt has to hear of any
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Nothing that is left will be delivered."""
        self._buffer.fail(error, self._in_flight)

    async def _one_stream(self) -> grpc.aio.AioRpcError | None:
        """Send and read until the stream ends; the error that ended it."""
        stream: Stream = self._open(wait_for_ready=False)
        writer = asyncio.create_task(self._write(stream))
        watch = asyncio.create_task(self._watch(stream))
        try:
            while isinstance(response := await stream.read(), IngestResponse):
                self._settle(response)
        except grpc.aio.AioRpcError as error:
            return error
        except asyncio.CancelledError:
            # gRPC says so of a stream that was given up here, and asyncio of a client that is.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
        finally:
            stream.cancel()
            for helper in (writer, watch):
                helper.cancel()
            await asyncio.gather(writer, watch, return_exceptions=True)
        return None

    async def _write(self, stream: Stream) -> None:
        # A stream that ends under its writer fails it too: the reader knows why.
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
            if self._listen_first:
                await asyncio.sleep(_LISTEN_SECONDS)
            for unanswered in tuple(self._in_flight):
                await self._send(stream, unanswered)
            while (batch := await self._next()) is not None:
                await self._send(stream, batch)
            await stream.done_writing()

    async def _next(self) -> Batch | None:
        while len(self._in_flight) >= WINDOW:
            self._answered.clear()
            await self._answered.wait()
        batch = await self._buffer.next_batch()
        if batch is not None:
            # Before anything can interrupt: a batch is in the buffer or in flight.
            self._in_flight.append(batch)
        return batch

    async def _send(self, stream: Stream, batch: Batch) -> None:
        batch.sent = asyncio.get_running_loop().time()
        await stream.write(request(batch))

    async def _watch(self, stream: Stream) -> None:
        """Give a stream up whose oldest batch waits too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._settings.answer_seconds / 2))
            if self._in_flight and self._in_flight[0].sent + self._settings.answer_seconds < loop.time():
                stream.cancel()

    def _settle(self, response: IngestResponse) -> None:
        """Responses come in the order of the requests, receipts in the order of the events."""
        batch = self._in_flight[0]
        sent = [entry.event_id for entry in batch.entries]
        if [receipt.event_id for receipt in response.receipts] != sent:
            raise DeliveryError(grpc.StatusCode.INTERNAL, "the server's receipts are not those of the events sent")
        self._in_flight.popleft()
        for entry, receipt in zip(batch.entries, response.receipts, strict=True):
            self._buffer.settle(entry, receipt)
        self._answered.set()
        self._backoff.reset()


def request(batch: Batch) -> bytes:
    """An IngestRequest of events that are encoded already."""
    parts = []
    for entry in batch.entries:
        parts += [_EVENTS_TAG, _varint(len(entry.content)), entry.content]
    return b"".join(parts)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte, the eighth says that more follow
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
