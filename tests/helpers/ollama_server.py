"""A real Ollama of a test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class OllamaServer:
    """An `ollama serve` of our own, ended by its process id."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary = binary
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {
            **os.environ,
            "OLLAMA_HOST": self.host,
            "OLLAMA_MODELS": str(self._folder / "models"),
            "HOME": str(self._folder),
            "OLLAMA_NOPRUNE": "1",
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self.binary, "serve"], env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.host}/api/version", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
                time.sleep(0.1)

    def stop(self, *, kill: bool = False) -> None:
        """End it; killed, its runners may outlive it."""
        if self._process is not None:
            runners = self._runners()
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(30)
            self._process = None
            for runner in runners if kill else ():
                os.kill(runner, 9)

    def listed(self) -> str:
        """What `ollama list` prints."""
        environment = {"OLLAMA_HOST": self.host, "HOME": str(self._folder)}
        return subprocess.check_output([self.binary, "list"], env=environment, text=True)

    def _runners(self) -> list[int]:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        tasks = children.parent.parent
        found: list[int] = []
        for task in tasks.iterdir():
            found += [int(number) for number in (task / "children").read_text().split()]
        return found


def require_ollama() -> Path:
    """The binary on PATH or the one that `make ollama` links; skips where there is none, unless it is required."""
    linked = ROOT / ".venv" / "bin" / "ollama"
    found = shutil.which("ollama")
    if found or linked.exists():
        return Path(found) if found else linked
    reason = "no Ollama: `make ollama` builds one"
    if os.environ.get("CI") or os.environ.get("BECAS_REQUIRE_OLLAMA"):
        pytest.fail(reason)
    pytest.skip(reason)
