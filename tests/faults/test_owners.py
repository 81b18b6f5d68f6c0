"""Two who open one store, and a process that forks: an error that says what to do, never a hang."""

import subprocess
import sys
from pathlib import Path

import pytest

from becas_ft._core import Core
from becas_ft.errors import StoreError
from helpers import kept

SECONDS = 60

FORK = """
import os, sys
from pathlib import Path
from becas_ft._core import Core
from becas_ft.errors import StoreError
from becas_ft.ledger import Ledger, LedgerError

folder = Path(sys.argv[1])
core, ledger = Core(str(folder)), Ledger(folder / "ledger")
core.stats()
child = os.fork()
if not child:
    refused = 0
    for call in (core.stats, lambda: core.ingest(b""), core.close):
        try:
            call()
        except StoreError as error:
            refused += "spawn" in str(error)
    for call in (lambda: ledger.read(lambda _: None), lambda: ledger.write(lambda _: None), ledger.compact):
        try:
            call()
        except LedgerError as error:
            refused += "spawn" in str(error)
    # Also what the interpreter does with them at the end must not wait for threads that are not there.
    del core, ledger
    os._exit(refused)
_, status = os.waitpid(child, 0)
core.stats()
ledger.write(lambda _: None)
core.close()
ledger.close()
print(os.waitstatus_to_exitcode(status))
"""


def test_a_second_opening_in_the_same_process_is_refused(tmp_path: Path) -> None:
    """Two objects never share an environment; the first goes on, and the store opens again when it is closed."""
    core = Core(str(tmp_path))

    with pytest.raises(StoreError, match="already open"):
        Core(str(tmp_path))

    core.ingest(kept.Batch(1, 0, 3).request().SerializeToString())
    core.close()
    assert kept.problems(tmp_path, [kept.Batch(1, 0, 3)], {kept.Batch(1, 0, 3)}) == []


def test_a_forked_child_is_refused_and_its_parent_goes_on(tmp_path: Path) -> None:
    """Every entry raises in the child, and nothing waits."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, tmp_path],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "6\n"
