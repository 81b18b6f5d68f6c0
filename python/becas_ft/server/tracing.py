"""OpenTelemetry: a span for each call, and below it one for each stage of the core.

A span tells which method, which status and how long; never what was asked, and no id of a person, guild or event.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import grpc

from becas_ft._core import __version__
from becas_ft.config import Config
from becas_ft.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_NAME: Final = "becas-ft"
_PROPAGATED: Final = frozenset({"traceparent", "tracestate"})
_FLUSH_MILLISECONDS: Final = 5_000
_NANOSECONDS: Final = 1_000_000_000

_span: ContextVar["Span | None"] = ContextVar("span", default=None)


class Tracing:
    """Begins and ends spans.

    Arguments:
        provider: where they go.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(_NAME, __version__)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> "Span":
        """The span of a call, below the caller's where its metadata has a W3C traceparent."""
        from opentelemetry.trace import SpanKind

        carrier = {key: value for key, value in metadata if key in _PROPAGATED and isinstance(value, str)}
        service, _, name = method.strip("/").partition("/")
        span = self._tracer.start_span(
            method.strip("/"),
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        )
        # Each call has a context of its own, which its handler shares.
        _span.set(span)
        return span

    def end(self, span: "Span", code: grpc.StatusCode) -> None:
        """The end of a call."""
        from opentelemetry.trace import Status, StatusCode

        span.set_attribute("rpc.grpc.status_code", code.value[0])
        if code is not grpc.StatusCode.OK:
            span.set_status(Status(StatusCode.ERROR, code.name))
        span.end()

    def stages(self, begun: int, stages: Sequence[tuple[str, float]], committed: int) -> None:
        """What a request went through in the core, below the call's span.

        The events of a request go through the stages one by one; here each stage is as long as it was for all of them
        together, one stage after the other. What is left until the end was waiting for the commit, and the commit.

        Arguments:
            begun: nanoseconds since the epoch, when the core got the request.
            stages: (name, seconds).
            committed: nanoseconds since the epoch, when all of it was on disk.
        """
        from opentelemetry.trace import set_span_in_context

        parent = _span.get()
        if parent is None or not parent.is_recording():
            return
        context, at = set_span_in_context(parent), begun
        for name, seconds in stages:
            end = min(at + round(seconds * _NANOSECONDS), committed)
            self._tracer.start_span(f"core.{name}", context=context, start_time=at).end(end)
            at = end
        self._tracer.start_span("core.commit", context=context, start_time=at).end(committed)

    def close(self) -> None:
        """Send what is left."""
        self._provider.force_flush(_FLUSH_MILLISECONDS)
        self._provider.shutdown()


def trace_id(span: "Span") -> str:
    """As traces are looked up: 32 hexadecimal digits."""
    return f"{span.get_span_context().trace_id:032x}"


@contextmanager
def open_tracing(config: Config) -> Iterator[Tracing | None]:
    """Tracing as the configuration wants it; None where it wants none.

    Raises: ConfigurationError where its packages are missing.
    """
    endpoint = config.tracing.otlp_endpoint
    if not endpoint:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise ConfigurationError(
            ["tracing.otlp_endpoint: needs the OpenTelemetry packages: pip install 'becas-ft[tracing]'"]
        ) from error
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(config.tracing.sample_rate)),
        resource=Resource({"service.name": _NAME, "service.version": __version__}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://")))
    )
    tracing = Tracing(provider)
    try:
        yield tracing
    finally:
        tracing.close()
