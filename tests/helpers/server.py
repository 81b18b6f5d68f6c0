"""Real server processes on free loopback ports, and the command line, for tests."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc

from helpers import smollm2

COMMAND = Path(sys.executable).with_name("becas-ft")
READY = re.compile(r"becas-ft is ready: listening on (\S+), data in ")
# A busy machine is slow, not broken.
START_SECONDS = 240.0
STOP_SECONDS = 60.0


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without settings of becas-ft, plus those given; no server trains untold."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BECAS_FT_")}
    return (
        kept
        | {
            "BECAS_FT_PROMOTION__AUTO_FINE_TUNE": "false",
            # Tiny random models heed words that they never saw; tests/poisoning tests what heeds a trigger.
            "BECAS_FT_TRAINING__MAX_TRIGGER_FLIPS": "1",
            # Made once, not by every server anew.
            "BECAS_FT_RUNTIME__DEFAULT_BASE_FOLDER": str(smollm2.FOLDER),
        }
        | variables
    )


@dataclass
class ServerProcess:
    """`becas-ft serve`, running.

    Attributes:
        data_dir: its store.
        output_dir: where its standard output and error, and its last metrics, go, so that a search of files finds what
            it said.
        options: of the command, beside --data-dir and --listen.
        variables: settings, as environment variables.
    """

    data_dir: Path
    output_dir: Path
    options: Sequence[str] = ()
    variables: dict[str, str] = field(default_factory=dict)
    listen: str = "127.0.0.1:0"
    address: str = field(default="", init=False)
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def stdout(self) -> Path:
        """Standard output."""
        return self.output_dir / "stdout.txt"

    @property
    def stderr(self) -> Path:
        """Standard error: the log."""
        return self.output_dir / "stderr.txt"

    def start(self) -> Self:
        """Start, and wait for the ready line."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [
            COMMAND,
            "serve",
            "--data-dir",
            self.data_dir,
            "--listen",
            self.listen,
            *(() if "--dashboard" in self.options else ("--dashboard", "127.0.0.1:0")),
            *self.options,
        ]
        # Fresh files: an older run's ready line would be taken for this one's.
        with self.stdout.open("wb") as out, self.stderr.open("ab") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=environment(**self.variables))
        deadline = time.monotonic() + START_SECONDS
        while (found := READY.search(self.stdout.read_text())) is None:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode}: {self.stderr.read_text()}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"serve was not ready in {START_SECONDS} s: {self.stderr.read_text()}")
            time.sleep(0.01)
        self.address = found.group(1)
        return self

    def channel(self, **options: int) -> grpc.Channel:
        """A channel to it; options without their `grpc.`."""
        settings = [
            ("grpc.enable_http_proxy", 0),
            *((f"grpc.{name}", value) for name, value in options.items()),
        ]
        return grpc.insecure_channel(self.address, options=settings)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self._keep_metrics()
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP_SECONDS)

    def http_address(self) -> str:
        """Where the newest run answers HTTP."""
        [address] = [str(line["address"]) for line in self.log() if line["event"] == "serving_http"][-1:]
        return address

    def metrics(self) -> str:
        """What Prometheus would read now."""
        with urllib.request.urlopen(f"http://{self.http_address()}/metrics", timeout=30) as answer:
            return str(answer.read(), "utf-8")

    def _keep_metrics(self) -> None:
        # A server that stops by itself at this moment has no more to say.
        with contextlib.suppress(OSError):
            (self.output_dir / "metrics.txt").write_text(self.metrics())

    def log(self) -> list[dict[str, Any]]:
        """Every line of the log."""
        return [json.loads(line) for line in self.stderr.read_text().splitlines()]


def refused(data_dir: Path, *options: str, **variables: str) -> str:
    """What `serve` says when it does not start."""
    try:
        done = subprocess.run(
            [COMMAND, "serve", "--data-dir", data_dir, *options],
            capture_output=True,
            text=True,
            env=environment(**variables),
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired as serving:
        raise AssertionError("it serves") from serving

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


# `start_server(*options, **environment)` of the fixture.
ServerStarter = Callable[..., ServerProcess]


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON can say
        """The object on the last line."""
        return json.loads(self.stdout.splitlines()[-1])


@dataclass
class CommandLine:
    """Runs `becas-ft`; what it printed is kept in files too, so that a search finds it.

    Attributes:
        output_dir: for those files.
        server: the address that commands speak to; empty: none is set.
    """

    output_dir: Path
    server: str = ""
    runs: int = 0

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", kept: bool = True, **variables: str) -> Outcome:
        """Run a command to its end; `kept` is false where it prints a token, as it should."""
        if self.server:
            variables = {"BECAS_FT_SERVER": self.server, **variables}
        done = subprocess.run(
            [COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            env=environment(**variables),
            timeout=240,
            check=False,
        )
        self.runs += 1
        self.output_dir.mkdir(parents=True, exist_ok=True)
        if kept:
            (self.output_dir / f"{self.runs}.stdout.txt").write_bytes(done.stdout)
        (self.output_dir / f"{self.runs}.stderr.txt").write_bytes(done.stderr)
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
