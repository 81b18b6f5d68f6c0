"""A plugin of pytest: the report of a failed test shows what the servers logged as errors while it ran.

A client learns of an internal error only its request_id; without this, so would whoever reads the run.
"""

import json
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

MOST_LINES = 10


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds a section for each log with errors."""
    report = yield
    factory = getattr(item.config, "_tmp_path_factory", None)
    if report.failed and factory is not None:
        for log in sorted(factory.getbasetemp().rglob("stderr.txt")):
            if log.stat().st_mtime >= call.start and (lines := errors(log)):
                report.sections.append((f"errors in {log}", "\n".join(lines[-MOST_LINES:])))
    return report


def errors(log: Path) -> list[str]:
    """Lines of level error in a log of JSON lines."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        with suppress(ValueError, AttributeError):
            if json.loads(line).get("level") == "error":
                found.append(line)
    return found
