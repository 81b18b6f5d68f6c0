"""A fake server that does to every call what a broken Ollama can do: each ends in a typed error, in time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from becas_ft.runtime import GenerateRequest, ModelDefinition, ModelRuntimeError
from becas_ft.runtime import ollama as ollama_module
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

CALLS = {
    "generate": lambda runtime: runtime.generate(GenerateRequest(model="m", prompt="p", max_tokens=1, timeout=2.0)),
    "list": lambda runtime: runtime.list(),
    "show": lambda runtime: runtime.show("m"),
    "copy": lambda runtime: runtime.copy("m", "alias"),
    "delete": lambda runtime: runtime.delete("m"),
    "create": lambda runtime: runtime.create(ModelDefinition(name="m2", base="m")),
}
FAULTS = {
    "500": b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 17\r\n\r\n{"error":"no gpu"}'[:-1],
    "500 in words": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops",
    "503 of a proxy": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 13\r\n\r\n<html></html>",
    "cut off": b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"message":',
    "no HTTP": bytes(range(256)),
    "nothing": b"",
    "hangs": None,
}
# Of these calls the answer's body says something; of the others its status alone.
READ = ("generate", "list", "show", "create")
GARBAGE = {
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ngarbage",
    "half of JSON": b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"model"',
    "another JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[[]]",
}
_SAID = b'{"message":{"role":"assistant","content":"yes"}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(_SAID) + _SAID


@asynccontextmanager
async def fake(reply: bytes | None, *, kept: bool = False) -> AsyncIterator[OllamaRuntime]:
    """A server on a free port that answers everything with the same bytes, or never; and a runtime that asks it.

    It closes its connections after their first answer, or `kept`, when they are used again.
    """
    answering: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())
        with suppress(ConnectionError):
            await reader.read(65_536)
            if reply is None:
                await reader.read()
            else:
                writer.write(reply)
                await writer.drain()
            if kept:
                await reader.read(65_536)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    runtime = OllamaRuntime(OllamaSettings(host=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    try:
        yield runtime
    finally:
        await runtime.close()
        server.close()
        # A caller that hung up ends these too, in its own time.
        await asyncio.gather(*(task for task in answering if task is not None))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_call_ends_in_a_typed_error(fault: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down in the middle, slow for ever, failing, or something else altogether: the caller learns what to do."""
    # The limits of the product are a minute and more.
    monkeypatch.setattr(ollama_module, "_CALL_SECONDS", 2.0)
    monkeypatch.setattr(ollama_module, "_CREATE_SECONDS", 2.0)
    async with fake(FAULTS[fault]) as runtime:
        await _fails(CALLS[call], runtime)


@pytest.mark.parametrize("call", READ)
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_an_answer_that_is_none_is_a_typed_error(garbage: str, call: str) -> None:
    """A good status with a body that nobody can use."""
    async with fake(GARBAGE[garbage]) as runtime:
        await _fails(CALLS[call], runtime)


async def test_a_connection_that_the_server_kept_and_closes_is_no_failure() -> None:
    """Each connection answers once and closes as it is asked again, as a proxy does whose patience ends just then."""
    ask = GenerateRequest(model="m", prompt="p")
    async with fake(ANSWER, kept=True) as runtime:
        assert [(await runtime.generate(ask)).text for _ in range(3)] == ["yes"] * 3


async def _fails(call: Callable[[OllamaRuntime], Awaitable[object]], runtime: OllamaRuntime) -> None:
    async with asyncio.timeout(30):
        with pytest.raises(ModelRuntimeError):
            await call(runtime)
