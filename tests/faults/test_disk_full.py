"""A full disk: RESOURCE_EXHAUSTED, nothing acknowledged that is not there, reads go on, no restart is needed."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, ingest_pb2, ingest_service_pb2_grpc
from helpers import faults, kept
from helpers.rpc import details
from helpers.server import ServerProcess

FILLS = int(os.environ.get("BECAS_DISK_FILLS", "20"))
DISK_BYTES = 48 << 20


@dataclass
class Disk:
    """A disk that can be filled.

    Attributes:
        folder: on it.
        fill: leaves next to nothing.
        free: gives space back.
        variables: for processes that use it.
    """

    folder: Path
    fill: Callable[[int], None]
    free: Callable[[], None]
    variables: dict[str, str]


@pytest.fixture(params=["tmpfs", "preloaded"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A small filesystem in memory where it may be mounted; and everywhere a library that plays a full one."""
    if request.param == "preloaded":
        folder, full = tmp_path / "disk", tmp_path / "full"
        folder.mkdir()
        preload = faults.Preload(faults.library(tmp_path), folder, full=full)
        yield Disk(folder, lambda _: full.touch(), full.unlink, preload.variables())
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "becas-test", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    ballast = folder / "ballast"

    def fill(left: int) -> None:
        with ballast.open("wb") as file:
            for _ in range(100):
                space = os.statvfs(folder)
                try:
                    os.posix_fallocate(file.fileno(), 0, max(1, space.f_bavail * space.f_frsize - left))
                except OSError as error:
                    # The server took some of it meanwhile.
                    if error.errno != errno.ENOSPC:
                        raise
                else:
                    return
        raise AssertionError("the disk cannot be filled")

    try:
        yield Disk(folder, fill, ballast.unlink, {})
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.timeout(120 + 20 * FILLS)
def test_a_full_disk_refuses_writes_and_nothing_else(disk: Disk, tmp_path: Path) -> None:
    """Filled and freed again and again under one server."""
    data_dir = disk.folder / "data"
    server = ServerProcess(data_dir, tmp_path / "server", variables=disk.variables).start()
    acknowledged: list[kept.Batch] = []
    number = 0
    try:
        with server.channel() as channel:
            ingest = ingest_service_pb2_grpc.IngestServiceStub(channel)
            dataset = dataset_service_pb2_grpc.DatasetServiceStub(channel)
            for fill in range(FILLS):
                # An odd number of pages is left, so that writes are cut short at many places.
                disk.fill((1 + 13 * fill % 50) << 12)
                while True:
                    batch = kept.Batch(1, number, number + 20)
                    try:
                        ingest.Ingest(batch.request(), timeout=30)
                    except grpc.RpcError as error:
                        refused = details(error)
                        break
                    acknowledged.append(batch)
                    number += 20
                assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL"), fill
                assert refused.domain == "becas.ft.v1"
                _erase_on_a_full_disk(dataset)
                stats = dataset.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=30)
                assert stats.total_examples == number
                page = dataset.ListExamples(dataset_pb2.ListExamplesRequest(page_size=5), timeout=30)
                assert len(page.examples) == min(5, number)

                disk.free()
                receipts = ingest.Ingest(batch.request(), timeout=30).receipts
                assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}
                acknowledged.append(batch)
                number += 20
        assert server.stop() == 0
    finally:
        server.kill()

    assert kept.problems(data_dir, acknowledged, set(acknowledged)) == []


def _erase_on_a_full_disk(dataset: dataset_service_pb2_grpc.DatasetServiceStub) -> None:
    """An erasure writes the file anew: it is refused too, or there was still room."""
    try:
        dataset.Forget(dataset_pb2.ForgetRequest(user_id="911111111111111111"), timeout=30)
    except grpc.RpcError as error:
        refused = details(error)
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL")
