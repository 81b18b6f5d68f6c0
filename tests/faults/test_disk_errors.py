"""The k-th write or sync fails: what was acknowledged stays, and nothing more is until the files are opened again."""

import ctypes
import errno
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, ingest_service_pb2_grpc, model_pb2
from becas_ft import errors
from becas_ft._core import Core
from becas_ft.ledger import Ledger, LedgerDiskError, WriteTransaction
from becas_ft.ledger.schema import AUDIT
from helpers import faults, kept
from helpers.rpc import details
from helpers.server import ServerProcess

PLACES = int(os.environ.get("BECAS_DISK_ERRORS", "50"))


def run(folder: Path, call: str) -> list[str]:
    """A function of this file, in a process with the library loaded; the problems that it prints."""
    preload = faults.Preload(faults.library(folder), folder / "watched")
    preload.root.mkdir()
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", f"import test_disk_errors; test_disk_errors.{call}"],
        env=os.environ | preload.variables() | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60 + 2 * PLACES,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def fail_at(place: int) -> None:
    """Arm the library that this process was started with; 0: nothing fails any more."""
    ctypes.CDLL(None).becas_fault_fail(ctypes.c_long(place), errno.EIO)


def fail_store(root: str, places: int) -> None:
    """A store for each place; prints what went wrong."""
    found: list[str] = []
    for place in range(1, places + 1):
        folder = Path(root) / str(place)
        sent: list[kept.Batch] = []
        acknowledged: set[kept.Batch] = set()
        fail_at(place)
        try:
            core = Core(str(folder))
        except (errors.DiskError, errors.KeyFileError):
            # Before there was a store: no promise was made.
            fail_at(0)
        else:
            found += [f"place {place}: {problem}" for problem in _fail_calls(core, place, sent, acknowledged)]
            core.close()
            fail_at(0)
        found += [f"place {place}: {problem}" for problem in kept.problems(folder, sent, acknowledged)]
        core = Core(str(folder))
        core.ingest(kept.Batch(9, 0, 1).request().SerializeToString())
        core.close()
    sys.stdout.write(json.dumps(found))


def _fail_calls(core: Core, place: int, sent: list[kept.Batch], acknowledged: set[kept.Batch]) -> Iterator[str]:
    chance = random.Random(place)
    calls: list[Callable[[], object]] = [
        partial(core.forget, "911111111111111111"),
        partial(core.set_consent, "800000000000000777", granted=False),
        core.expire,
        partial(core.outbox_trim, 10),
    ]
    for number in itertools.count():
        try:
            if chance.random() < 0.3:
                chance.choice(calls)()
                continue
            batch = kept.Batch(1, number * 10, number * 10 + 1 + chance.randrange(10))
            sent.append(batch)
            core.ingest(batch.request().SerializeToString())
            acknowledged.add(batch)
        except errors.DiskError:
            break
    fail_at(0)
    # The disk is well again, as far as the process can see; what the kernel dropped before, it cannot.
    batch = kept.Batch(2, 0, 3)
    sent.append(batch)
    calls.append(partial(core.ingest, batch.request().SerializeToString()))
    for call in calls:
        try:
            call()
        except errors.DiskError as error:
            if "opened again" not in str(error):
                yield f"does not say what helps: {error}"
        else:
            yield f"{call} was done after a failed write"
    try:
        stats = dataset_pb2.GetTrainingStatsResponse.FromString(core.stats())
    except errors.DiskError:
        # LMDB reads no more where it was the meta page that could not be written.
        return
    if not stats.total_examples and acknowledged:
        yield "what was acknowledged cannot be read"


def fail_ledger(root: str, places: int) -> None:
    """A ledger for each place; prints what went wrong."""
    found: list[str] = []
    for place in range(1, places + 1):
        folder = Path(root) / str(place)
        written: list[int] = []
        fail_at(place)
        try:
            ledger = Ledger(folder)
        except Exception:  # noqa: BLE001 - before there was a ledger: no promise was made
            fail_at(0)
        else:
            chance = random.Random(place)
            try:
                while True:
                    if chance.random() < 0.2:
                        ledger.compact()
                    written.append(ledger.write(_append))
            except LedgerDiskError:
                fail_at(0)
            try:
                ledger.write(_append)
                found.append(f"place {place}: written after a failed write")
            except LedgerDiskError:
                pass
            ledger.close()
        kept_numbers = {number for number, _ in Ledger(folder).read(lambda transaction: list(transaction.scan(AUDIT)))}
        if not kept_numbers >= set(written):
            found.append(f"place {place}: {set(written) - kept_numbers} lost")
    sys.stdout.write(json.dumps(found))


def _append(transaction: WriteTransaction) -> int:
    number = transaction.next_number(AUDIT)
    transaction.put(AUDIT, number, model_pb2.AuditEntry(action="test", reason="x" * 2000))
    return number


@pytest.mark.timeout(120 + 2 * PLACES)
def test_after_a_failed_write_the_store_takes_nothing_more(tmp_path: Path) -> None:
    """For every place of the error: no acknowledgement after it, reads go on, all acknowledged is there."""
    assert run(tmp_path, f"fail_store({str(tmp_path / 'watched')!r}, {PLACES})") == []


@pytest.mark.timeout(120 + 2 * PLACES)
def test_after_a_failed_write_the_ledger_takes_nothing_more(tmp_path: Path) -> None:
    """The same of the ledger."""
    assert run(tmp_path, f"fail_ledger({str(tmp_path / 'watched')!r}, {PLACES})") == []


def test_a_server_whose_disk_fails_says_so(tmp_path: Path) -> None:
    """UNAVAILABLE with DISK_FAILED, NOT_SERVING, reads answered; after a restart it goes on."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    preload = faults.Preload(faults.library(tmp_path), data_dir, fail_at=120)
    server = ServerProcess(data_dir, tmp_path / "server", variables=preload.variables()).start()
    sent: list[kept.Batch] = []
    refusals = []
    try:
        with server.channel() as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            for number in range(200):
                sent.append(kept.Batch(1, number * 5, number * 5 + 5))
                try:
                    stub.Ingest(sent[-1].request(), timeout=30)
                except grpc.RpcError as error:
                    refusals.append(details(error))
                if len(refusals) == 2:
                    break
            checking: Any = health_pb2_grpc.HealthStub(channel)
            health = checking.Check(health_pb2.HealthCheckRequest(), timeout=30)
            stats = dataset_service_pb2_grpc.DatasetServiceStub(channel).GetTrainingStats(
                dataset_pb2.GetTrainingStatsRequest(), timeout=30
            )
    finally:
        server.kill()
    again = ServerProcess(data_dir, tmp_path / "again").start()
    with again.channel() as channel:
        receipts = ingest_service_pb2_grpc.IngestServiceStub(channel).Ingest(sent[-1].request(), timeout=30).receipts
    assert again.stop() == 0

    assert [(refused.code, refused.reason) for refused in refusals] == [
        (grpc.StatusCode.UNAVAILABLE, "DISK_FAILED")
    ] * 2
    assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert stats.total_examples == 5 * len(sent[:-2])
    assert len(receipts) == 5
    assert kept.problems(data_dir, sent, {*sent[:-2], sent[-1]}) == []
