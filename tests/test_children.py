"""Child processes: how they end, and that nothing of their parent runs in them."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from becas_ft.children import Child

SLEEPS = ("sleep", "60")


def within(work: Callable[[], Awaitable[object]]) -> None:
    """Runs it on a loop of its own, for a minute at most."""

    async def bounded() -> None:
        await asyncio.wait_for(work(), 60)

    asyncio.run(bounded())


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$", -signal.SIGKILL), ("true", 0)])
def test_how_it_ended_is_told(script: str, code: int) -> None:
    """As `subprocess` numbers it: the exit code, or less the signal."""

    async def work() -> None:
        child = Child(("sh", "-c", script), environment=os.environ)
        first, second = await asyncio.gather(child.wait(), child.wait())
        assert first == second == code
        assert child.returncode == code
        child.send_signal(signal.SIGTERM)

    within(work)


def test_whoever_stops_waiting_leaves_it_running() -> None:
    """A time limit ends the wait, not the process; a signal does."""

    async def work() -> None:
        child = Child(SLEEPS, environment=os.environ)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(child.wait(), 0.05)
        assert child.returncode is None
        child.send_signal(signal.SIGTERM)
        assert await child.wait() == -signal.SIGTERM

    within(work)


def test_files_and_variables_are_its_own(tmp_path: Path) -> None:
    """What it says goes where it shall; the variables, the session and what it reads are its own."""

    async def work() -> None:
        with (tmp_path / "out").open("wb") as out:
            script = 'cat; echo "$WORD $(ps -o sid= $$)"'
            child = Child(
                ("sh", "-c", script),
                output=out,
                environment={"WORD": "said", "PATH": os.environ["PATH"]},
                own_session=True,
            )
            assert await child.wait() == 0
        assert (tmp_path / "out").read_text().split() == ["said", str(child.pid)]

    within(work)


def test_a_program_that_is_not_there_is_told() -> None:
    """At once, by its name."""

    async def work() -> None:
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            Child(("no-such-program",), environment=os.environ)

    within(work)


FORK_HANDLERS = """
import asyncio, ctypes, os, sys
import uvloop
from becas_ft.children import Child

calls = []
os.register_at_fork(before=lambda: calls.append("python"))
handler = ctypes.CFUNCTYPE(None)(lambda: calls.append("c"))
ctypes.CDLL(None).__register_atfork(handler, None, None, None)

async def by_the_loop():
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()

async def by_child():
    await Child(("true",), environment=os.environ).wait()

uvloop.run({"loop": by_the_loop, "child": by_child}[sys.argv[1]]())
print(sorted(calls))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "__register_atfork"), reason="not the C library of GNU")
@pytest.mark.parametrize(("way", "called"), [("child", []), ("loop", ["c", "python"])])
def test_no_handler_for_forks_runs(way: str, called: list[str]) -> None:
    """Neither Python's nor the C library's, through which gRPC's killed children; the loop's own way is the control."""
    done = subprocess.run(
        [sys.executable, "-c", FORK_HANDLERS, way], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == f"{called}\n"
