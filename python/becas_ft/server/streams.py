"""The streams that are open: how many there may be, and the end of those whose caller counts no longer."""

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from becas_ft.access.tokens import Token
from becas_ft.errors import PermissionDeniedError, RateLimitedError, UnauthenticatedError

Item = TypeVar("Item")

# How long a stream that nothing is said on outlives its caller's right to it.
_LOOK_SECONDS: Final = 1.0
# Streams end by themselves, but nobody knows when.
_RETRY_SECONDS: Final = 5.0
_END: Final = object()


@dataclass(frozen=True)
class Caller:
    """Who makes a call.

    Attributes:
        client: whose limits count: a token's, else those of an address.
        token: None where the call came without one and needs none.
        certificate: the client's and all that it sent with it, PEM; None where clients need none.
    """

    client: str
    token: Token | None = None
    certificate: tuple[bytes, bytes] | None = None

    @property
    def subject(self) -> str:
        """How errors name him; an address is nobody's business but his own."""
        return f"token {self.token.name}" if self.token else "this address"


class _Stream:
    """One open stream."""

    def __init__(self) -> None:
        self._refusal: Exception | None = None
        self._waiting: asyncio.Task[object] | None = None

    def end(self, refusal: Exception) -> None:
        """Let it fail at its next item, or at once where it waits for one."""
        self._refusal = refusal
        if self._waiting is not None:
            self._waiting.cancel()

    async def next(self, items: AsyncIterator[Item]) -> Item | object:
        """The next item, `_END` after the last; raises what `end` was told."""
        if self._refusal is not None:
            raise copy.copy(self._refusal)
        # Not a task of its own for each item: that would cost more than most items do.
        self._waiting = asyncio.current_task()
        try:
            return await anext(items, _END)
        except asyncio.CancelledError:
            if self._refusal is None or self._waiting is None:
                raise
            self._waiting.uncancel()
            raise copy.copy(self._refusal) from None
        finally:
            self._waiting = None


class OpenStreams:
    """All streams of a server; for one event loop.

    Arguments:
        most: of all clients together; more are refused.
        each: of one client; 0: no limit.
        check: raises UnauthenticatedError or PermissionDeniedError where a caller counts no longer.
    """

    def __init__(self, most: int, each: int, check: Callable[[Caller], None]) -> None:
        self._most = most
        self._each = each
        self._check = check
        self._total = 0
        self._count: Counter[str] = Counter()
        self._open: dict[Caller, set[_Stream]] = {}
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def place(self, caller: Caller | None) -> Iterator[None]:
        """Hold a place for a stream.

        Arguments:
            caller: whose limit counts; None: anybody may open such a stream, and all of them together have a quarter of
                the places.

        Raises: RateLimitedError where there is none.
        """
        client, each = (caller.client, self._each) if caller else ("", max(1, self._most // 4))
        if self._total >= self._most:
            raise _too_many("the server", "server.max_streams", self._most)
        if each and self._count[client] >= each:
            if caller is None:
                raise _too_many("everybody without a token", "a quarter of server.max_streams", each)
            raise _too_many(caller.subject, "server.client_streams", each)
        self._total += 1
        self._count[client] += 1
        try:
            yield
        finally:
            self._total -= 1
            self._count[client] -= 1
            if not self._count[client]:
                del self._count[client]

    async def guard(self, caller: Caller, items: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
        """The items of a stream, while its caller counts.

        Raises: UnauthenticatedError, PermissionDeniedError, also while it waits for an item; RateLimitedError.
        """
        with self.place(caller):
            stream = _Stream()
            self._open.setdefault(caller, set()).add(stream)
            self._begin_to_look()
            try:
                while (item := await stream.next(items)) is not _END:
                    yield item  # type: ignore[misc]  # an Item, since it is not _END
            finally:
                streams = self._open[caller]
                streams.discard(stream)
                if not streams:
                    del self._open[caller]

    def _begin_to_look(self) -> None:
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Look at the callers of all streams now and then, as long as there are streams."""
        while self._open:
            await asyncio.sleep(_LOOK_SECONDS)
            for caller, streams in tuple(self._open.items()):
                try:
                    self._check(caller)
                except (UnauthenticatedError, PermissionDeniedError) as refusal:
                    for stream in tuple(streams):
                        stream.end(refusal)


def _too_many(subject: str, setting: str, limit: int) -> RateLimitedError:
    return RateLimitedError(
        f"{subject} has {limit} streams open, as many as {setting} allows: end some, or ask again later",
        _RETRY_SECONDS,
        reason="TOO_MANY_STREAMS",
        subject=subject,
        setting=setting,
        limit=limit,
    )
