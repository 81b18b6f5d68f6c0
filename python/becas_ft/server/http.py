"""What answers HTTP beside gRPC: the dashboard with Prometheus metrics; the metrics alone without its packages."""

import importlib.util
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from tempfile import TemporaryDirectory
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, start_http_server

from becas_ft.addresses import is_loopback
from becas_ft.errors import ListenError
from becas_ft.server.application import Application

_PACKAGES: Final = ("starlette", "uvicorn")
_REMEDY: Final = "choose another with --dashboard"

_log = structlog.get_logger("becas_ft.server")


@contextmanager
def door(address: str) -> Iterator[str]:
    """A gRPC address that only this user can reach: how the dashboard calls the services; empty where there is none.

    Arguments:
        address: of the dashboard.
    """
    if not address:
        yield ""
        return
    with TemporaryDirectory(prefix="becas-ft-") as folder:
        yield f"unix:{folder}/grpc"


@asynccontextmanager
async def http_pages(application: Application, door: str) -> AsyncIterator[str]:
    """Answer HTTP until the end of the block, at this URL; at none where the configuration names no address.

    Arguments:
        application: whose services and metrics they are.
        door: where this server answers gRPC for them.

    Raises: ListenError where the address is taken.
    """
    address = application.config.server.dashboard
    if not address:
        yield ""
    elif all(importlib.util.find_spec(name) for name in _PACKAGES):
        from becas_ft.server.dashboard.site import LOOPBACK, dashboard, own_hosts

        # On this machine a token cannot be read on its way; beyond it `open_access` has seen to a certificate.
        certificate = None if is_loopback(address) else application.access.certificate
        listener = _bound(address)
        port = listener.getsockname()[1]
        names = certificate.hosts() if certificate else LOOPBACK
        hosts = own_hosts(names, port, application.config.server.dashboard_hosts, tls=certificate is not None)
        tls = certificate.context() if certificate else None
        async with dashboard(listener, door, application.metrics.registry, hosts, tls):
            where = f"{address.rpartition(':')[0]}:{port}"
            _log.info("serving_http", address=where, dashboard=True, tls=tls is not None)
            yield f"{'https' if tls else 'http'}://{where}/"
    else:
        if not is_loopback(address):
            raise ListenError(f"{address}: metrics alone are for this machine only: pip install 'becas-ft[dashboard]'")
        with _metrics_page(address, application.metrics.registry):
            _log.warning("no_dashboard", remedy="pip install 'becas-ft[dashboard]'; until then only /metrics answers")
            yield ""


def _bound(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=128)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}; {_REMEDY}") from error


@contextmanager
def _metrics_page(address: str, registry: CollectorRegistry) -> Iterator[None]:
    """`/metrics` in a thread of its own."""
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror}; {_REMEDY}") from error
    _log.info("serving_http", address=f"{host}:{server.server_port}", dashboard=False)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
