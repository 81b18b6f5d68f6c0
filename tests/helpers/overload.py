"""A fake for one fault: a server that is overloaded for as long as a test says; then calls reach a real one."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import grpc

from becas_ft.errors import RateLimitedError
from becas_ft.server import status
from helpers.rpc import INGEST_STREAM, raw_stream

_CALLERS: Final = 8


class Overloaded(grpc.GenericRpcHandler):
    """Refuses streams with the server's own answer to too much load, then passes them on; use it with `with`.

    A real server lets streams wait for half a minute before it refuses one: that is why this is a fake.

    Arguments:
        server: where calls go in the end.
        refusals: so many streams are refused first.
        retry_seconds: what RetryInfo asks for.

    Attributes:
        arrivals: when streams came, by the monotonic clock.
        refused: when those that were refused were told so.
    """

    def __init__(self, server: str, refusals: int, retry_seconds: float) -> None:
        self._channel = grpc.insecure_channel(server, [("grpc.enable_http_proxy", 0)])
        self._refusals = refusals
        self._retry_seconds = retry_seconds
        self._server = grpc.server(ThreadPoolExecutor(_CALLERS), [self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self.arrivals: list[float] = []
        self.refused: list[float] = []

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None).wait()
        self._channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """IngestStream, and nothing else."""
        return grpc.stream_stream_rpc_method_handler(self._stream) if details.method == INGEST_STREAM else None

    def _stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self.arrivals.append(time.monotonic())
        if len(self.arrivals) <= self._refusals:
            answer = status.answer(RateLimitedError("too much waits: come again", self._retry_seconds), "fake")
            context.set_trailing_metadata(answer.trailing_metadata)
            self.refused.append(time.monotonic())
            context.abort(answer.code, answer.details)
        yield from raw_stream(self._channel, INGEST_STREAM)(requests)
