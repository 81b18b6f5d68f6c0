"""The commands of docs/grpcurl.md, run by a real grpcurl against a real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from helpers.server import ServerProcess, environment

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "grpcurl.md"
DOCUMENTED_ADDRESS: Final = "127.0.0.1:50051"
COMMAND_SECONDS: Final = 150
# Before an answer that depends on the model.
EXAMPLE: Final = "For example:"
# What differs from server to server, is cut short on the page, or changes with every version.
VOLATILE: Final = {
    *("time", "event", "user", "guild", "by_split", "data", "data_bytes", "dataset_id", "example_ids_digest"),
    *("datasets", "system", "redactor_version", "scorer_version"),
}

_BLOCK: Final = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RPC: Final = re.compile(rf"{re.escape(DOCUMENTED_ADDRESS)} ([\w.]+)/(\w+)")
_ALWAYS: Final = re.compile(r"^Ends with `([A-Z_]+)`", re.MULTILINE)
_UNLESS: Final = re.compile(r"^Without .*: `([A-Z_]+)`", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command of the page and what the page says of it.

    Attributes:
        service: that it calls; empty for reflection.
        always: the code that it ends with.
        unless: the code that it ends with where something is missing.
        answers: the messages that it prints; None where the page shows none, or only an example.
    """

    line: str
    service: str
    method: str
    always: str
    unless: str
    answers: list[Any] | None


def documented() -> list[Command]:
    """Every command of the page, in order."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [*_BLOCK.finditer(text)]
    commands = []
    for index, block in enumerate(blocks):
        if block[1] != "sh":
            continue
        following = next((other.start() for other in blocks[index + 1 :] if other[1] == "sh"), len(text))
        said = text[block.end() : following]
        shown = [other[2] for other in _BLOCK.finditer(said)]
        for line in [block[2]] if "<<" in block[2] else block[2].splitlines():
            rpc = _RPC.search(line)
            commands.append(
                Command(
                    line,
                    rpc[1] if rpc else "",
                    rpc[2] if rpc else "",
                    _first(_ALWAYS, said),
                    _first(_UNLESS, said),
                    messages(shown[0]) if shown and EXAMPLE not in said else None,
                )
            )
    return commands


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def messages(text: str) -> list[Any]:
    """JSON values, one after another."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        values.append(value)
        at += len(text[at:]) - len(text[at:].lstrip())
    return values


def steady(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    """A value without what differs from server to server."""
    if isinstance(value, dict):
        return {key: "…" if key in VOLATILE else steady(inner) for key, inner in value.items()}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture
def grpcurl(server: ServerProcess) -> "Run":
    """Runs commands of the page against the server of the test."""
    # Not resolved: the virtual environment's own folder holds what `make grpcurl` links.
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if shutil.which("grpcurl", path=folders) is None:
        reason = "there is no grpcurl, and no Go to build it: install Go, then make grpcurl"
        if os.environ.get("CI") or os.environ.get("BECAS_REQUIRE_GRPCURL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Run(server.address, folders)


@dataclass(frozen=True)
class Run:
    """A shell with grpcurl on its PATH, at another address than the documented one."""

    address: str
    path: str

    def __call__(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            ["bash", "-c", line.replace(DOCUMENTED_ADDRESS, self.address)],
            env=environment(PATH=self.path, no_proxy="*"),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def list(self, service: str = "") -> set[str]:
        """What reflection lists."""
        done = self(f"grpcurl -plaintext {DOCUMENTED_ADDRESS} list {service}")
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())


def test_every_rpc_is_documented() -> None:
    """Each RPC of each service file has a command on the page."""
    rpcs = set()
    for path in (ROOT / "proto" / "becas" / "ft" / "v1").glob("*_service.proto"):
        text = path.read_text(encoding="utf-8")
        (service,) = re.findall(r"^service (\w+)", text, re.MULTILINE)
        rpcs |= {(f"becas.ft.v1.{service}", method) for method in re.findall(r"^  rpc (\w+)", text, re.MULTILINE)}

    assert len(rpcs) > 20
    assert rpcs - {(command.service, command.method) for command in documented()} == set()


def test_everything_served_is_documented(grpcurl: Run) -> None:
    """Whatever reflection lists of becas has a command on the page."""
    services = {name for name in grpcurl.list() if name.startswith("becas.")}
    served = {tuple(rpc.rsplit(".", 1)) for service in services for rpc in grpcurl.list(service)}

    assert "becas.ft.v1.IngestService" in services
    assert served - {(command.service, command.method) for command in documented()} == set()


def test_commands(grpcurl: Run, subtests: pytest.Subtests) -> None:
    """Each command does what the page says, in the page's order; a service that is not served yet is reported."""
    services = grpcurl.list()
    for command in documented():
        with subtests.test(f"{command.service}/{command.method}" if command.service else command.line):
            if command.service and command.service not in services:
                pytest.skip(f"{command.service} is not served")
            check(command, grpcurl(command.line))


def check(command: Command, done: "subprocess.CompletedProcess[str]") -> None:
    expected = command.always or (command.unless if done.returncode else "")
    # grpcurl names codes its own way: InvalidArgument.
    code = re.search(r"Code: (\w+)", done.stderr)
    assert re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code[1] if code else "").upper() == expected, done.stderr
    assert (done.returncode == 0) == (expected == ""), done.stderr
    if expected:
        return
    assert done.stdout.strip()
    if command.answers is not None:
        assert [steady(answer) for answer in messages(done.stdout)] == [steady(answer) for answer in command.answers]
