"""The wheel in an empty environment, on a machine without a compiler."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from helpers.server import READY, environment

ROOT: Final = Path(__file__).resolve().parents[2]
BIN: Final = Path(sys.executable).parent
BUILD_SECONDS: Final = 1500
START_SECONDS: Final = 120
EVENT: Final = (
    '{"events": [{"eventId": "tool.executed:1", "toolExecuted": {"toolName": "reminder", "success": true,'
    ' "toolCategory": "productivity", "input": "water the ferns on Friday"}}]}'
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel with its dashboard, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    maturin: list[str | Path] = [BIN / "maturin", "build", "--release", "--locked", "--out", folder / "dist"]
    here = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(BIN.parent)}
    subprocess.run(maturin, cwd=ROOT, env=environment(**here), timeout=BUILD_SECONDS, check=True)
    (wheel,) = (folder / "dist").glob("becas_ft-*-abi3-*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], timeout=300, check=True)
    programs = folder / "env" / "bin"
    subprocess.run(
        [programs / "pip", "install", "--quiet", f"{wheel}[dashboard]"],
        env=bare(programs),
        timeout=BUILD_SECONDS,
        check=True,
    )
    return programs


def bare(programs: Path) -> dict[str, str]:
    """No compiler is on PATH, and nothing of this repository is imported."""
    variables = environment(PATH=str(programs))
    variables.pop("PYTHONPATH", None)
    assert not [name for name in ("cc", "gcc", "clang", "cargo", "rustc") if shutil.which(name, path=variables["PATH"])]
    return variables


@pytest.fixture
def serving(installed: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A server of the installed wheel: its address, and the dashboard's."""
    command: list[str | Path] = [
        installed / "becas-ft",
        "serve",
        "--data-dir",
        tmp_path / "data",
        "--listen",
        "127.0.0.1:0",
        "--dashboard",
        "127.0.0.1:0",
    ]
    output = tmp_path / "stdout"
    with output.open("wb") as out, (tmp_path / "stderr").open("wb") as err:
        process = subprocess.Popen(command, cwd=tmp_path, env=bare(installed), stdout=out, stderr=err)
    deadline = time.monotonic() + START_SECONDS
    while (ready := READY.search(output.read_text())) is None:
        assert process.poll() is None, (tmp_path / "stderr").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield ready[1], output.read_text().rpartition("dashboard at ")[2].strip()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.long
@pytest.mark.timeout(2 * BUILD_SECONDS)
def test_installed_wheel_serves(installed: Path, serving: tuple[str, str]) -> None:
    """An event is ingested by grpcurl, with no compiler and nothing of this repository; the pages came along."""
    address, dashboard = serving
    grpcurl = shutil.which("grpcurl", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert grpcurl, "make grpcurl builds one"
    call = [grpcurl, "-plaintext", "-d", EVENT, address, "becas.ft.v1.IngestService/Ingest"]
    answer = subprocess.run(
        call, env=environment(no_proxy="*"), capture_output=True, text=True, timeout=60, check=False
    )

    assert answer.returncode == 0, answer.stderr
    assert re.search(r'"status":\s*"STATUS_ACCEPTED"', answer.stdout)
    health = subprocess.run(
        [installed / "becas-ft", "health", "--server", address],
        env=bare(installed),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (health.returncode, health.stdout) == (0, "SERVING\n")
    for name in ("", "main.js", "pages/queue.js", "vendor/uplot/uPlot.iife.min.js", "metrics"):
        with urllib.request.urlopen(f"{dashboard}{name}", timeout=30) as answer:
            assert answer.read(), name
