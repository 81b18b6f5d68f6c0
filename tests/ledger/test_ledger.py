"""The ledger is all or nothing, durable, sorted, checked, grows, and leaves nothing behind."""

import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.ledger import Ledger, LedgerError, WriteTransaction
from becas_ft.ledger.schema import AUDIT, JOBS, PAIRS


def entry(reason: str) -> model_pb2.AuditEntry:
    return model_pb2.AuditEntry(action="test", reason=reason)


def put_job(ledger: Ledger, job_id: str) -> None:
    ledger.write(lambda transaction: transaction.put(JOBS, job_id, training_pb2.Job(job_id=job_id)))


def append(ledger: Ledger, reason: str) -> int:
    def change(transaction: WriteTransaction) -> int:
        number = transaction.next_number(AUDIT)
        transaction.put(AUDIT, number, entry(reason))
        return number

    return ledger.write(change)


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    """A record outlives the process that wrote it."""
    ledger = Ledger(tmp_path)
    put_job(ledger, "a-1")
    ledger.close()

    reopened = Ledger(tmp_path)

    assert reopened.read(lambda transaction: transaction.get(JOBS, "a-1")) == training_pb2.Job(job_id="a-1")


@pytest.mark.parametrize("length", [0, 511, 512, 100_000])
def test_a_key_that_no_record_can_have_is_not_there(tmp_path: Path, length: int) -> None:
    """Whatever id a caller asks for is found or is not; LMDB takes keys of 1 to 511 bytes."""
    ledger = Ledger(tmp_path)

    assert ledger.read(lambda transaction: transaction.get(JOBS, "a" * length)) is None


def test_a_change_that_raises_changes_nothing(tmp_path: Path) -> None:
    """All or nothing."""
    ledger = Ledger(tmp_path)

    def change(transaction: WriteTransaction) -> None:
        transaction.put(JOBS, "a-1", training_pb2.Job())
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - raised by the test itself
        ledger.write(change)

    assert ledger.read(lambda transaction: transaction.count(JOBS)) == 0


def test_numbers_sort_and_are_never_given_twice(tmp_path: Path) -> None:
    """The 300th entry comes after the 256th, and a deleted number does not come back."""
    ledger = Ledger(tmp_path)
    numbers = [append(ledger, str(index)) for index in range(300)]
    ledger.write(lambda transaction: transaction.delete(AUDIT, 300))

    assert numbers == list(range(1, 301))
    assert append(ledger, "next") == 301
    scanned = ledger.read(lambda transaction: [key for key, _ in transaction.scan(AUDIT, after=254)])
    assert scanned == [*range(255, 300), 301]


def test_reversed_scans_stop_at_prefix_and_start_before_key(tmp_path: Path) -> None:
    """Newest first, within one category."""
    ledger = Ledger(tmp_path)
    for key in ("scam-1", "scam-2", "scam-3", "tool-1"):
        put_job(ledger, key)

    def keys(prefix: str = "", after: str | None = None) -> list[str]:
        return ledger.read(
            lambda transaction: [key for key, _ in transaction.scan(JOBS, reverse=True, prefix=prefix, after=after)]
        )

    assert keys(prefix="scam") == ["scam-3", "scam-2", "scam-1"]
    assert keys(prefix="scam", after="scam-3") == ["scam-2", "scam-1"]
    assert keys() == ["tool-1", "scam-3", "scam-2", "scam-1"]
    assert keys(prefix="zebra") == []


def test_a_ledger_holds_what_is_written_while_others_read(tmp_path: Path) -> None:
    """Six megabytes in sixty commits beside three readers; the file is no larger than what it holds takes."""
    ledger = Ledger(tmp_path)
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(0.001):
            ledger.read(lambda transaction: transaction.count(AUDIT))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(60):
        append(ledger, "x" * 100_000)
    stop.set()
    for reader in readers:
        reader.join()

    assert ledger.read(lambda transaction: len(list(transaction.scan(AUDIT)))) == 60
    assert (tmp_path / "data.mdb").stat().st_size < 20 << 20


def test_a_full_ledger_says_so_and_is_read_on(tmp_path: Path) -> None:
    """What does not fit is refused whole; what was written stays."""
    ledger = Ledger(tmp_path, map_size=1 << 20)
    for _ in range(3):
        append(ledger, "x" * 100_000)

    with pytest.raises(LedgerError, match="the ledger is full"):
        append(ledger, "x" * 1_000_000)

    assert ledger.read(lambda transaction: len(list(transaction.scan(AUDIT)))) == 3
    assert append(ledger, "small") == 4


def test_compaction_leaves_no_deleted_bytes(tmp_path: Path) -> None:
    """What was deleted is in no page of the file afterwards, and the rest still is."""
    ledger = Ledger(tmp_path)
    append(ledger, "canary-4711")
    append(ledger, "keep-me")
    ledger.write(lambda transaction: transaction.delete(AUDIT, 1))

    ledger.compact()

    data = (tmp_path / "data.mdb").read_bytes()
    assert b"canary-4711" not in data
    assert ledger.read(lambda transaction: [key for key, _ in transaction.scan(AUDIT)]) == [2]
    assert append(ledger, "after") == 3


def test_compaction_leaves_nothing_between_records_either(tmp_path: Path) -> None:
    """Small records share pages: where one was deleted, its bytes do not stay in the gap; nor in a copy."""
    ledger = Ledger(tmp_path / "ledger")
    for number in range(300):
        append(ledger, f"canary-{number}" if number % 3 else f"keep-{number}")
    ledger.write(lambda transaction: [transaction.delete(AUDIT, number + 1) for number in range(300) if number % 3])

    ledger.copy_to(tmp_path / "copy")
    ledger.compact()

    for file in (tmp_path / "ledger" / "data.mdb", tmp_path / "copy" / "data.mdb"):
        data = file.read_bytes()
        assert b"canary-" not in data
        assert data.count(b"keep-") == 100


def test_a_rewrite_that_a_crash_prevented_is_made_up_for(tmp_path: Path) -> None:
    """Erased bytes lie on free pages when the process dies before the rewrite; the next start rewrites."""
    ledger = Ledger(tmp_path)
    append(ledger, "canary-4711")

    def erase(transaction: WriteTransaction) -> None:
        transaction.owe_rewrite()
        transaction.delete(AUDIT, 1)

    ledger.write(erase)
    ledger.close()
    assert b"canary-4711" in (tmp_path / "data.mdb").read_bytes()

    Ledger(tmp_path).close()
    assert b"canary-4711" not in (tmp_path / "data.mdb").read_bytes()
    rewritten = (tmp_path / "data.mdb").stat().st_ino
    Ledger(tmp_path).close()
    # Once is enough.
    assert (tmp_path / "data.mdb").stat().st_ino == rewritten


def test_a_record_under_another_key_is_damaged(tmp_path: Path) -> None:
    """A flipped bit in a key is no other record, and one in a number is no other number."""
    ledger = Ledger(tmp_path)
    ledger.write(lambda transaction: transaction.put(PAIRS, "trial-1/aaaa", records_pb2.Pair(truth="true")))
    ledger.write(lambda transaction: transaction.set_number("cursor", 5))
    ledger.close()
    data = (tmp_path / "data.mdb").read_bytes()
    sealed = zlib.crc32(b"number:cursor" + (5).to_bytes(8)).to_bytes(4) + (5).to_bytes(8)
    assert sealed in data
    data = data.replace(b"trial-1/aaaa", b"trial-1/aaab").replace(sealed, sealed[:-1] + b"\x07")
    (tmp_path / "data.mdb").write_bytes(data)

    reopened = Ledger(tmp_path)

    with pytest.raises(LedgerError, match="pairs-v1: record trial-1/aaab is damaged"):
        reopened.read(lambda transaction: transaction.get(PAIRS, "trial-1/aaab"))
    with pytest.raises(LedgerError, match="meta: record number:cursor is damaged"):
        reopened.read(lambda transaction: transaction.number("cursor"))
    assert len(reopened.read(lambda transaction: transaction.problems())) == 2


def test_a_damaged_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A flipped bit is never read as data."""
    ledger = Ledger(tmp_path)
    append(ledger, "pristine-text")
    ledger.close()
    data = (tmp_path / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(data.replace(b"pristine-text", b"pristine-tExt"))

    reopened = Ledger(tmp_path)

    with pytest.raises(LedgerError, match="audit-v1: record 1 is damaged"):
        reopened.read(lambda transaction: transaction.get(AUDIT, 1))


def test_a_killed_writer_loses_nothing_it_was_told(tmp_path: Path) -> None:
    """Every number printed after a write is in the ledger after kill -9."""
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]);"
        "from test_ledger import append; from becas_ft.ledger import Ledger;"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "while True: print(append(ledger, 'x'), flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    printed = [int(child.stdout.readline()) for _ in range(50)]
    child.kill()
    printed += [int(line) for line in child.stdout if line.endswith("\n")]
    child.wait()
    child.stdout.close()

    kept = Ledger(tmp_path).read(lambda transaction: {key for key, _ in transaction.scan(AUDIT)})

    assert set(printed) <= kept
