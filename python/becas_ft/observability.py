"""Logs and metrics: how they are set up, and every name once.

Nothing here may carry raw text or a raw id: log lines and labels take names of methods, codes, counts and
pseudonyms.
"""

import logging
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Final, Protocol, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

RPCS: Final = "becas_rpcs"
RPC_SECONDS: Final = "becas_rpc_seconds"
RPCS_IN_FLIGHT: Final = "becas_rpcs_in_flight"
CORE_PREFIX: Final = "becas_core_"

# From a fast unary call to a whole export.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def configure_logging(level: str, style: str) -> None:
    """Send structlog's events to standard error, and what libraries log with them.

    Arguments:
        level: debug, info, warning or error.
        style: json, a line an event; or console, for people.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_LibraryHandler()], force=True)


class _StandardError:
    """Whatever standard error is at the moment of writing."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _LibraryHandler(logging.Handler):
    """What libraries log: where and how bad, but not what: their messages can quote requests."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write an event."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        at = f"{record.filename}:{record.lineno}"
        structlog.get_logger().log(record.levelno, "library", library=record.name, at=at, error=error)


class CoreFigures(Protocol):
    """What is read of the core."""

    def metrics(self) -> Mapping[str, float]:
        """Counters (named `…_total`) and gauges by name."""

    def histograms(self) -> Mapping[str, tuple[list[tuple[float, float]], float]]:
        """By name: (upper bound, values up to it), ascending, the last bound infinite; and the sum of the values."""


class Metrics:
    """What Prometheus reads; one for a server."""

    def __init__(self) -> None:
        # When a counter began is a gauge more for each, and nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # its own
        self.registry = CollectorRegistry()
        self.rpcs = Counter(RPCS, "Calls that ended.", ["method", "code"], registry=self.registry)
        self.rpc_seconds = Histogram(
            RPC_SECONDS,
            "How long calls took, in seconds.",
            ["method"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rpcs_in_flight = Gauge(RPCS_IN_FLIGHT, "Calls that have not ended.", registry=self.registry)

    def add_core(self, core: CoreFigures) -> None:
        """Show the core's figures under `becas_core_`; it is asked at every scrape."""
        self.registry.register(_CoreCollector(core))


CORE_HELP: Final = {
    "events_total": "Events answered.",
    "events_invalid_total": "Of them, unusable ones.",
    "unknown_fields_total": "Fields that the protos do not know; they are ignored.",
    "duplicates_total": "Events known under their id.",
    "same_input_total": "Events beaten by an example with the same input and label.",
    "conflicts_total": "Events beaten by an example with the same input and another label.",
    "replaced_total": "Examples that a better one with the same input replaced.",
    "evictions_total": "Examples that a full category gave up.",
    "refused_total": "Events of guilds that have not consented.",
    "map_changes_total": "Times the map grew or the file was rewritten.",
    "queued_bytes": "Bytes that wait for the writer.",
    "map_bytes": "Address space of the store.",
    "used_bytes": "Bytes of the store that are in use.",
    "readers": "Read transactions under way.",
    "damaged_records": "Records that were found damaged when the store was opened.",
    "commit_events": "Events in a durable commit.",
    "commit_seconds": "How long durable commits took, fsync included.",
}
"""What each of the core's figures is; under `becas_core_`."""


class _CoreCollector(Collector):
    """The core's own figures."""

    def __init__(self, core: CoreFigures) -> None:
        self._core = core

    def collect(self) -> Iterable[Metric]:
        """Counters, gauges, histograms."""
        for name, value in sorted(self._core.metrics().items()):
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield kind(CORE_PREFIX + name, CORE_HELP[name], value=value)
        for name, (buckets, total) in sorted(self._core.histograms().items()):
            bounds = [("+Inf" if math.isinf(bound) else repr(bound), count) for bound, count in buckets]
            yield HistogramMetricFamily(CORE_PREFIX + name, CORE_HELP[name], buckets=bounds, sum_value=total)

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the names come with the figures."""
        return ()
