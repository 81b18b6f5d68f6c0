"""kill -9 under concurrent load, again and again: nothing acknowledged is lost, nothing is counted twice."""

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from becas.ft.v1 import ingest_pb2, ingest_service_pb2_grpc
from helpers import kept
from helpers.server import ServerProcess

CYCLES = int(os.environ.get("BECAS_KILL_CYCLES", "10"))
LONG_CYCLES = int(os.environ.get("BECAS_KILL_LONG_CYCLES", "2000"))
MINUTES = float(os.environ.get("BECAS_KILL_MINUTES", "0"))
SEED = int(os.environ.get("BECAS_KILL_SEED", "20261122"))
CLIENTS = 8
LARGEST_BATCH = 500
# Then a fresh store, since all of it is looked at after every kill.
CYCLES_OF_A_STORE = 15
# What a full category gives up is not lost, and a quick machine sends more than the 50,000 that fit by default.
ROOMY = {"BECAS_FT_STORE__CAPACITY": "10000000"}


@dataclass
class Client:
    """Sends batches until the server is gone; repeats what was not acknowledged.

    Attributes:
        number: makes its ids its own.
        sent: every batch.
        acknowledged: batches with receipts.
        unanswered: on its way when the server went.
        unexpected: receipts that must not be.
    """

    number: int
    random: random.Random
    sent: list[kept.Batch] = field(default_factory=list)
    acknowledged: set[kept.Batch] = field(default_factory=set)
    unanswered: kept.Batch | None = None
    unexpected: list[str] = field(default_factory=list)

    def run(self, server: ServerProcess) -> None:
        """One life of the server."""
        with server.channel(use_local_subchannel_pool=1) as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            while True:
                repeated = self.unanswered is not None
                batch = self.unanswered = self.unanswered or self._next()
                try:
                    receipts = stub.Ingest(batch.request(), timeout=60).receipts
                except grpc.RpcError:
                    return
                self._check(batch, list(receipts), repeated=repeated)
                self.acknowledged.add(batch)
                self.unanswered = None

    def _next(self) -> kept.Batch:
        # Mostly small batches, so that many calls are on their way, and now and then a large one.
        size = min(LARGEST_BATCH, 1 + int(LARGEST_BATCH ** self.random.random()))
        start = self.sent[-1].end if self.sent else 0
        self.sent.append(kept.Batch(self.number, start, start + size))
        return self.sent[-1]

    def _check(self, batch: kept.Batch, receipts: list[ingest_pb2.Receipt], *, repeated: bool) -> None:
        statuses = {receipt.status for receipt in receipts}
        if [receipt.event_id for receipt in receipts] != batch.event_ids:
            self.unexpected.append("receipts are not those of the batch")
        # It was taken whole or not at all, so that a repetition is all new or all known.
        known = repeated and statuses == {ingest_pb2.STATUS_DUPLICATE}
        if statuses != {ingest_pb2.STATUS_ACCEPTED} and not known:
            self.unexpected.append(f"statuses {statuses} in a batch that was {'' if repeated else 'not '}repeated")


def killed(folder: Path, seed: int) -> Iterator[list[str]]:
    """Kills a server under load without end; what is wrong after each kill."""
    chance = random.Random(seed)
    clients = [Client(number, random.Random(seed + number)) for number in range(CLIENTS)]
    data_dir = folder / "data"
    while True:
        server = ServerProcess(data_dir, folder / "server", variables=ROOMY).start()
        threads = [threading.Thread(target=client.run, args=(server,)) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(0.05 + chance.random() * 0.35)
        server.kill()
        for thread in threads:
            thread.join()
        found = [problem for client in clients for problem in client.unexpected]
        sent = [batch for client in clients for batch in client.sent]
        acknowledged = set().union(*(client.acknowledged for client in clients))
        assert acknowledged
        yield found + kept.problems(data_dir, sent, acknowledged)


def kill(folder: Path, cycles: int, minutes: float = 0.0) -> int:
    """So many kills, or as many as fit in the time; how many that were."""
    started, done = time.monotonic(), 0
    while time.monotonic() - started < minutes * 60 if minutes else done < cycles:
        seed = SEED + done
        for number, found in enumerate(killed(folder / str(done), seed), start=1):
            assert found == [], f"kill {number} with BECAS_KILL_SEED={seed}"
            done += 1
            if number == CYCLES_OF_A_STORE or (done == cycles and not minutes):
                break
    return done


@pytest.mark.timeout(60 + 30 * CYCLES)
def test_kill_under_load(tmp_path: Path) -> None:
    """After every kill -9 each acknowledged event is there exactly once, and the counters equal a recount."""
    assert kill(tmp_path, CYCLES) == CYCLES


@pytest.mark.long
@pytest.mark.timeout(24 * 3600)
def test_many_kills_under_load(tmp_path: Path) -> None:
    """The same two thousand times, or for as many minutes as BECAS_KILL_MINUTES says."""
    done = kill(tmp_path, LONG_CYCLES, MINUTES)
    sys.stderr.write(f"{done} kills of a server\n")
