"""The dashboard's routes, and the HTTP server that answers them inside the server's own event loop."""

import asyncio
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import grpc
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from becas_ft._core import __version__
from becas_ft.server.dashboard.gateway import Gateway
from becas_ft.server.dashboard.guard import Guard

STATIC: Final = Path(__file__).with_name("static")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_PORTS: Final = {False: 80, True: 443}
_STOP_SECONDS: Final = 2
_CONNECTIONS: Final = 256


def own_hosts(names: Iterable[str], port: int, more: Iterable[str], *, tls: bool) -> frozenset[str]:
    """Host headers that name this server.

    Arguments:
        names: host names and IP addresses.
        port: that is listened on; browsers leave out their scheme's own.
        more: whole headers, of a proxy before it.
        tls: whether the scheme is https.
    """
    written = [f"[{name}]" if ":" in name else name for name in names]
    local = {f"{name}:{port}" for name in written}
    return frozenset(local.union(more, written if port == _PORTS[tls] else ()))


def site(gateway: Gateway, registry: CollectorRegistry, hosts: AbstractSet[str], *, guarded: bool) -> ASGIApp:
    """Pages, methods, metrics.

    Arguments:
        gateway: answers the methods.
        registry: of the metrics.
        hosts: Host headers that are this server's.
        guarded: whether metrics need a token too.
    """
    csrf = secrets.token_urlsafe(32)

    async def session(request: Request) -> Response:
        """What a page needs before its first call."""
        del request
        return JSONResponse({"csrf": csrf, "version": __version__}, headers={"cache-control": "no-store"})

    async def metrics(request: Request) -> Response:
        """What Prometheus reads."""
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        if guarded and (refused := await gateway.refusal(request, "DatasetService/GetTrainingStats")):
            return refused
        # The core's figures take a moment: not on the event loop.
        return Response(await asyncio.to_thread(encode, registry), headers={"content-type": kind})

    routes = [
        Route("/session", session),
        Route("/metrics", metrics),
        Route("/rpc/{service}/{method}", gateway.answer, methods=["POST"]),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    return Guard(Starlette(routes=routes), hosts, csrf)


class _Server(uvicorn.Server):
    """Signals are the whole server's, not this part's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def _channel(door: str) -> grpc.aio.Channel:
    # With such credentials the server tells its own dashboard from every other client.
    credentials = grpc.local_channel_credentials(grpc.LocalConnectionType.UDS)
    return grpc.aio.secure_channel(door, credentials, options=(("grpc.enable_http_proxy", 0),))


@asynccontextmanager
async def dashboard(
    listener: socket.socket,
    door: str,
    registry: CollectorRegistry,
    hosts: AbstractSet[str],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Serve the dashboard until the end of the block.

    Arguments:
        listener: bound.
        door: gRPC address of this server's own services.
        registry: of the metrics.
        hosts: Host headers that are this server's.
        tls: None: plain HTTP.
    """
    async with _channel(door) as channel:
        settings = uvicorn.Config(
            site(Gateway(channel), registry, hosts, guarded=tls is not None),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            http="h11",
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        settings.load()
        settings.ssl = tls
        server = _Server(settings)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await task
