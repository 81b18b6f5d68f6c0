"""A ledger under load, a program (`python -m helpers.ledger_writes FOLDER LOG WRITERS`), and whether that is kept."""

import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import AUDIT, JOBS
from helpers import faults
from helpers.kept import REOPEN_SECONDS

ACKNOWLEDGED: Final = b"acknowledged "
"""Begins a note of the log, before the number of a write that has returned."""
ERASING, ERASED = b"erasing", b"erased"
ERASED_NUMBERS: Final = range(1, 21)
_WRITES: Final = 240
_LAST: Final = "last"


def problems(folder: Path, acknowledged: Collection[int], *, erasing: bool, erased: bool) -> list[str]:
    """What a ledger does not keep as it must; empty where all is well.

    Arguments:
        folder: of a ledger that is not open.
        acknowledged: numbers of writes that have returned.
        erasing: whether the erasure had begun: then its numbers are all there, or none is.
        erased: whether it had ended: then none is, not even on a free page.
    """
    started = time.monotonic()
    ledger = Ledger(folder)
    seconds = time.monotonic() - started
    try:
        found = [f"opened in {seconds:.1f} s"] if seconds > REOPEN_SECONDS else []
        found += ledger.read(lambda transaction: transaction.problems())
        entries = dict(ledger.read(lambda transaction: list(transaction.scan(AUDIT))))
        jobs = {job_id for job_id, _ in ledger.read(lambda transaction: list(transaction.scan(JOBS)))}
        last = ledger.read(lambda transaction: transaction.number(_LAST))
    finally:
        ledger.close()
    if jobs != {_job_id(number) for number in entries} or last < max(entries, default=0):
        found.append("a write is there in part")
    found += [f"{number} has another text" for number, entry in entries.items() if entry.reason != _text(number)]
    gone = set(ERASED_NUMBERS) if erasing else set()
    if lost := set(acknowledged) - gone - entries.keys():
        found.append(f"{len(lost)} of {len(acknowledged)} acknowledged writes are lost")
    if 0 < len(gone & entries.keys()) < len(gone):
        found.append("an erasure is there in part")
    if erased:
        content = (folder / "data.mdb").read_bytes()
        found += [f"{number} was erased, and is there" for number in gone if _text(number).encode() in content]
    return found


def _text(number: int) -> str:
    return f"written as number {number:06} " + "and more words " * 30


def _job_id(number: int) -> str:
    return f"job-{number:06}"


def _append(transaction: WriteTransaction) -> int:
    number = transaction.next_number(AUDIT)
    transaction.put(AUDIT, number, model_pb2.AuditEntry(action="test", reason=_text(number)))
    transaction.put(JOBS, _job_id(number), training_pb2.Job(job_id=_job_id(number)))
    transaction.set_number(_LAST, number)
    return number


def _erase(transaction: WriteTransaction) -> None:
    for number in ERASED_NUMBERS:
        transaction.delete(AUDIT, number)
        transaction.delete(JOBS, _job_id(number))
    transaction.owe_rewrite()


def main(folder: Path, log: Path, count: int) -> None:
    """Writers side by side, so many of them, and an erasure among them."""
    ledger = Ledger(folder)
    enough = threading.Semaphore(0)

    def write() -> None:
        for _ in range(_WRITES // count):
            faults.note(log, b"%b%d" % (ACKNOWLEDGED, ledger.write(_append)))
            enough.release()

    writers = [threading.Thread(target=write) for _ in range(count)]
    for writer in writers:
        writer.start()
    for _ in range(2 * len(ERASED_NUMBERS)):
        enough.acquire()
    faults.note(log, ERASING)
    ledger.write(_erase)
    ledger.compact()
    faults.note(log, ERASED)
    for writer in writers:
        writer.join()
    ledger.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
