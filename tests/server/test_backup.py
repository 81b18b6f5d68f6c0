"""Backups of a server that works, and what they are restored to."""

import asyncio
import contextlib
import itertools
import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import grpc
import pytest

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import (
    backup_pb2,
    dataset_pb2,
    dataset_service_pb2_grpc,
    ingest_pb2,
    ingest_service_pb2_grpc,
)
from becas_ft._core import Core
from becas_ft.backup_folder import restore, write_backup
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import PAIRS, REQUESTS
from becas_ft.server import backup, truths
from becas_ft.shadow import truth
from becas_ft.soundness import problems
from helpers import events
from helpers.rpc import code_of
from helpers.served import SCAM, json_label
from helpers.server import CommandLine, ServerProcess, ServerStarter

WRITERS = 4
BATCH = 5
LARGEST_REQUEST = 5_000


@dataclass
class Writers:
    """Callers that ingest until they are stopped.

    Attributes:
        acknowledged: ids with a receipt.
    """

    server: ServerProcess
    acknowledged: set[str] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _write(self, number: int) -> None:
        with self.server.channel(use_local_subchannel_pool=1) as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            for turn in itertools.count():
                if self.stopped.is_set():
                    return
                names = [f"{number}.{turn}.{part}" for part in range(BATCH)]
                batch = [events.scam_message(name, seed_of(name)) for name in names]
                stub.Ingest(events.request(batch), timeout=60)
                self.acknowledged.update(names)


def seed_of(name: str) -> int:
    """One for each name."""
    writer, turn, part = (int(number) for number in name.split("."))
    return (writer * 1_000_000 + turn) * BATCH + part


def test_backup_under_four_writers(
    cli: CommandLine, server: ServerProcess, start_server: ServerStarter, tmp_path: Path, data_dir: Path
) -> None:
    """What was acknowledged before a backup began is in it, batches are in it whole, and the restored server works."""
    taken = []
    with Writers(server) as writers:
        for number in range(2):
            time.sleep(0.5)
            before = set(writers.acknowledged)
            done = cli("backup", tmp_path / f"backup-{number}", "--json")
            assert done.code == 0, done.stderr
            taken.append((tmp_path / f"backup-{number}", before, len(writers.acknowledged)))
    assert server.stop() == 0

    for number, (folder, before, after) in enumerate(taken):
        restored = tmp_path / f"restored-{number}"
        done = cli("restore", folder, "--data-dir", restored, "--key", data_dir / "becas.key", "--json")
        assert (done.code, done.json()["problems"]) == (0, [])
        again = start_server(data=restored)
        with again.channel() as channel:
            stats = dataset_service_pb2_grpc.DatasetServiceStub(channel)
            total = stats.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=60).total_examples
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            batch = [events.scam_message(name, seed_of(name)) for name in sorted(before)]
            receipts = [
                receipt
                for start in range(0, len(batch), LARGEST_REQUEST)
                for receipt in stub.Ingest(events.request(batch[start : start + LARGEST_REQUEST]), timeout=120).receipts
            ]
        assert len(before) > 2 * WRITERS * BATCH
        # Calls on their way when the backup was counted may be in it too.
        assert len(before) <= total <= after + WRITERS * BATCH
        assert total % BATCH == 0
        assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_DUPLICATE}
        assert again.stop() == 0


def test_the_key_is_left_out_unless_asked_for(
    cli: CommandLine, server: ServerProcess, tmp_path: Path, data_dir: Path
) -> None:
    """Without it nothing can be restored, and both commands say so; with it, the file is its owner's alone."""
    fill(server)
    key = (data_dir / "becas.key").read_bytes()
    without, with_key = tmp_path / "without", tmp_path / "with"

    said = cli("backup", without).stdout
    cli("backup", with_key, "--with-key")

    assert "without the key" in said
    assert str(data_dir / "becas.key") in said
    assert [path for path in without.rglob("*") if path.is_file() and key.strip() in path.read_bytes()] == []
    assert (with_key / "becas.key").read_bytes() == key
    assert (with_key / "becas.key").stat().st_mode & 0o777 == 0o600
    assert with_key.stat().st_mode & 0o777 == 0o700
    refused = cli("restore", without, "--data-dir", tmp_path / "restored")
    assert (refused.code, "--key" in refused.stderr) == (1, True)
    assert not (tmp_path / "restored").exists()
    (tmp_path / "other.key").write_text("0" * 64)
    wrong = cli("restore", without, "--data-dir", tmp_path / "wrong", "--key", tmp_path / "other.key")
    assert (wrong.code, "another key" in wrong.stdout) == (1, True)
    right = cli("restore", with_key, "--data-dir", tmp_path / "restored")
    assert (right.code, "sound" in right.stdout) == (0, True)
    assert (tmp_path / "restored" / "becas.key").stat().st_mode & 0o777 == 0o600


def test_damage_of_a_backup_is_named(cli: CommandLine, server: ServerProcess, tmp_path: Path) -> None:
    """A changed, a cut and a missing file are named, and nothing is restored; nor is anything without a manifest."""
    fill(server)
    folder = tmp_path / "backup"
    cli("backup", folder, "--with-key")
    manifest = json.loads((folder / "manifest.json").read_text())
    paths = [file["path"] for file in manifest["files"]]
    assert {"examples/data.mdb", "ledger/data.mdb", "becas.key"} <= set(paths)

    def damage(path: Path, how: str) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        if how == "missing":
            path.unlink()
        else:
            path.write_bytes(data if how == "digest" else data[:-1])

    for number, (name, how, words) in enumerate([(path, how, words) for path in paths for how, words in HOW.items()]):
        damaged = tmp_path / f"damaged-{number}"
        shutil.copytree(folder, damaged)
        damage(damaged / name, how)
        done = cli("restore", damaged, "--data-dir", tmp_path / "restored")
        assert (done.code, f"{name}: " in done.stderr, words in done.stderr) == (1, True, True), done.stderr
        assert not (tmp_path / "restored").exists()
    manifest["files"][0]["path"] = "../outside"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "outside the backup" in cli("restore", folder, "--data-dir", tmp_path / "restored").stderr
    (folder / "manifest.json").unlink()
    assert "is no backup" in cli("restore", folder, "--data-dir", tmp_path / "restored").stderr


HOW = {"digest": "its digest is another", "cut": " bytes, not ", "missing": "missing"}


def test_neither_command_writes_over_anything(cli: CommandLine, tmp_path: Path, data_dir: Path) -> None:
    """A folder with something in it stays as it is."""
    cli("backup", tmp_path / "backup", "--with-key")
    for target in (tmp_path / "backup", data_dir):
        before = sorted(path for path in target.rglob("*"))
        backed_up, restored = cli("backup", target), cli("restore", tmp_path / "backup", "--data-dir", target)

        assert (backed_up.code, restored.code) == (1, 1)
        assert "is not empty" in backed_up.stderr
        assert "is not empty" in restored.stderr
        assert sorted(path for path in target.rglob("*")) == before


def test_one_backup_at_a_time(start_server: ServerStarter, data_dir: Path) -> None:
    """A second one is ABORTED; once the first one's caller has gone away, the next is taken, and nothing is left."""
    server = start_server()
    fill(server, 3_000)
    with server.channel() as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        first = stub.Backup(backup_pb2.BackupRequest(), timeout=120)
        assert next(iter(first)).path == "examples/data.mdb"
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Backup(backup_pb2.BackupRequest(), timeout=60))
        assert code_of(caught.value) is grpc.StatusCode.ABORTED
        cast("grpc.Call", first).cancel()
        [*_, last] = _once_it_is_free(stub)
    assert last.manifest.files
    assert not (data_dir / ".backup").exists()
    assert server.stop() == 0


def _once_it_is_free(stub: dataset_service_pb2_grpc.DatasetServiceStub) -> list[backup_pb2.BackupResponse]:
    """A backup, as soon as the one before has ended."""
    for _ in range(600):
        with contextlib.suppress(grpc.RpcError):
            return list(stub.Backup(backup_pb2.BackupRequest(), timeout=60))
        time.sleep(0.1)
    raise AssertionError("the backup before does not end")


def test_a_backup_holds_nothing_that_was_replaced(
    offline_cli: CommandLine, start_server: ServerStarter, tmp_path: Path
) -> None:
    """What lies on free pages of the stores is not copied."""
    server = start_server(BECAS_FT_STORE__CAPACITY="50")
    offline_cli.server = server.address
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        for number in range(100):
            event = events.scam_message(f"worse-{number}", number)
            event.scam_detected.text = f"quagmire {number} " * 300
            event.evidence.human_validated = False
            stub.Ingest(events.request([event]), timeout=60)
        fill(server, 60)
    done = offline_cli("backup", tmp_path / "backup")

    assert done.code == 0, done.stderr
    assert b"quagmire" in (server.data_dir / "examples" / "data.mdb").read_bytes()
    assert b"quagmire" not in (tmp_path / "backup" / "examples" / "data.mdb").read_bytes()


class WatchedLedger(Ledger):
    """A ledger that says when it was copied."""

    copied: Callable[[], None] = staticmethod(lambda: None)

    def copy_to(self, folder: Path) -> None:
        """Copy, and say so."""
        super().copy_to(folder)
        self.copied()


async def test_a_backup_never_falls_between_the_two_stores(tmp_path: Path) -> None:
    """A correction that becomes a truth while a backup is taken is still to come after a restore, and comes once."""
    core, ledger = Core(str(tmp_path / "data")), WatchedLedger(tmp_path / "data" / "ledger")
    request = core.pseudonym("event", "request")
    ledger.write(partial(_ask, request=request))
    core.ingest(events.request([events.correction("correction", "request", 1)]).SerializeToString())
    application: Any = _application(tmp_path / "data", core, ledger)
    loop = asyncio.get_running_loop()
    consuming: list[asyncio.Task[int]] = []

    def consume() -> None:
        loop.call_soon_threadsafe(lambda: consuming.append(loop.create_task(truths.take(application))))
        # Long enough for the correction to be consumed, if nothing held that back.
        time.sleep(1.0)

    ledger.copied = consume
    pieces = [piece async for piece in backup.take(application)]
    assert [await one for one in consuming] == [1]
    assert core.outbox(0, 10) == []
    core.close()
    ledger.close()
    write_backup(tmp_path / "backup", pieces, with_key=True)
    restore(tmp_path / "backup", tmp_path / "restored", None)

    core, ledger = Core(str(tmp_path / "restored")), WatchedLedger(tmp_path / "restored" / "ledger")
    assert _truth(ledger, request) == ""
    assert truth.consume(ledger, core) == 1
    assert _truth(ledger, request) == "false"
    core.close()
    ledger.close()
    assert problems(tmp_path / "restored") == []


def _ask(transaction: WriteTransaction, request: str) -> None:
    answer = records_pb2.Answer(model="a", output=json_label(is_scam=True), label="true")
    asked = records_pb2.ShadowRequest(category=SCAM, trial_id="trial", answer=answer)
    transaction.put(REQUESTS, request, asked)


def _truth(ledger: Ledger, request: str) -> str:
    pair = ledger.read(lambda transaction: transaction.get(PAIRS, f"trial/{request}"))
    return pair.truth if pair else ""


def _application(data_dir: Path, core: Core, ledger: Ledger) -> SimpleNamespace:
    """What a backup and the taking of truths ask of an application."""

    async def run(call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever it gives
        return await asyncio.to_thread(call, *arguments, **more)

    async def flush() -> None:
        """Nobody asks."""

    return SimpleNamespace(
        config=SimpleNamespace(store=SimpleNamespace(data_dir=data_dir, key_path="")),
        core=core,
        ledger=ledger,
        tester=SimpleNamespace(flush=flush),
        read=run,
        write=run,
        both_stores=asyncio.Lock(),
        backing_up=asyncio.Lock(),
    )


def fill(server: ServerProcess, count: int = 200) -> None:
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        for start in range(0, count, 500):
            numbers = range(start, min(start + 500, count))
            batch = [events.scam_message(f"fill-{number}", 10_000_000 + number) for number in numbers]
            stub.Ingest(events.request(batch), timeout=60)
