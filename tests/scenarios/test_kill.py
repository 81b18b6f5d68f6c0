"""kill -9 under concurrent load, again and again: nothing acknowledged is lost, nothing is counted twice."""

import os
import random
import threading
import time
from dataclasses import dataclass, field

import grpc
import pytest

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, ingest_pb2, ingest_service_pb2_grpc
from becas_ft._core import Core
from helpers import events
from helpers.server import ServerProcess, ServerStarter

CYCLES = int(os.environ.get("BECAS_KILL_CYCLES", "100"))
SEED = int(os.environ.get("BECAS_KILL_SEED", "20261122"))
CLIENTS = 8
LARGEST_BATCH = 500
# The store forgets none of what this test sends.
SETTINGS = {"BECAS_FT_STORE__CAPACITY": "10000000"}


@dataclass
class Client:
    """Sends batches until the server is gone; repeats what was not acknowledged.

    Attributes:
        number: makes its ids its own.
        acknowledged: event ids with a receipt.
        unanswered: the batch that was on its way when the server went.
    """

    number: int
    random: random.Random
    acknowledged: set[str] = field(default_factory=set)
    unanswered: list[tuple[str, int]] = field(default_factory=list)
    sent: int = 0
    unexpected: list[str] = field(default_factory=list)

    def run(self, server: ServerProcess) -> None:
        """One life of the server."""
        with server.channel(use_local_subchannel_pool=1) as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            while True:
                repeated = bool(self.unanswered)
                batch = self.unanswered or self._next()
                self.unanswered = batch
                request = events.request([events.scam_message(event_id, seed) for event_id, seed in batch])
                try:
                    receipts = stub.Ingest(request, timeout=60).receipts
                except grpc.RpcError:
                    return
                self._check(batch, list(receipts), repeated=repeated)
                self.acknowledged.update(event_id for event_id, _ in batch)
                self.unanswered = []

    def _next(self) -> list[tuple[str, int]]:
        # Mostly small batches, so that many calls are on their way, and now and then a large one.
        size = 1 + int(LARGEST_BATCH ** self.random.random())
        start = self.sent
        self.sent += min(size, LARGEST_BATCH)
        return [(f"{self.number}-{n}", self.number * 10**8 + n) for n in range(start, self.sent)]

    def _check(self, batch: list[tuple[str, int]], receipts: list[ingest_pb2.Receipt], *, repeated: bool) -> None:
        statuses = {receipt.status for receipt in receipts}
        allowed = {ingest_pb2.STATUS_ACCEPTED} | ({ingest_pb2.STATUS_DUPLICATE} if repeated else set())
        if [receipt.event_id for receipt in receipts] != [event_id for event_id, _ in batch]:
            self.unexpected.append("receipts are not those of the batch")
        if not statuses <= allowed:
            self.unexpected.append(f"statuses {statuses} in a batch that was {'' if repeated else 'not '}repeated")


@pytest.mark.timeout(60 + 30 * CYCLES)
def test_kill_under_load(start_server: ServerStarter) -> None:
    """After every kill -9 each acknowledged event is there exactly once, and the counters equal a recount."""
    chance = random.Random(SEED)
    clients = [Client(number, random.Random(SEED + number)) for number in range(CLIENTS)]
    before = 0
    for cycle in range(CYCLES):
        server = start_server(**SETTINGS)
        stored = total(server)
        acknowledged = sum(len(client.acknowledged) for client in clients)
        on_their_way = sum(len(client.unanswered) for client in clients)
        assert acknowledged <= stored <= acknowledged + on_their_way, f"cycle {cycle}, seed {SEED}"
        assert stored >= before

        threads = [threading.Thread(target=client.run, args=(server,)) for client in clients]
        for thread in threads:
            thread.start()
        time.sleep(0.05 + chance.random() * 0.35)
        server.kill()
        for thread in threads:
            thread.join()
        before = acknowledged
        assert [client.unexpected for client in clients] == [[]] * CLIENTS, f"cycle {cycle}, seed {SEED}"

    server = start_server(**SETTINGS)
    settle(server, clients)
    expected = sum(len(client.acknowledged) for client in clients)
    assert expected > CYCLES
    assert total(server) == expected
    assert server.stop() == 0
    core = Core(str(server.data_dir))
    counted, recounted, problems = core.stats(), core.recount(), core.verify()
    core.close()
    assert counted == recounted
    assert problems == []


def total(server: ServerProcess) -> int:
    """Stored examples, by the counters."""
    with server.channel() as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        return int(stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=60).total_examples)


def settle(server: ServerProcess, clients: list[Client]) -> None:
    """Send everything once more: what was acknowledged is DUPLICATE, the rest is taken or was before."""
    with server.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        for client in clients:
            unanswered = {event_id for event_id, _ in client.unanswered}
            everything = [(f"{client.number}-{n}", client.number * 10**8 + n) for n in range(client.sent)]
            for start in range(0, len(everything), 1000):
                part = everything[start : start + 1000]
                request = events.request([events.scam_message(event_id, seed) for event_id, seed in part])
                for receipt in stub.Ingest(request, timeout=120).receipts:
                    new = receipt.status == ingest_pb2.STATUS_ACCEPTED
                    assert receipt.status in {ingest_pb2.STATUS_ACCEPTED, ingest_pb2.STATUS_DUPLICATE}
                    assert not (new and receipt.event_id not in unanswered), "an acknowledged event was lost"
            client.acknowledged = {event_id for event_id, _ in everything}
