"""What `becas-ft verify` finds in damaged data, and what a server says of it."""

from pathlib import Path

import pytest

from becas.ft.v1 import ingest_pb2, ingest_service_pb2_grpc, model_pb2
from becas_ft._core import Core
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import AUDIT
from becas_ft.rollout import audit
from becas_ft.shadow import truth
from helpers import events
from helpers.server import CommandLine, ServerStarter


@pytest.mark.parametrize("what", ["counted beyond", "chain", "record"])
def test_verify_names_what_is_wrong_with_the_ledger(offline_cli: CommandLine, tmp_path: Path, what: str) -> None:
    """A ledger of another backup, an audit log that was changed, and a flipped bit."""
    core, ledger = Core(str(tmp_path / "data")), Ledger(tmp_path / "data" / "ledger")
    core.close()

    def change(transaction: WriteTransaction) -> None:
        entry = audit.append(transaction, model_pb2.AuditEntry(action="promote", reason="it is better"))
        if what == "counted beyond":
            transaction.set_number(truth.OUTBOX_CURSOR, 1)
        elif what == "chain":
            entry.reason = "another"
            transaction.put(AUDIT, entry.sequence, entry)

    ledger.write(change)
    ledger.close()
    if what == "record":
        file = tmp_path / "data" / "ledger" / "data.mdb"
        file.write_bytes(file.read_bytes().replace(b"it is better", b"it is bettes"))

    done = offline_cli("verify", "--data-dir", tmp_path / "data", "--json")

    words = {
        "counted beyond": "ledger: it has seen corrections that examples never had",
        "chain": "ledger: the audit log's chain is broken at entry 1",
        "record": "ledger: audit-v1: record 1 is damaged",
    }
    assert done.code == 1
    [problem] = done.json()["problems"]
    assert words[what] in problem


def test_verify_outlives_a_file_that_ends_its_reader(offline_cli: CommandLine, tmp_path: Path) -> None:
    """A file that is cut short ends the process that reads it; verify says so, and goes on with the other store."""
    core = Core(str(tmp_path / "data"))
    for start in range(0, 2_000, 500):
        batch = [events.scam_message(f"e-{number}", number) for number in range(start, start + 500)]
        core.ingest(events.request(batch).SerializeToString())
    core.close()
    Ledger(tmp_path / "data" / "ledger").close()
    file = tmp_path / "data" / "examples" / "data.mdb"
    with file.open("r+b") as data:
        data.truncate(file.stat().st_size // 8192 * 4096)

    done = offline_cli("verify", "--data-dir", tmp_path / "data", "--json")

    assert done.code == 1
    [problem] = done.json()["problems"]
    assert problem.startswith("examples: ")


def test_verify_repairs_what_it_named(offline_cli: CommandLine, tmp_path: Path) -> None:
    """A damaged example is named, dropped, and not named again."""
    core = Core(str(tmp_path / "data"))
    core.ingest(events.request([events.scam_message(f"e-{n}", n) for n in range(9)]).SerializeToString())
    core.close()
    file = tmp_path / "data" / "examples" / "data.mdb"
    text = events.message(3).encode()
    file.write_bytes(file.read_bytes().replace(text, text[::-1]))
    named = offline_cli("verify", "--data-dir", tmp_path / "data", "--json")
    repaired = offline_cli("verify", "--data-dir", tmp_path / "data", "--repair", "--json")
    after = offline_cli("verify", "--data-dir", tmp_path / "data", "--json")

    assert (named.code, repaired.code, after.code) == (1, 1, 0)
    assert named.json() == repaired.json()
    assert "example scam_detection-4 is damaged" in named.json()["problems"][0]


def test_a_damaged_store_is_told_at_the_start(start_server: ServerStarter, data_dir: Path) -> None:
    """The server starts, logs how many records are damaged and the remedy, and shows it as a metric."""
    core = Core(str(data_dir))
    batch = [events.scam_message(f"e-{number}", number) for number in range(50)]
    for event in batch:
        event.ClearField("evidence")
        event.scam_detected.analysis.confidence = 0.2
    core.ingest(events.request(batch).SerializeToString())
    pseudonym = bytes.fromhex(core.pseudonym("event", "e-20"))
    core.close()
    file = data_dir / "examples" / "data.mdb"
    assert pseudonym in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(pseudonym, pseudonym[::-1]))

    server = start_server("--dashboard", "127.0.0.1:0")

    [line] = [line for line in server.log() if line["event"] == "store_damaged"]
    assert (line["records"], line["level"]) == (1, "error")
    assert "becas-ft verify" in line["remedy"]
    assert "becas_core_damaged_records 1.0" in server.metrics()
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        receipts = stub.Ingest(events.request(batch), timeout=60).receipts
    again = [receipt.event_id for receipt in receipts if receipt.status == ingest_pb2.STATUS_REJECTED]
    assert again == ["e-20"]
    assert server.stop() == 0
