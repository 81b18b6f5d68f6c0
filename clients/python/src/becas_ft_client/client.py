"""The client that a bot keeps for its life."""

import asyncio
from types import TracebackType
from typing import Self

from becas_ft_client.buffer import Buffer, Entry
from becas_ft_client.channel import open_channel
from becas_ft_client.delivery import Delivery
from becas_ft_client.event_id import MAX_BYTES
from becas_ft_client.settings import Access, ClosedError, Settings
from becas_ft_client.v1 import Event, Receipt


class Client:
    """Publishes events in batches over a stream; use it with `async with`, in one event loop.

    Arguments:
        server: host and port.
        access: authority and token, for a server beyond this machine.
        settings: sizes and times.

    Attributes:
        channel: for other calls, by the stubs of `becas_ft_client.v1`; short failures of those that are safe to
            repeat are retried as `service_config.json` says.
    """

    def __init__(self, server: str, *, access: Access | None = None, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self.channel = open_channel(server, access or Access(), self._settings)
        self._buffer = Buffer(self._settings)
        self._delivery = Delivery(self.channel, self._buffer, self._settings)

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._delivery.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def publish(self, event: Event) -> asyncio.Future[Receipt]:
        """Hand over an event; waits only while the buffer is full.

        What is done to the event afterwards does not change what is sent.

        Returns: what to await for the receipt, or to leave alone.

        Raises:
            ValueError: the event has no usable id, or is larger than a batch may be.
            ClosedError: the client is closed.
            DeliveryError: the server said what no repetition mends.
        """
        if not 1 <= len(event.event_id.encode()) <= MAX_BYTES:
            raise ValueError(
                f"event_id: empty, or over {MAX_BYTES} bytes: derive it from what happened, by"
                " event_id('scam.detected', message.id)"
            )
        content = event.SerializeToString()
        if len(content) > self._settings.batch_bytes:
            raise ValueError(
                f"event: {len(content)} bytes, at most {self._settings.batch_bytes}: shorten its texts, or raise"
                " Settings.batch_bytes and the server's limits"
            )
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        await self._buffer.put(Entry(event.event_id, content, receipt, 0.0))
        return receipt

    async def flush(self) -> None:
        """Send what waits at once; returns when everything that was accepted before has its receipt.

        Raises:
            ClosedError, DeliveryError: what is left will have none.
        """
        await self._buffer.flush()

    async def close(self) -> None:
        """Send what waits, read the last receipts, end the stream, close the channel; again: nothing.

        Raises:
            ClosedError: the server stayed away, and so many events have no receipt: publish them again.
            DeliveryError: the server said what no repetition mends.
        """
        if self._buffer.closed:
            return
        self._buffer.close()
        try:
            async with asyncio.timeout(self._settings.close_seconds):
                await self._sender
        except TimeoutError:
            pass
        finally:
            self._sender.cancel()
            if left := self._buffer.unsettled:
                self._delivery.give_up(ClosedError(f"closed while {left} events had no receipt: publish them again"))
            await self.channel.close()
        if self._buffer.failure is not None:
            raise self._buffer.failure
