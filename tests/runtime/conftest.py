"""A real base model on both runtimes: llama.cpp in processes, and an Ollama server on a free port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from becas_ft.runtime import ModelDefinition, Runtime
from becas_ft.runtime.embedded import EmbeddedRuntime, EmbeddedSettings
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from helpers.ollama_server import OllamaServer, require_ollama
from helpers.smollm2 import smollm2
from helpers.tiny_gguf import write_random_adapter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

LAYERS = 30
SHAPES = {"attn_q": (576, 576), "attn_v": (576, 192), "ffn_down": (1536, 576)}
RANK = 4


@pytest.fixture(scope="session")
def base() -> Path:
    """The GGUF of SmolLM2-135M-Instruct."""
    return smollm2()


@pytest.fixture(scope="session")
def make_adapter() -> Callable[[Path, int], Path]:
    """Writes a random LoRA adapter for SmolLM2, another and a stronger one for each seed."""

    def make(path: Path, seed: int) -> Path:
        return write_random_adapter(path, LAYERS, SHAPES, seed=seed, rank=RANK, scale=0.08 * seed)

    return make


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory, make_adapter: Callable[[Path, int], Path]) -> list[Path]:
    """Two adapters that answer differently."""
    folder = tmp_path_factory.mktemp("adapters")
    return [make_adapter(folder / f"{seed}.gguf", seed) for seed in (1, 3)]


@pytest.fixture
def embedded_settings(tmp_path: Path, base: Path) -> EmbeddedSettings:
    """Small enough for a machine that runs other tests beside."""
    return EmbeddedSettings(models=tmp_path / "models", bases={"smollm2": base}, threads=1, context=512)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded(tmp_path_factory: pytest.TempPathFactory, base: Path) -> AsyncIterator[EmbeddedRuntime]:
    """An embedded runtime that the tests share."""
    folder = tmp_path_factory.mktemp("embedded")
    settings = EmbeddedSettings(models=folder, bases={"smollm2": base}, threads=1, context=512)
    runtime = EmbeddedRuntime(settings)
    yield runtime
    await runtime.close()


@pytest.fixture(scope="session")
def ollama_binary() -> Path:
    """A real Ollama."""
    return require_ollama()


@pytest.fixture(scope="session")
def start_ollama(tmp_path_factory: pytest.TempPathFactory, ollama_binary: Path) -> Iterator[Callable[[], OllamaServer]]:
    """Starts real Ollama servers, each with models of its own."""
    servers: list[OllamaServer] = []

    def start() -> OllamaServer:
        server = OllamaServer(ollama_binary, tmp_path_factory.mktemp("ollama"))
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ollama(start_ollama: Callable[[], OllamaServer], base: Path) -> AsyncIterator[OllamaRuntime]:
    """A real Ollama that serves SmolLM2, shared by the tests."""
    server = await asyncio.to_thread(start_ollama)
    runtime = OllamaRuntime(OllamaSettings(host=server.host, context=512, threads=1))
    await runtime.create(ModelDefinition(name="smollm2", base=base))
    yield runtime
    await runtime.close()


@pytest.fixture(scope="session", params=["embedded", "ollama"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each runtime in turn."""
    found: Any = request.getfixturevalue(request.param)
    assert isinstance(found, Runtime)
    return found
