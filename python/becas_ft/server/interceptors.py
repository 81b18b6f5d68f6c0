"""What surrounds every call: a request id, a deadline, metrics, a log line, and the status of a failure."""

import asyncio
import inspect
import os
import time
import traceback
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import structlog

from becas_ft.errors import DrainingError
from becas_ft.observability import Metrics
from becas_ft.server import status
from becas_ft.server.access import caller
from becas_ft.server.service import Context, Continuation
from becas_ft.server.tracing import Tracing, trace_id

if TYPE_CHECKING:
    from opentelemetry.trace import Span

# Calls that last as long as somebody listens: a drain ends them, since they would never end by themselves.
ENDLESS: Final = frozenset(
    {
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/becas.ft.v1.TrainingService/WatchJob",
        "/becas.ft.v1.EventService/Subscribe",
    }
)
# Load balancers ask until the end.
ALWAYS: Final = frozenset({"/grpc.health.v1.Health/Check"})
# Rewriting a large store takes longer than a default would allow; an erasure goes on whoever waits for it.
PATIENT: Final = frozenset({"/becas.ft.v1.DatasetService/Forget", "/becas.ft.v1.DatasetService/SetConsent"})
# Their successes are thousands a second: debug.
QUIET: Final = frozenset({"/becas.ft.v1.IngestService/Ingest", "/grpc.health.v1.Health/Check"})

# Whoever asks too much is told so thousands of times a second: a line for each would fill the disk with them.
_LINES_A_SECOND: Final = 20

_ID_BYTES: Final = 16

_DRAINING: Final = "the server is about to stop: call again in a moment"
# What is not a failure, and what nobody foresaw.
_EACH: Final = frozenset({grpc.StatusCode.OK, grpc.StatusCode.INTERNAL})
_ARITY: Final = {False: "unary", True: "stream"}
_MAKE: Final = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_END: Final = object()

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_log = structlog.get_logger("becas_ft.server")


def time_left() -> float | None:
    """Seconds until this call's deadline, the default one included; None where it has none."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


class _Lines:
    """Lines that the log takes of failures of one kind: so many a second, and the next one tells of the others."""

    def __init__(self) -> None:
        self._second = 0
        self._written = 0
        self._left_out = 0

    def take(self, now: float) -> int | None:
        """None where it is left out; else how many were since the last one that was not."""
        if int(now) != self._second:
            self._second, self._written = int(now), 0
        if self._written == _LINES_A_SECOND:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


@dataclass(frozen=True)
class _Call:
    """One call on its way."""

    method: str
    request_id: str
    started: float
    span: "Span | None"


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler.

    Arguments:
        metrics: counts and times the calls.
        default_deadline: seconds for unary answers without a deadline of the caller's.
        draining: set when the server is about to stop.
        tracing: None: no spans.
    """

    def __init__(
        self,
        metrics: Metrics,
        default_deadline: float,
        draining: asyncio.Event,
        tracing: Tracing | None = None,
    ) -> None:
        self._metrics = metrics
        self._default_deadline = default_deadline
        self._draining = draining
        self._tracing = tracing
        self._wrapped: dict[str, tuple[grpc.RpcMethodHandler[Any, Any], grpc.RpcMethodHandler[Any, Any]]] = {}
        self._failures: defaultdict[tuple[str, grpc.StatusCode], _Lines] = defaultdict(_Lines)
        self._in_flight = 0
        self._begun = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until no call is in flight."""
        await self._idle.wait()

    async def quiet(self, seconds: float) -> None:
        """Wait until no call is in flight and none has begun for some seconds."""
        begun = -1
        while begun != self._begun or self._in_flight:
            await self.idle()
            begun = self._begun
            await asyncio.sleep(seconds)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of a call, wrapped; None where there is none, which gRPC answers UNIMPLEMENTED."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        method = handler_call_details.method
        known, wrapped = self._wrapped.get(method, (None, None))
        # A guard makes a handler for each call; without one it is the same each time.
        if known is not handler or wrapped is None:
            wrapped = self._wrap(method, handler)
            self._wrapped[method] = handler, wrapped
        return wrapped

    def _wrap(self, method: str, handler: "grpc.RpcMethodHandler[Any, Any]") -> "grpc.RpcMethodHandler[Any, Any]":
        kind = f"{_ARITY[handler.request_streaming]}_{_ARITY[handler.response_streaming]}"
        wrap = self._stream if handler.response_streaming else self._unary
        return _MAKE[kind](
            wrap(method, getattr(handler, kind)), handler.request_deserializer, handler.response_serializer
        )

    def _unary(self, method: str, behaviour: Callable[[Any, Context], Awaitable[Any]]) -> Callable[..., Any]:
        async def handle(request: Any, context: Context) -> Any:  # noqa: ANN401 - bytes or a message, as the handler has it
            call = self._begin(method, context, None if method in PATIENT else self._default_deadline)
            try:
                self._refuse_when_draining(method)
                async with asyncio.timeout(time_left()):
                    response = await behaviour(request, context)
            except BaseException as error:  # noqa: BLE001 - each is answered or raised again
                await self._fail(call, context, error)
            else:
                self._end(call, grpc.StatusCode.OK)
                return response

        return handle

    def _stream(self, method: str, behaviour: Callable[[Any, Context], Any]) -> Callable[..., Any]:
        async def handle(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - as above
            call = self._begin(method, context, None)
            try:
                self._refuse_when_draining(method)
                responses = _responses(behaviour, request, context)
                if method in ENDLESS:
                    responses = self._until_draining(responses)
                async with aclosing(responses):
                    async for response in responses:
                        yield response
            except BaseException as error:  # noqa: BLE001 - each is answered or raised again
                await self._fail(call, context, error)
            else:
                self._end(call, grpc.StatusCode.OK)

        return handle

    async def _until_draining(self, responses: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
        """The responses, until the server drains."""
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            while True:
                step = asyncio.ensure_future(anext(responses, _END))
                try:
                    await asyncio.wait({step, draining}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not step.done():
                        step.cancel()
                        await asyncio.wait({step})
                if step.cancelled():
                    raise DrainingError(_DRAINING)
                if step.result() is _END:
                    return
                yield step.result()
        finally:
            draining.cancel()
            await responses.aclose()

    def _refuse_when_draining(self, method: str) -> None:
        """A shutdown of gRPC's own would answer without details, and some calls CANCELLED, which nobody repeats."""
        if self._draining.is_set() and method not in ALWAYS:
            raise DrainingError(_DRAINING)

    def _begin(self, method: str, context: Context, default_deadline: float | None) -> _Call:
        left = context.time_remaining()
        left = default_deadline if left is None else left
        now = time.monotonic()
        _deadline.set(None if left is None else now + left)
        self._in_flight += 1
        self._begun += 1
        self._idle.clear()
        self._metrics.rpcs_in_flight.inc()
        span = self._tracing.begin(method, tuple(context.invocation_metadata() or ())) if self._tracing else None
        return _Call(method, os.urandom(_ID_BYTES).hex(), now, span)

    def _end(self, call: _Call, code: grpc.StatusCode, **more: Any) -> None:  # noqa: ANN401 - what a log line takes
        seconds = time.monotonic() - call.started
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()
        self._metrics.rpcs_in_flight.dec()
        self._metrics.rpcs.labels(call.method, code.name).inc()
        self._metrics.rpc_seconds.labels(call.method).observe(seconds)
        if code is grpc.StatusCode.OK:
            write = _log.debug if call.method in QUIET else _log.info
        else:
            write = _log.error if code is grpc.StatusCode.INTERNAL else _log.warning
        if self._tracing and call.span:
            self._tracing.end(call.span, code)
            more["trace_id"] = trace_id(call.span)
        if code not in _EACH:
            left_out = self._failures[call.method, code].take(call.started + seconds)
            if left_out is None:
                return
            if left_out:
                more["left_out"] = left_out
        token = caller()
        if token is not None:
            more |= {"token": token.name, "role": token.role.value}
        write(
            "rpc",
            method=call.method,
            code=code.name,
            milliseconds=round(seconds * 1000, 3),
            request_id=call.request_id,
            **more,
        )

    async def _fail(self, call: _Call, context: Context, error: BaseException) -> NoReturn:
        """Answer with the status of an error; what gRPC itself raised goes on as it is."""
        if isinstance(error, grpc.aio.AbortError):
            code = context.code()
            self._end(call, code if isinstance(code, grpc.StatusCode) else _CODES[code])
            raise error
        if not isinstance(error, Exception):
            left = context.time_remaining()
            late = left is not None and left <= 0
            self._end(call, grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED)
            raise error
        answer = status.answer(error, call.request_id)
        more: dict[str, Any] = {"error": type(error).__name__}
        if answer.code is grpc.StatusCode.INTERNAL:
            # Where, never what: the message of an unforeseen exception can quote a request.
            more["frames"] = [
                f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__)
            ]
        self._end(call, answer.code, **more)
        await context.abort(answer.code, answer.details, answer.trailing_metadata)
        raise error


async def _responses(
    behaviour: Callable[[Any, Context], Any],
    request: Any,  # noqa: ANN401 - bytes, a message, or an iterator of either
    context: Context,
) -> AsyncGenerator[Any, None]:
    """What a streaming handler yields; a coroutine writes to the context by itself and yields nothing."""
    if inspect.isasyncgenfunction(behaviour):
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                yield response
    else:
        await behaviour(request, context)
