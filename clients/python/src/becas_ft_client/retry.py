"""When to try again."""

import random

import grpc
from google.rpc import error_details_pb2, status_pb2

from becas_ft_client.settings import Settings

# The server is away, busy, or gave the stream up; an event id counts once, so that repeating is safe.
AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)
_DETAILS = "grpc-status-details-bin"


class Backoff:
    """Pauses that double from failure to failure; the server may ask for longer ones."""

    def __init__(self, settings: Settings) -> None:
        self._first = settings.first_backoff_seconds
        self._longest = settings.longest_backoff_seconds
        self._next = self._first

    def reset(self) -> None:
        """The server answered."""
        self._next = self._first

    def pause(self, error: grpc.aio.AioRpcError | None) -> float:
        """Seconds until the next attempt.

        Arguments:
            error: how the stream ended; None where it ended well and too early.
        """
        own, self._next = self._next, min(2 * self._next, self._longest)
        # Never earlier than asked, and bots that lost the same server do not all come back at once.
        return max(own, asked_seconds(error)) * random.uniform(1.0, 1.2)  # noqa: S311 - no secret


def asked_seconds(error: grpc.aio.AioRpcError | None) -> float:
    """The delay of the status's RetryInfo; 0 where it has none."""
    trailing = () if error is None else error.trailing_metadata() or ()
    for key, value in trailing:
        if key == _DETAILS and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return 0.0
