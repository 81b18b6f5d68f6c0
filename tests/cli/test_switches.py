"""`becas-ft promote`, `rollback` and `audit --verify` against a real server: once, and with a log that tells."""

from functools import partial
from pathlib import Path

import pytest

from becas.ft.v1 import model_pb2
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import AUDIT
from becas_ft.rollout import audit
from helpers import models
from helpers.gate import Gate
from helpers.served import serving
from helpers.server import CommandLine, ServerStarter

V1, V2 = models.candidate(1), models.candidate(2)
# More than a page of ListAudit.
ENTRIES = 1_200


def test_a_switch_whose_answer_was_lost_is_asked_for_again_and_done_once(tmp_path: Path) -> None:
    """A rollback goes back one version and not two; another invocation is another request."""
    with serving(tmp_path, V1, V2) as served, Gate(served.process.address) as gate:
        gate.open()
        command = CommandLine(tmp_path / "cli", gate.address)
        command("promote", V1, "--yes", "--force")
        gate.lose(2)
        promoted = command("promote", V2, "--yes", "--force", "--json")
        gate.lose(2)
        rolled_back = command("rollback", "scam_detection", "--reason", "test", "--json")
        once_more = command("rollback", "scam_detection", "--reason", "test", "--json")
        log = served.audited()

    assert (promoted.code, rolled_back.code, once_more.code) == (0, 0, 0), promoted.stderr + rolled_back.stderr
    assert promoted.json()["alias"]["model"] == V2
    assert rolled_back.json()["alias"]["model"] == V1
    assert once_more.json()["alias"]["model"] == models.BASE
    assert [(entry.action, entry.to_model) for entry in log] == [
        ("promote", V1),
        ("promote", V2),
        ("rollback", V1),
        ("rollback", models.BASE),
    ]
    assert len({entry.request_id for entry in log} - {""}) == len(log)


@pytest.fixture
def log_of_a_server(data_dir: Path) -> Path:
    """The ledger of a server that has not started yet, with an audit log of more than one page."""
    path = data_dir / "ledger"
    ledger = Ledger(path)

    def write(transaction: WriteTransaction) -> None:
        for number in range(ENTRIES):
            audit.append(transaction, model_pb2.AuditEntry(action="promote", actor="ana", reason=f"reason {number}"))

    ledger.write(write)
    ledger.close()
    return path


def forge(path: Path, sequence: int, *, rehashed: bool = False) -> None:
    """Change one byte of a stored entry; its record's checksum is written anew, so that only the chain can tell."""

    def change(transaction: WriteTransaction) -> None:
        entry = transaction.get(AUDIT, sequence)
        before = transaction.get(AUDIT, sequence - 1)
        assert entry is not None
        assert before is not None
        entry.actor = "anb"
        if rehashed:
            entry.hash = audit.chain_hash(before.hash, entry)
        transaction.put(AUDIT, sequence, entry)

    ledger = Ledger(path)
    ledger.write(change)
    ledger.close()


def remove(path: Path, sequence: int) -> None:
    ledger = Ledger(path)
    ledger.write(lambda transaction: transaction.delete(AUDIT, sequence))
    ledger.close()


def test_a_sound_log_is_said_to_be_so(log_of_a_server: Path, start_server: ServerStarter, tmp_path: Path) -> None:
    """With the hash of its newest entry, which a person can keep elsewhere."""
    command = CommandLine(tmp_path / "cli", start_server().address)

    done, told = command("audit", "--verify"), command("audit", "--verify", "--json").json()

    assert log_of_a_server.exists()
    newest = command("audit", "--after", str(ENTRIES - 1), "--json").json()["entries"][0]["hash"]
    assert done.code == 0
    assert done.stdout == f"sound: 1,200 entries, the newest hash is {newest}\n"
    assert told == {"sound": ENTRIES, "hash": newest, "broken": None}


@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        (partial(forge, sequence=2), 2),
        (partial(forge, sequence=1_100), 1_100),
        (partial(forge, sequence=1_100, rehashed=True), 1_101),
        (partial(remove, sequence=700), 701),
    ],
    ids=["changed", "changed on a later page", "changed and hashed anew", "removed"],
)
def test_a_changed_log_is_found_out(
    log_of_a_server: Path, start_server: ServerStarter, tmp_path: Path, tamper: partial[None], broken: int
) -> None:
    """The first broken entry is named, and the exit code is 1."""
    tamper(log_of_a_server)
    command = CommandLine(tmp_path / "cli", start_server().address)

    done, told = command("audit", "--verify"), command("audit", "--verify", "--json")

    assert (done.code, told.code) == (1, 1)
    assert done.stdout.startswith(f"broken at entry {broken}, ")
    assert told.json()["broken"] == broken


def test_verify_takes_the_whole_log(offline_cli: CommandLine) -> None:
    """Part of a chain shows nothing."""
    done = offline_cli("audit", "--verify", "--after", "3", "--server", "127.0.0.1:1")

    assert done.code == 2
    assert "--after" in done.stderr
