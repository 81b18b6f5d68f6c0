"""The shell commands of a page of the documentation, run in order as a reader would.

A comment before each block says what becomes of it: `run`, `run: background` (a server, until the page ends),
`run: stop` (SIGTERM to it), `run: long` (takes minutes), or `not run:` with the reason.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from helpers import smollm2
from helpers.server import READY, START_SECONDS, STOP_SECONDS

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
BLOCK_SECONDS: Final = 240
# A busy machine is slow, not broken.
LONG_BLOCK_SECONDS: Final = 3600
# Addresses that pages write out; another test may listen there.
_DASHBOARD: Final = "127.0.0.1:8080"
_BLOCK: Final = re.compile(r"^(?:<!-- (.*?) -->\n)?```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FATES: Final = ("run", "run: background", "run: stop", "run: long")


@dataclass(frozen=True)
class Block:
    """A block of shell commands.

    Attributes:
        fate: what the comment before it says; empty where there is none.
        line: of the page on which it begins.
    """

    fate: str
    commands: str
    line: int

    @property
    def is_marked(self) -> bool:
        """Whether it says what becomes of it, and if nothing does, why."""
        return self.fate in _FATES or re.fullmatch(r"not run: \S.{10,}", self.fate) is not None


def blocks(page: Path) -> list[Block]:
    """Every block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(found[1] or "", found[2], text[: found.start()].count("\n") + 1) for found in _BLOCK.finditer(text)]


def free_address() -> str:
    """An address of this machine where nobody listened a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


@dataclass
class Reader:
    """Someone who types a page's commands, in a folder that looks like a clone's.

    Arguments:
        folder: new, for this page.
        variables: settings beside those that the page makes.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    _server: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        for name in ("clients", "deploy", "examples", "proto"):
            (self.folder / name).symlink_to(ROOT / name)
        address, self._dashboard = free_address(), free_address()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BECAS_FT_")}
        self._environment = {
            **kept,
            # As after `source .venv/bin/activate`.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "BECAS_FT_SERVER": address,
            "BECAS_FT_SERVER__LISTEN": address,
            # Made once, not by every server anew.
            "BECAS_FT_RUNTIME__DEFAULT_BASE_FOLDER": str(smollm2.FOLDER),
            **self.variables,
        }

    def follow(self, block: Block) -> str:
        """Do what a block says; what it printed."""
        if block.fate == "run: background":
            self._serve(block)
            return ""
        if block.fate == "run: stop":
            self.stop()
            return ""
        return self.type(block.commands, LONG_BLOCK_SECONDS if block.fate == "run: long" else BLOCK_SECONDS)

    def type(self, commands: str, seconds: float = BLOCK_SECONDS) -> str:
        """Run commands to their end, the first that fails included; what they printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace(_DASHBOARD, self._dashboard)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}{done.stderr[-3000:]}{self._said()}"
        return done.stdout

    def stop(self) -> None:
        """End the page's server as a supervisor does."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            assert self._server.wait(STOP_SECONDS) == 0, self._said()
        self._server = None

    def _serve(self, block: Block) -> None:
        """Start a server by the last line of a block, and wait until it is ready."""
        before, _, last = block.commands.replace(_DASHBOARD, self._dashboard).rstrip("\n").rpartition("\n")
        assert "becas-ft serve" in last, block.commands
        command = ["bash", "-euo", "pipefail", "-c", f"{before}\nexec env {last}"]
        with (self.folder / "server.out").open("wb") as out, (self.folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=out, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not READY.search((self.folder / "server.out").read_text()):
            assert self._server.poll() is None, self._said()
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.05)

    def _said(self) -> str:
        log = self.folder / "server.log"
        return f"\n{log.read_text()[-3000:]}" if log.exists() else ""


@contextmanager
def reading(folder: Path, **variables: str) -> Iterator[Reader]:
    """A reader whose server ends well, or is ended."""
    reader = Reader(folder, variables)
    try:
        yield reader
        reader.stop()
    finally:
        if reader._server is not None:
            reader._server.kill()
            reader._server.wait()
