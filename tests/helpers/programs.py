"""Client packages and bots of other languages, built as their READMEs say, and run."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from helpers.server import environment

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD_SECONDS: Final = 280
RUN_SECONDS: Final = 120
_LOOK_SECONDS: Final = 0.02
_built: Final[set[Path]] = set()


@dataclass(frozen=True)
class Program:
    """A program of some language.

    Attributes:
        tool: that has to be on PATH.
        build: commands that make it run, in its folder.
        command: that runs it.
        variables: of its environment.
        needs: what is built before it.
    """

    folder: Path
    tool: str
    build: tuple[tuple[str, ...], ...]
    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    needs: tuple["Program", ...] = ()

    def make(self) -> None:
        """Build it, once; a test that needs a missing tool fails in CI and is skipped elsewhere."""
        for other in self.needs:
            other.make()
        if self.folder in _built:
            return
        if shutil.which(self.tool) is None:
            reason = f"{self.tool} is not on PATH: {self.folder.relative_to(ROOT)} cannot be built"
            if os.environ.get("CI") or os.environ.get("BECAS_REQUIRE_BOTS"):
                pytest.fail(reason)
            pytest.skip(reason)
        for command in self.build:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment(PYTHON=sys.executable),
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
            said = f"{done.stdout}{done.stderr}"
            assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{said}"
        _built.add(self.folder)

    @contextmanager
    def run(self, output: Path, *arguments: str, **variables: str) -> Iterator["Run"]:
        """The running program; what it prints goes to files in a folder."""
        output.mkdir(parents=True, exist_ok=True)
        with (output / "stdout").open("wb") as out, (output / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [*self.command, *arguments],
                cwd=self.folder,
                env=environment(**self.variables, **variables),
                stdout=out,
                stderr=err,
            )
        try:
            yield Run(process, output)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Run:
    """A program that was started."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def lines(self) -> list[dict[str, Any]]:
        """The whole lines of JSON that it has printed so far."""
        text = (self.output / "stdout").read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait_until(self, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until what it has printed is enough."""
        deadline = time.monotonic() + RUN_SECONDS
        while not condition(self.lines()):
            assert self.process.poll() is None, f"ended with {self.process.returncode} too early: {self.errors()}"
            assert time.monotonic() < deadline, f"{len(self.lines())} lines, and not what was waited for"
            time.sleep(_LOOK_SECONDS)

    def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self.process.wait(RUN_SECONDS)

    def result(self) -> list[dict[str, Any]]:
        """All lines of a program that ends well."""
        assert self.ended() == 0, self.errors()
        return self.lines()

    def errors(self) -> str:
        """Standard error."""
        return (self.output / "stderr").read_text(encoding="utf-8")


_CLIENTS: Final = ROOT / "clients"
_BINARIES: Final = ROOT / "build" / "clients"
# Each client package by its benchmark command.
CLIENTS: Final = {
    "python": Program(
        _CLIENTS / "python",
        "python3",
        (),
        (sys.executable, "-m", "becas_ft_client.bench"),
        {"PYTHONPATH": str(_CLIENTS / "python" / "src")},
    ),
    "go": Program(
        _CLIENTS / "go",
        "go",
        (
            (sys.executable, "../../scripts/gen_clients.py", "go"),
            ("go", "vet", "./..."),
            ("go", "build", "-o", str(_BINARIES / "bench"), "./cmd/bench"),
        ),
        (str(_BINARIES / "bench"),),
    ),
    "typescript": Program(
        _CLIENTS / "typescript",
        "npm",
        (("npm", "ci"), ("npm", "run", "generate"), ("npm", "run", "build")),
        ("node", "dist/bench.js"),
    ),
}
