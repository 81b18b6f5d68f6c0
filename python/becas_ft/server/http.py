"""Answers HTTP beside gRPC: Prometheus metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from becas_ft.errors import ListenError

_log = structlog.get_logger("becas_ft.server")


@contextmanager
def metrics_page(address: str, registry: CollectorRegistry) -> Iterator[None]:
    """Serve `/metrics` in a thread of its own; nowhere where the address is empty.

    Raises: ListenError where the address is taken.
    """
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}; choose another with --dashboard") from error
    _log.info("serving_http", address=f"{host}:{server.server_port}")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
