"""The report of a failed test shows what its servers logged as errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Numbers that the source itself, which the report shows too, does not spell out.
SCRIPT = """
def test_it(tmp_path):
    log = tmp_path / "server" / "stderr.txt"
    log.parent.mkdir()
    lines = [f'{{"level": "{level}", "number": {number * 111}}}' for level, number in LINES]
    log.write_text("\\n".join(["not JSON", *lines]))
    assert FAILS
"""
LINES = [("info", 2), ("error", 3), ("warning", 4), ("error", 5)]


@pytest.mark.parametrize(("fails", "shown"), [(True, ["333", "555"]), (False, [])])
def test_errors_of_servers_are_in_the_report(inputs: Path, fails: bool, shown: list[str]) -> None:
    """All lines of level error, and no others; nothing where the test passes."""
    script = inputs / "test_one.py"
    script.write_text(f"LINES = {LINES}\n" + SCRIPT.replace("FAILS", str(not fails)))
    plugins = ("-p", "helpers.server_errors", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-c", os.devnull, "--basetemp", inputs / "run", script],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ("errors in " in done.stdout) is fails
    assert [number for number in ("222", "333", "444", "555") if f'"number": {number}' in done.stdout] == shown
