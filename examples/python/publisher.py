"""Publishes a bot's decisions to becas-ft: copy this file into the bot."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Self

import grpc

from becas.ft.v1.ingest_pb2 import IngestRequest, IngestResponse
from becas.ft.v1.ingest_service_pb2_grpc import IngestServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from becas.ft.v1.event_pb2 import Event
    from becas.ft.v1.ingest_pb2 import Receipt

DEADLINE_SECONDS = 10.0
BATCH_EVENTS = 100
LINGER_SECONDS = 0.2
BUFFERED_EVENTS = 10_000
CLOSE_SECONDS = 30.0
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0

# Repeating is safe since an event id counts once; it helps only while the server is away.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "becas.ft.v1.IngestService", "method": "Ingest"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Publisher:
    """A connection that a bot keeps for its life; use it with `async with`.

    Arguments:
        server: host and port.
        on_receipt: told what became of each event given to `publish`.
        ca: the authority to trust, PEM; the system's where empty.
        token: the bot's; it travels by TLS only. Without authority and token the server has to be on this machine.
    """

    def __init__(
        self, server: str, on_receipt: Callable[[Event, Receipt], None], *, ca: bytes = b"", token: str = ""
    ) -> None:
        self._channel = _open(server, ca, token)
        self._stub = IngestServiceStub(self._channel)
        self._on_receipt = on_receipt
        self._waiting: asyncio.Queue[Event | None] = asyncio.Queue(BUFFERED_EVENTS)
        self._stream: grpc.aio.StreamStreamCall[IngestRequest, IngestResponse] | None = None

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._send_batches())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def publish_now(self, event: Event) -> Receipt:
        """Send one event, and wait until it is on the server's disk.

        Raises:
            grpc.aio.AioRpcError: UNAVAILABLE after five attempts, or a status that no repetition mends.
        """
        response = await self._stub.Ingest(IngestRequest(events=[event]), timeout=DEADLINE_SECONDS)
        return response.receipts[0]

    async def publish(self, event: Event) -> None:
        """Hand over an event; waits only while the buffer is full.

        Raises:
            grpc.aio.AioRpcError: an earlier batch failed in a way that no repetition mends.
        """
        put = asyncio.ensure_future(self._waiting.put(event))
        await asyncio.wait({put, self._sender}, return_when=asyncio.FIRST_COMPLETED)
        if self._sender.done():
            put.cancel()
            self._sender.result()

    async def close(self) -> None:
        """Send what waits, read the last receipts, end the stream, close the channel.

        Raises:
            TimeoutError: the server stayed away; events without a receipt have to be published again.
        """
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._waiting.put(None)
                await self._sender
        finally:
            self._sender.cancel()
            await self._channel.close()

    async def _send_batches(self) -> None:
        while batch := await self._next_batch():
            response = await self._exchange(IngestRequest(events=batch))
            for event, receipt in zip(batch, response.receipts, strict=True):
                self._on_receipt(event, receipt)
        if self._stream is not None:
            await self._stream.done_writing()
            await self._stream.read()

    async def _next_batch(self) -> list[Event]:
        """A full batch at once, a smaller one after a short wait, none at the end."""
        batch: list[Event] = []
        event = await self._waiting.get()
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while event is not None:
                    batch.append(event)
                    if len(batch) == BATCH_EVENTS:
                        return batch
                    event = await self._waiting.get()
        except TimeoutError:
            return batch
        if batch:
            self._waiting.put_nowait(None)
        return batch

    async def _exchange(self, request: IngestRequest) -> IngestResponse:
        """Send a batch until its receipts are there; the stream is opened anew where it broke."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            stream = self._stream = self._stream or self._stub.IngestStream()
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await stream.write(request)
                    response = await stream.read()
                if isinstance(response, IngestResponse):
                    return response
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            except asyncio.InvalidStateError:
                # The stream had ended before the write.
                if await stream.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            except TimeoutError:
                stream.cancel()
            self._stream = None
            # Bots that lost the same server must not all come back at once.
            await asyncio.sleep(backoff * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            backoff = min(2 * backoff, LONGEST_BACKOFF_SECONDS)


def _open(server: str, ca: bytes, token: str) -> grpc.aio.Channel:
    options = [("grpc.service_config", json.dumps(SERVICE_CONFIG))]
    if not ca and not token:
        return grpc.aio.insecure_channel(server, options)
    credentials = grpc.ssl_channel_credentials(ca or None)
    if token:
        bearer = grpc.access_token_call_credentials(token)
        credentials = grpc.composite_channel_credentials(credentials, bearer)
    return grpc.aio.secure_channel(server, credentials, options)
