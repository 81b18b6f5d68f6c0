"""Logs and metrics: how they are set up, and every name once.

Nothing here may carry raw text or a raw id: log lines and labels take names of methods, codes, counts and
pseudonyms.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
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


class Metrics:
    """What Prometheus reads; one for a server."""

    def __init__(self) -> None:
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

    def add_core(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Show the core's counters and gauges under `becas_core_`; `read` is asked at every scrape."""
        self.registry.register(_CoreCollector(read))


class _CoreCollector(Collector):
    """The core's own figures."""

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """A gauge for each figure."""
        for name, value in sorted(self._read().items()):
            yield GaugeMetricFamily(CORE_PREFIX + name, "Of the Rust core.", value=value)

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the names come with the figures."""
        return ()
