"""EventService: what happened, to whoever listens."""

from collections.abc import AsyncIterator

from becas.ft.v1 import published_event_pb2
from becas_ft.errors import InvalidArgumentError
from becas_ft.rollout import published
from becas_ft.server.application import Application
from becas_ft.server.service import Context


class EventService:
    """Published events, from a cursor on."""

    def __init__(self, application: Application) -> None:
        self._feed = published.Feed(application.ledger)

    async def Subscribe(
        self, request: published_event_pb2.SubscribeRequest, context: Context
    ) -> AsyncIterator[published_event_pb2.PublishedEvent]:
        """What is kept after the cursor, then what happens, until the caller or the server goes."""
        del context
        if request.after_cursor < 0:
            raise InvalidArgumentError("after_cursor", "must be the last cursor seen, or 0 for everything kept")
        async for event in self._feed.follow(after=request.after_cursor):
            yield event
