"""Servers of the demo's own, in a folder of its own, stopped at the end."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from becas_ft.errors import CommandError
from becas_ft.runtime.default_base import DEFAULT_BASE, default_base
from becas_ft.runtime.ollama import OllamaRuntime, OllamaSettings
from becas_ft.runtime.protocol import ModelDefinition

_STOP_SECONDS = 60.0
_OLLAMA_SECONDS = 60.0


@dataclass(frozen=True)
class Serving:
    """A server that answers.

    Arguments:
        process: it.
        address: of gRPC.
        dashboard: its first page; empty where none was asked for.
    """

    process: "subprocess.Popen[Any]"
    address: str
    dashboard: str


@contextmanager
def server(data_dir: Path, settings: dict[str, str], dashboard: str | None = None) -> Iterator[Serving]:
    """Run `becas-ft serve` on a free loopback port.

    Arguments:
        data_dir: where it keeps everything.
        settings: environment variables on top of ours.
        dashboard: where to serve one, HOST:PORT.

    Raises: CommandError where it does not start; the log says why.
    """
    log_path = data_dir / "server.log"
    data_dir.mkdir(parents=True, exist_ok=True)
    where = ["--data-dir", str(data_dir / "data"), "--listen", "127.0.0.1:0"]
    where += ["--dashboard", dashboard] if dashboard else []
    command = [sys.executable, "-m", "becas_ft", "serve", "--json", *where]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **settings}
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise CommandError(f"the demo's server did not start: see {log_path}")
            ready = json.loads(line)
            yield Serving(process, ready["address"], ready["dashboard"])
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


@contextmanager
def ollama(folder: Path) -> Iterator[dict[str, str]]:
    """Run the `ollama` on PATH with models of its own, so that yours stay untouched; the settings that lead to it.

    Raises: CommandError where there is none, or it does not start.
    """
    binary = shutil.which("ollama") or shutil.which("ollama", path=str(Path(sys.executable).parent))
    if binary is None:
        raise CommandError("no ollama on PATH: `make ollama` builds one")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{probe.getsockname()[1]}"
    log_path = folder / "ollama.log"
    own = {"OLLAMA_HOST": host, "OLLAMA_MODELS": str(folder / "ollama"), "HOME": str(folder)}
    with log_path.open("ab") as log:
        process = subprocess.Popen([binary, "serve"], env={**os.environ, **own}, stdout=log, stderr=log)
        try:
            asyncio.run(_give_base(host, default_base(folder / "bases"), log_path))
            yield {
                "BECAS_FT_RUNTIME__KIND": "ollama",
                "BECAS_FT_RUNTIME__OLLAMA_HOST": host,
                **{f"BECAS_FT_RUNTIME__BASE_MODELS__{name}": DEFAULT_BASE for name in ("QWEN", "LLAMA", "GENERAL")},
            }
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _give_base(host: str, base: Path, log_path: Path) -> None:
    """Wait until Ollama answers, and make the packaged base model in it."""
    runtime = OllamaRuntime(OllamaSettings(host=host))
    deadline = time.monotonic() + _OLLAMA_SECONDS
    try:
        while not (await runtime.health()).healthy:
            if time.monotonic() > deadline:
                raise CommandError(f"the demo's Ollama did not start: see {log_path}")
            await asyncio.sleep(0.2)
        await runtime.create(ModelDefinition(name=DEFAULT_BASE, base=base))
    finally:
        await runtime.close()
