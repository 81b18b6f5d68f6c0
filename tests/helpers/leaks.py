"""The search at the end of every run: no planted secret and no token in anything that the run left behind.

A plugin of pytest. Everything under the run's folder is searched: logs, data folders and scraped metrics of servers,
output of commands, exports, receipts. A find fails the run and names the file, never the secret. Folders whose names
begin with `inputs` or `leaky` are what tests hand in, and tests of the search itself.
"""

import pytest

from helpers import canaries

UNSEARCHED = ("inputs", "leaky")
_FOUND = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search, and fail the run where something is found."""
    folder = getattr(session.config, "_tmp_path_factory", None)
    # No test of this run had a folder, or this is one of the processes of a run, which searches the folders of all.
    if folder is None or folder._basetemp is None or hasattr(session.config, "workerinput"):
        return
    base = folder.getbasetemp()
    found = session.config.stash[_FOUND] = [
        line for root in sorted(base.glob("popen-*")) or [base] for line in canaries.search(root, unsearched=UNSEARCHED)
    ]
    if found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was found, and that it was searched for."""
    found = config.stash.get(_FOUND, None)
    if found is None:
        return
    terminalreporter.section("search for planted secrets")
    terminalreporter.line(f"{len(found)} found")
    for line in found:
        terminalreporter.line(f"LEAK {line}", red=True)
