"""gRPC's channelz on a port of its own: sockets, streams and calls of this server, for debugging."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc_channelz.v1 import channelz

from becas_ft.errors import ListenError

_log = structlog.get_logger("becas_ft.server")


@asynccontextmanager
async def channelz_port(address: str) -> AsyncIterator[None]:
    """Answer channelz at an address; nowhere where it is empty.

    Raises: ListenError where the address is taken.
    """
    if not address:
        yield
        return
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    channelz.add_channelz_servicer(server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ListenError(f"cannot listen on {address}: choose another with server.channelz") from error
    await server.start()
    where = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    _log.info("serving_channelz", address=where)
    try:
        yield
    finally:
        await server.stop(None)
