"""Trainings that take seconds: a tiny random model under a real server, a real trainer and a real runtime."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.runtime.protocol import ModelDefinition
from helpers.ollama_server import OllamaServer, require_ollama
from helpers.training import BASE, Trained, write_task_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.server import ServerStarter


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny llama with a token for each word that the tests' prompts and answers are made of."""
    return write_task_base(tmp_path_factory.mktemp("base") / f"{BASE}.gguf")


@pytest.fixture
def embedded(start_server: ServerStarter, tiny_base: Path) -> Trained:
    """A server on the embedded runtime with what a training needs."""
    return Trained(
        start_server(BECAS_FT_RUNTIME__KIND="embedded", BECAS_FT_RUNTIME__EMBEDDED_BASE=str(tiny_base)), tiny_base
    )


@pytest.fixture(scope="session")
def start_ollama(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Callable[[], OllamaServer]]:
    """Starts real Ollama servers that have the tiny base."""
    servers: list[OllamaServer] = []

    def start() -> OllamaServer:
        ollama = OllamaServer(require_ollama(), tmp_path_factory.mktemp("ollama"))
        servers.append(ollama)
        ollama.start()
        asyncio.run(_give(ollama.host, tiny_base))
        return ollama

    yield start
    for ollama in servers:
        ollama.stop()


@pytest.fixture
def ollama(start_ollama: Callable[[], OllamaServer]) -> OllamaServer:
    """A real Ollama."""
    return start_ollama()


@pytest.fixture
def on_ollama(start_server: ServerStarter, ollama: OllamaServer, tiny_base: Path) -> Trained:
    """A server on a real Ollama."""
    bases = {f"BECAS_FT_RUNTIME__BASE_MODELS__{name}": BASE for name in ("QWEN", "LLAMA", "GENERAL")}
    server = start_server(BECAS_FT_RUNTIME__KIND="ollama", BECAS_FT_RUNTIME__OLLAMA_HOST=ollama.host, **bases)
    return Trained(server, tiny_base)


async def _give(host: str, base: Path) -> None:
    runtime = OllamaRuntime(OllamaSettings(host=host))
    # Threads that wait for each other spin: on a busy machine two of them take seconds for what one does at once.
    await runtime.create(ModelDefinition(name=BASE, base=base, parameters={"num_thread": 1}))
    await runtime.close()
