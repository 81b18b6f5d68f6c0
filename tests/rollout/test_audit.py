"""What is in the audit log cannot be changed or removed unseen."""

import hashlib
from functools import partial
from pathlib import Path

from becas.ft.v1 import model_pb2
from becas_ft.ledger import Ledger
from becas_ft.rollout import audit


def written(path: Path, count: int = 3) -> list[model_pb2.AuditEntry]:
    ledger = Ledger(path)
    for number in range(count):
        entry = model_pb2.AuditEntry(action="promote", reason=f"reason {number}")
        ledger.write(partial(audit.append, entry=entry))
    log = ledger.read(lambda transaction: list(audit.entries(transaction)))
    ledger.close()
    return log


def test_entries_are_numbered_and_chained(tmp_path: Path) -> None:
    """The first hash is computed by hand: 64 zeros, then the entry's bytes."""
    log = written(tmp_path)

    body = model_pb2.AuditEntry(sequence=1, action="promote", reason="reason 0").SerializeToString()
    assert log[0].hash == hashlib.sha256(b"0" * 64 + body).hexdigest()
    assert [entry.sequence for entry in log] == [1, 2, 3]
    assert audit.broken_links(log) == []


def test_a_changed_entry_is_found(tmp_path: Path) -> None:
    """Another reason breaks its own link and, with a forged hash, the next one."""
    log = written(tmp_path)

    log[1].reason = "another"
    assert audit.broken_links(log) == [2]

    log[1].hash = audit.chain_hash(log[0].hash, log[1])
    assert audit.broken_links(log) == [3]


def test_a_removed_entry_is_found(tmp_path: Path) -> None:
    """A gap shows at the entry after it."""
    log = written(tmp_path)

    assert audit.broken_links([log[0], log[2]]) == [3]
    assert audit.broken_links(log[1:]) == [2]
