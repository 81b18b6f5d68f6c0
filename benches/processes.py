"""Servers and clients as processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
COMMAND = Path(sys.executable).with_name("becas-ft")
STOP_SECONDS = 120
_READY = re.compile(r"listening on ([^\s,]+),")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        seconds: from its start to its first answer that it is ready.
    """

    address: str
    process: subprocess.Popen[str]
    seconds: float

    def cpu_seconds(self) -> float:
        """Of all its threads so far."""
        return machine.cpu_seconds(self.process.pid)


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without settings of becas-ft, plus those given; no server trains untold."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BECAS_FT_")}
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return kept | {"BECAS_FT_PROMOTION__AUTO_FINE_TUNE": "false", "PYTHONPATH": path} | variables


@contextmanager
def running(command: Sequence[str | Path], log: Path, **variables: str) -> Iterator[Server]:
    """A server that prints `listening on ADDRESS,`; SIGTERM at the end, and it must end well."""
    began = time.perf_counter()
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*command], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(**variables)
        )
    assert process.stdout is not None
    try:
        ready = _READY.search(process.stdout.readline())
        seconds = time.perf_counter() - began
        if ready is None:
            process.kill()
            sys.exit(f"{command[0]} did not start: {log.read_text()[-2000:]}")
        yield Server(ready[1], process, seconds)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_SECONDS)
    assert code == 0, f"{command[0]} ended with {code}: {log.read_text()[-2000:]}"


@contextmanager
def product(data: Path, **variables: str) -> Iterator[Server]:
    """`becas-ft serve`."""
    command = [COMMAND, "serve", "--data-dir", data, "--listen", "127.0.0.1:0"]
    with running(command, data.parent / "product.log", **variables) as server:
        yield server


@contextmanager
def peer(data: Path, **variables: str) -> Iterator[Server]:
    """The straightforward server."""
    data.mkdir()
    command = [sys.executable, "-m", "peers.server", data]
    with running(command, data.parent / "peer.log", **variables) as server:
        yield server


def client(address: str, kind: str, path: Path, rate: float = 0.0) -> dict[str, Any]:
    """Send a load; what ingest_client.py says of it."""
    command = [sys.executable, HERE / "ingest_client.py", address, kind, path, str(rate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode != 0:
        sys.exit(f"the client failed: {done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def cargo_example(name: str) -> Path:
    """Build one of the core's measuring programs; its path."""
    root = HERE.parent
    command = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "becas-core", "--example", name]
    subprocess.run(command, cwd=root, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    return target / "release" / "examples" / name
