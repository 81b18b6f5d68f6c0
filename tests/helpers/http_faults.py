"""A proxy before a real Ollama: hands everything through, but for questions to one model, with which it does worse."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_MEGABYTE = 1 << 20

Fault = Callable[["Proxy", bytes, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@dataclass
class Proxy:
    """A listening proxy.

    Attributes:
        upstream: port of the real server.
        model: whose questions meet the fault.
        fault: what happens to them.
        port: where it listens.
        met: questions that met the fault.
        cut: of them, those whose caller hung up first.
    """

    upstream: int
    model: str
    fault: Fault
    port: int = 0
    met: int = 0
    cut: int = 0
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, in a task that `end` waits for."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def end(self) -> None:
        """Hang up on whoever is connected still."""
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _request(reader):
                if self._is_faulty(request):
                    self.met += 1
                    gone = asyncio.create_task(reader.read(1))
                    acts = asyncio.create_task(self.fault(self, request, writer))
                    try:
                        await asyncio.wait({gone, acts}, return_when=asyncio.FIRST_COMPLETED)
                        self.cut += not acts.done()
                    finally:
                        acts.cancel()
                        gone.cancel()
                        await asyncio.gather(gone, acts, return_exceptions=True)
                    break
                await self.forward(request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def forward(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Ask the real server, and pass on what it says."""
        reader, upstream = await asyncio.open_connection("127.0.0.1", self.upstream)
        head, _, body = request.partition(b"\r\n\r\n")
        upstream.write(head + b"\r\nConnection: close\r\n\r\n" + body)
        await upstream.drain()
        with contextlib.closing(upstream):
            while part := await reader.read(_MEGABYTE):
                writer.write(part)
                await writer.drain()
        # The real server closes after its answer: so does this one.
        raise ConnectionError

    def _is_faulty(self, request: bytes) -> bool:
        head, _, body = request.partition(b"\r\n\r\n")
        return head.startswith(b"POST /api/chat ") and json.loads(body)["model"] == self.model


@asynccontextmanager
async def proxy(upstream: int, model: str, fault: Fault) -> AsyncIterator[Proxy]:
    """A proxy on a free port, until the end of the block."""
    found = Proxy(upstream, model, fault)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, limit=_MEGABYTE)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()
        await found.end()


async def slow(proxy: Proxy, request: bytes, writer: asyncio.StreamWriter) -> None:
    """A real answer, a second late."""
    await asyncio.sleep(1.0)
    await proxy.forward(request, writer)


async def fails(_: Proxy, __: bytes, writer: asyncio.StreamWriter) -> None:
    """500."""
    writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


async def hangs(_: Proxy, __: bytes, ___: asyncio.StreamWriter) -> None:
    """Takes the question, and says nothing."""
    await asyncio.Event().wait()


async def hangs_half_way(_: Proxy, __: bytes, writer: asyncio.StreamWriter) -> None:
    """Begins to answer, and stops."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"message":')
    await writer.drain()
    await asyncio.Event().wait()


async def cuts(_: Proxy, __: bytes, writer: asyncio.StreamWriter) -> None:
    """Hangs up in the middle of an answer."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"message":')
    await writer.drain()


async def no_http(_: Proxy, __: bytes, writer: asyncio.StreamWriter) -> None:
    """Noise instead of HTTP."""
    writer.write(bytes(range(256)) * 64)
    await writer.drain()


async def garbage(_: Proxy, __: bytes, writer: asyncio.StreamWriter) -> None:
    """A well-formed reply whose answer is none: nested a hundred thousand deep."""
    await _say(writer, "[" * 100_000)


async def other_json(_: Proxy, __: bytes, writer: asyncio.StreamWriter) -> None:
    """JSON of another category, with half of a character in it."""
    await _say(writer, '{"mood":"\\ud800","isScam":{"isScam":[]}}')


async def _say(writer: asyncio.StreamWriter, content: str) -> None:
    body = json.dumps({"model": "m", "message": {"role": "assistant", "content": content}, "done": True}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


async def _request(reader: asyncio.StreamReader) -> bytes:
    """A whole request; empty where the caller hung up."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))
