"""One seed, one file: over restarts, over numbers of threads, over stores that were filled alike."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, ingest_service_pb2_grpc
from helpers import events
from helpers.served import SCAM
from helpers.server import ServerProcess, ServerStarter

SEEDS = [20, pytest.param(1_000, marks=pytest.mark.timeout(3_600))]
EXAMPLES = 1_500
# What may differ: who waits for commits, who reads, how events are grouped into commits.
FEW = {"INGEST_THREADS": "1", "READER_THREADS": "1"}
MANY = {"INGEST_THREADS": "32", "READER_THREADS": "8"}


def start(start_server: ServerStarter, data: Path, threads: dict[str, str], commit_events: int) -> ServerProcess:
    server = {f"BECAS_FT_SERVER__{name}": value for name, value in threads.items()}
    return start_server(data=data, BECAS_FT_STORE__COMMIT_EVENTS=str(commit_events), **server)


def fill(server: ServerProcess, batch: int) -> None:
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        for first in range(0, EXAMPLES, batch):
            numbers = range(first, min(first + batch, EXAMPLES))
            stub.Ingest(events.request([events.scam_message(f"e-{number}", number) for number in numbers]), timeout=60)


def digests(server: ServerProcess, seeds: int, at_once: int) -> list[str]:
    """SHA-256 of the data of an export with each seed."""
    with server.channel() as channel, ThreadPoolExecutor(at_once) as pool:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)

        def export(seed: int) -> str:
            digest = hashlib.sha256()
            # Not all of a group is taken, so that the seed matters.
            request = dataset_pb2.ExportRequest(category=SCAM, max_examples=400, seed=seed)
            for piece in stub.Export(request, timeout=120):
                digest.update(piece.data)
            return digest.hexdigest()

        return list(pool.map(export, range(seeds)))


@pytest.mark.long
@pytest.mark.parametrize("seeds", SEEDS)
def test_a_seed_gives_the_same_bytes(start_server: ServerStarter, tmp_path: Path, seeds: int) -> None:
    """Each seed the same after a restart, by any threads, in a store filled by other threads; no two seeds alike."""
    first = start(start_server, tmp_path / "data", FEW, 5_000)
    # The same key: else pseudonyms differ.
    (tmp_path / "other").mkdir(mode=0o700)
    shutil.copy(tmp_path / "data" / "becas.key", tmp_path / "other" / "becas.key")
    fill(first, 500)
    expected = digests(first, seeds, 1)
    assert first.stop() == 0

    again = start(start_server, tmp_path / "data", MANY, 5_000)
    assert digests(again, seeds, 4) == expected
    assert again.stop() == 0

    other = start(start_server, tmp_path / "other", MANY, 100)
    fill(other, 70)
    assert digests(other, seeds, 4) == expected
    assert other.stop() == 0
    assert len(set(expected)) == seeds
