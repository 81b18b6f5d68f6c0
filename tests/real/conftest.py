"""One import of the real events, shared by the tests that look at what it left."""

import gzip
import json
import os
import shutil
from collections.abc import Iterator

import pytest

from becas_ft._core import Core
from helpers.dedupe_oracle import Predicted
from helpers.real_events import EVENTS, Imported
from helpers.server import CommandLine, ServerProcess


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    """The real events, taken once; skipped with the reason where they are not here."""
    if not EVENTS.exists():
        if os.environ.get("BECAS_REQUIRE_SHARED"):
            pytest.fail(f"the real events are required here and {EVENTS} does not exist")
        pytest.skip(f"the real events are not here: {EVENTS}")
    folder = tmp_path_factory.mktemp("real")
    receipts = tmp_path_factory.mktemp("inputs") / "receipts.jsonl"
    server = ServerProcess(folder / "data", folder / "server", (), {}).start()
    try:
        cli = CommandLine(folder / "cli", server.address)
        cli("import", str(EVENTS), "--receipts", str(receipts))
        with gzip.open(EVENTS, "rt", encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
        lines = [json.loads(line) for line in receipts.read_text(encoding="utf-8").splitlines()]
        yield Imported(server, cli, folder, events, lines)
    finally:
        server.kill()


@pytest.fixture(scope="session")
def predicted(imported: Imported) -> Predicted:
    """The import once more, by the rules alone."""
    return Predicted.of(imported.events)


@pytest.fixture(scope="session")
def copied(imported: Imported, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    """The core over a copy of what the server stored, which is at rest after the import."""
    folder = tmp_path_factory.mktemp("copied") / "data"
    shutil.copytree(imported.server.data_dir, folder, ignore=shutil.ignore_patterns("*lock*", "ledger"))
    core = Core(str(folder))
    yield core
    core.close()
