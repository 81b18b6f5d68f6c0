"""The choice of the runtime follows the configuration and what answers."""

from __future__ import annotations

import asyncio

import pytest

from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.runtime.select import RuntimeKind, RuntimeSettings, open_runtime

NOWHERE = "http://127.0.0.1:9"


async def serve_version() -> asyncio.Server:
    """A server that answers the question for the version as Ollama does, and nothing else."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"version":"0.17.4"}'
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("kind", "answers", "expected"),
    [
        (RuntimeKind.AUTO, True, OllamaRuntime),
        (RuntimeKind.AUTO, False, EmbeddedRuntime),
        (RuntimeKind.OLLAMA, True, OllamaRuntime),
        (RuntimeKind.OLLAMA, False, OllamaRuntime),
        (RuntimeKind.EMBEDDED, True, EmbeddedRuntime),
        (RuntimeKind.EMBEDDED, False, EmbeddedRuntime),
    ],
)
async def test_choice(kind: RuntimeKind, answers: bool, expected: type, embedded_settings: EmbeddedSettings) -> None:
    """`auto` takes Ollama when it answers; the other two do as they say, whatever answers."""
    server = await serve_version() if answers else None
    host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" if server else NOWHERE
    settings = RuntimeSettings(kind=kind, embedded=embedded_settings, ollama=OllamaSettings(host=host))
    runtime = await open_runtime(settings)
    await runtime.close()
    if server:
        server.close()
        await server.wait_closed()

    assert isinstance(runtime, expected)
