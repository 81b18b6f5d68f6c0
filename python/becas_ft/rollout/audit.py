"""The audit log: append-only, each entry holding the hash of all before it."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from becas.ft.v1 import model_pb2
from becas_ft.ledger import ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import AUDIT

GENESIS = "0" * 64
"""The hash before the first entry."""


def append(transaction: WriteTransaction, entry: model_pb2.AuditEntry) -> model_pb2.AuditEntry:
    """Writes the entry with its sequence and hash; in the transaction of what it records."""
    last = transaction.last(AUDIT)
    written = model_pb2.AuditEntry()
    written.CopyFrom(entry)
    written.sequence = transaction.next_number(AUDIT)
    written.hash = chain_hash(last[1].hash if last else GENESIS, written)
    transaction.put(AUDIT, written.sequence, written)
    return written


def chain_hash(previous: str, entry: model_pb2.AuditEntry) -> str:
    """SHA-256 over the hash before, and the entry without its own; hexadecimal."""
    body = model_pb2.AuditEntry()
    body.CopyFrom(entry)
    body.ClearField("hash")
    return hashlib.sha256(previous.encode() + body.SerializeToString(deterministic=True)).hexdigest()


def entries(transaction: ReadTransaction, *, after: int = 0) -> Iterator[model_pb2.AuditEntry]:
    """Oldest first, strictly after a sequence."""
    return (entry for _, entry in transaction.scan(AUDIT, after=after))


@dataclass(frozen=True)
class Checked:
    """What a look along the chain found.

    Arguments:
        sound: entries from the first one on whose hashes are right.
        hash: of the last of them, hexadecimal; whoever keeps it elsewhere notices later that the end was cut off or
            the whole log was written anew, which no chain shows by itself.
        broken: sequence of the entry where the chain breaks; None where it does not.
    """

    sound: int
    hash: str
    broken: int | None


def check(log: Iterable[model_pb2.AuditEntry]) -> Checked:
    """Recomputes the chain from its first entry to its first break; takes the whole log, oldest first."""
    sound, previous = 0, GENESIS
    for entry in log:
        if not _follows(entry, sound + 1, previous):
            return Checked(sound, previous, entry.sequence)
        sound, previous = sound + 1, entry.hash
    return Checked(sound, previous, None)


def broken_links(log: Iterable[model_pb2.AuditEntry]) -> list[int]:
    """Sequences of entries that were changed or whose predecessor was removed; takes the whole log."""
    broken = []
    previous, expected = GENESIS, 1
    for entry in log:
        if not _follows(entry, expected, previous):
            broken.append(entry.sequence)
        previous, expected = entry.hash, entry.sequence + 1
    return broken


def _follows(entry: model_pb2.AuditEntry, sequence: int, previous: str) -> bool:
    return entry.sequence == sequence and entry.hash == chain_hash(previous, entry)
