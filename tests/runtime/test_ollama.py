"""What only Ollama does: it may be down, be killed, or not be Ollama at all."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from becas_ft.runtime import GenerateRequest, InvalidModel, ModelDefinition, Priority, RuntimeUnavailable
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = GenerateRequest(model="smollm2", system="You tell stories.", prompt="Tell a story", max_tokens=4, timeout=120)
LONG = replace(ASK, max_tokens=40)
# A port of loopback on which nothing listens: the kernel gives out no reserved ones.
NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "call",
    [
        lambda runtime: runtime.generate(ASK),
        lambda runtime: runtime.list(),
        lambda runtime: runtime.show("smollm2"),
        lambda runtime: runtime.copy("smollm2", "alias"),
        lambda runtime: runtime.delete("smollm2"),
        lambda runtime: runtime.create(ModelDefinition(name="m", base="smollm2")),
    ],
    ids=["generate", "list", "show", "copy", "delete", "create"],
)
async def test_down_names_the_remedy(call: Callable[[OllamaRuntime], Awaitable[object]]) -> None:
    """With no Ollama running every call says what to do."""
    runtime = OllamaRuntime(OllamaSettings(host=NOWHERE))

    with pytest.raises(RuntimeUnavailable, match="ollama serve") as caught:
        await call(runtime)
    await runtime.close()
    assert caught.value.__cause__ is not None


async def test_health_of_nothing() -> None:
    """Health never raises: it says that nothing answers, and the remedy."""
    runtime = OllamaRuntime(OllamaSettings(host=NOWHERE))
    health = await runtime.health()
    await runtime.close()

    assert not health.healthy
    assert "ollama serve" in health.detail


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
        b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"message":1',
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"garbage\r\n\r\n",
        b"",
    ],
    ids=["text", "error", "half an answer", "half JSON", "a list", "no HTTP", "nothing"],
)
async def test_whatever_answers_is_a_typed_error(reply: bytes) -> None:
    """A server that is not Ollama, or one that breaks, ends in a typed error."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    runtime = OllamaRuntime(OllamaSettings(host=f"http://127.0.0.1:{port}"))
    with pytest.raises(RuntimeUnavailable):
        await runtime.generate(ASK)
    await runtime.close()
    server.close()
    await server.wait_closed()


async def test_killed_ollama_fails_and_comes_back(start_ollama: Callable[[], Any], base: Path) -> None:
    """SIGKILL of Ollama fails what it was answering with a typed error; started again, it serves the same models."""
    server = await asyncio.to_thread(start_ollama)
    runtime = OllamaRuntime(OllamaSettings(host=server.host, context=512, threads=1))
    await runtime.create(ModelDefinition(name="smollm2", base=base))
    await runtime.generate(ASK)
    asked = asyncio.create_task(runtime.generate(replace(ASK, max_tokens=400)))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(server.stop, kill=True)

    with pytest.raises(RuntimeUnavailable):
        await asked
    assert not (await runtime.health()).healthy
    await asyncio.to_thread(server.start)
    answer = await runtime.generate(ASK)
    await runtime.close()
    assert answer.completion_tokens == 4


async def test_ollama_lists_what_was_created(
    ollama: OllamaRuntime, ollama_binary: Path, adapters: list[Path], tmp_path: Path
) -> None:
    """`ollama list` shows a model made here by its name, and no more once it is deleted."""
    command = [str(ollama_binary), "list"]
    environment = {"OLLAMA_HOST": ollama.host, "HOME": str(tmp_path)}
    await ollama.create(ModelDefinition(name="becas-smollm2-scam-v1", base="smollm2", adapter=adapters[0]))
    made = await asyncio.to_thread(subprocess.check_output, command, env=environment, text=True)
    await ollama.delete("becas-smollm2-scam-v1")
    deleted = await asyncio.to_thread(subprocess.check_output, command, env=environment, text=True)

    assert "becas-smollm2-scam-v1" in made
    assert "becas-smollm2-scam-v1" not in deleted


async def test_alias_outlives_its_source(ollama: OllamaRuntime) -> None:
    """An Ollama copy stands on its own: deleting the source leaves the alias answering."""
    await ollama.create(ModelDefinition(name="source", base="smollm2", system="Be brief."))
    await ollama.copy("source", "standing")
    await ollama.delete("source")
    answer = await ollama.generate(replace(ASK, model="standing"))
    await ollama.delete("standing")

    assert answer.completion_tokens == 4


async def test_production_interrupts_a_candidate(ollama: OllamaRuntime) -> None:
    """A candidate's question stops when production asks, and is asked again, and answered, once that is over."""
    long = replace(ASK, max_tokens=60, priority=Priority.CANDIDATE)
    await ollama.generate(ASK)
    undisturbed = await ollama.generate(long)
    beside = asyncio.create_task(ollama.generate(long))
    await asyncio.sleep(undisturbed.latency / 4)
    await ollama.generate(ASK)

    assert not beside.done()
    assert (await beside).completion_tokens == undisturbed.completion_tokens


async def test_models_that_are_asked_side_by_side_stay_loaded(
    ollama: OllamaRuntime, adapters: list[Path], ollama_binary: Path, tmp_path: Path
) -> None:
    """A candidate is not loaded in place of production, nor its successor in place of it: Ollama runs both."""
    first = ModelDefinition(name="pair-v1", base="smollm2", adapter=adapters[0], beside="smollm2")
    second = ModelDefinition(name="pair-v2", base="smollm2", adapter=adapters[1], beside="pair-v1")
    for definition in (first, second):
        await ollama.create(definition)
        # As after a crash: what is there is known again.
        await ollama.create(definition)
    running = []
    for pair in (("smollm2", "pair-v1"), ("pair-v1", "pair-v2")):
        answers = [(await ollama.generate(replace(ASK, model=model))).text for model in (*pair, *pair)]
        assert answers[:2] == answers[2:]
        command = [str(ollama_binary), "ps"]
        environment = {"OLLAMA_HOST": ollama.host, "HOME": str(tmp_path)}
        running.append(await asyncio.to_thread(subprocess.check_output, command, env=environment, text=True))
    await ollama.delete("pair-v1")
    await ollama.delete("pair-v2")

    # The base runs under the name of whichever model on its file was asked first.
    assert len(running[0].splitlines()) == len(["title", "base", "pair-v1"])
    assert "pair-v1" in running[0]
    assert "pair-v1" in running[1]
    assert "pair-v2" in running[1]


async def test_a_second_copy_says_the_same(ollama: OllamaRuntime, adapters: list[Path]) -> None:
    """The same adapter on the base and on the base's copy: the same answer, template, system message and settings."""
    shared = ModelDefinition(name="shared", base="smollm2", adapter=adapters[0], parameters={"top_k": 7})
    await ollama.create(shared)
    await ollama.create(replace(shared, name="apart", beside="smollm2"))
    shown = [await ollama.show(name) for name in ("shared", "apart")]
    answers = [(await ollama.generate(replace(LONG, model=name))).text for name in ("shared", "apart")]
    await ollama.delete("shared")
    await ollama.delete("apart")

    assert shown[0].base_digest != shown[1].base_digest
    assert shown[0].template == shown[1].template
    assert shown[0].parameters == shown[1].parameters
    assert shown[0].system == shown[1].system
    assert answers[0] == answers[1]


async def test_missing_base_file_is_named(ollama: OllamaRuntime, tmp_path: Path) -> None:
    """A base file that is not there is told with its path."""
    with pytest.raises(InvalidModel, match=r"missing\.gguf"):
        await ollama.create(ModelDefinition(name="m", base=tmp_path / "missing.gguf"))
