"""The search at the end of every run bites: a run whose own tests pass fails where one of them left a secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from becas_ft.access import tokens
from becas_ft.access.roles import Role
from helpers import canaries

TESTS = Path(__file__).parent
LEAKS = {
    "a log": "(tmp_path / 'stderr.txt').write_bytes(b'rpc for ' + SECRET)",
    "a name of a file": "(tmp_path / SECRET.decode()).touch()",
    "a session's folder": "(factory.mktemp('shared') / 'data.mdb').write_bytes(bytes(5000) + SECRET + bytes(5000))",
}
CLEAN = {
    "nothing": "(tmp_path / 'stderr.txt').write_bytes(b'rpc for nobody')",
    "an input": "(factory.mktemp('inputs') / 'events.jsonl').write_bytes(SECRET)",
}


def run(folder: Path, secret: str, body: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """A run of its own: one test that passes."""
    (folder / "test_one.py").write_text(
        f"SECRET = {secret.encode()!r}\n\n\ndef test_it(tmp_path, tmp_path_factory):\n"
        f"    factory = tmp_path_factory\n    {body}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "helpers.leaks", "-p", "no:cacheprovider", "-c", os.devnull]
    return subprocess.run(
        [*command, "--rootdir", folder, "--basetemp", folder / "run", *options, folder / "test_one.py"],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where secrets may lie."""
    return tmp_path_factory.mktemp("leaky")


@pytest.mark.parametrize("kind", ["e-mail", "card", "user id", "token"])
def test_each_kind_of_secret_fails_a_run(folder: Path, kind: str) -> None:
    """A planted secret, as it is or without its spaces, and a token; the report names kind and file only."""
    secret = tokens.issue("bot-1", Role.BOT).secret if kind == "token" else canaries.SECRETS[kind].replace(" ", "")

    done = run(folder, secret, LEAKS["a log"])

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 passed" in done.stdout
    assert f"LEAK {kind}: {folder / 'run'}" in done.stdout
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("where", LEAKS)
def test_a_secret_is_found_wherever_it_lies(folder: Path, where: str) -> None:
    """In logs, names and folders that no single test owns; in a run of several processes, each with its folder."""
    done = run(folder, canaries.SECRETS["e-mail"], LEAKS[where], "-n", "2")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "LEAK e-mail: " in done.stdout


@pytest.mark.parametrize("where", CLEAN)
def test_a_clean_run_passes(folder: Path, where: str) -> None:
    """Without a leak, or with secrets only where tests hand them in, the run is what its tests are."""
    done = run(folder, canaries.SECRETS["e-mail"], CLEAN[where])

    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "0 found" in done.stdout
