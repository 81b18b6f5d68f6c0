"""SIGTERM under load, again and again: told first, in time, with nothing lost."""

import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, ingest_pb2, ingest_service_pb2_grpc
from helpers import events
from helpers.rpc import code_of
from helpers.server import ServerProcess, ServerStarter

CYCLES = int(os.environ.get("BECAS_DRAIN_CYCLES", "50"))
CALLERS = 4
GRACE_SECONDS = 20.0
SETTINGS = {"BECAS_FT_STORE__CAPACITY": "10000000", "BECAS_FT_SERVER__DRAIN_SECONDS": str(GRACE_SECONDS)}


@dataclass
class Life:
    """One life of a server under load.

    Attributes:
        name: of its events.
        acknowledged: ids with a receipt.
        refusals: when a call was refused, and with which code.
        not_serving: when the health service said so; 0 where it never did.
    """

    server: ServerProcess
    name: str
    acknowledged: set[str] = field(default_factory=set)
    refusals: list[tuple[float, grpc.StatusCode]] = field(default_factory=list)
    not_serving: float = 0.0
    watched: threading.Event = field(default_factory=threading.Event)

    def call(self, caller: int) -> None:
        """Ingest until the first refusal."""
        with self.server.channel(use_local_subchannel_pool=1) as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            for turn in itertools.count():
                names = [f"{self.name}.{caller}.{turn}.{part}" for part in range(3)]
                batch = [events.scam_message(name, hash(name) % 10**12) for name in names]
                try:
                    stub.Ingest(events.request(batch), timeout=60)
                except grpc.RpcError as error:
                    self.refusals.append((time.monotonic(), code_of(error)))
                    return
                self.acknowledged.update(names)

    def watch(self) -> None:
        """Wait for NOT_SERVING."""
        with self.server.channel(use_local_subchannel_pool=1) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            try:
                for answer in stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=120):
                    self.watched.set()
                    if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                        self.not_serving = time.monotonic()
                        return
            except grpc.RpcError:
                return


@pytest.mark.long
@pytest.mark.parametrize("cycles", [CYCLES, 500])
@pytest.mark.timeout(7_200)
def test_stops_under_load(start_server: ServerStarter, cycles: int) -> None:
    """NOT_SERVING before the first refusal, gone before the grace is over, exit code 0, every receipt kept."""
    lives = [_live(start_server, f"life-{number}") for number in range(cycles)]

    final = start_server(**SETTINGS)
    names = sorted(set().union(*(life.acknowledged for life in lives)))
    with final.channel() as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        for start in range(0, len(names), 1_000):
            batch = [events.scam_message(name, hash(name) % 10**12) for name in names[start : start + 1_000]]
            receipts = stub.Ingest(events.request(batch), timeout=120).receipts
            assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_DUPLICATE}
        stats = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        total = stats.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=60).total_examples
    assert len(names) > cycles * CALLERS * 3
    # A call that was refused had not been taken: what is there is what was acknowledged.
    assert total == len(names)
    assert final.stop() == 0


def _live(start_server: ServerStarter, name: str) -> Life:
    life = Life(start_server(**SETTINGS), name)
    threads = [threading.Thread(target=life.call, args=(caller,)) for caller in range(CALLERS)]
    threads.append(threading.Thread(target=life.watch))
    for thread in threads:
        thread.start()
    assert life.watched.wait(60)
    while len(life.acknowledged) < CALLERS * 10:
        time.sleep(0.01)
    begun = time.monotonic()
    code = life.server.stop()
    took = time.monotonic() - begun
    for thread in threads:
        thread.join()

    assert code == 0, life.server.stderr.read_text()
    assert took < GRACE_SECONDS
    assert [refused for _, refused in life.refusals] == [grpc.StatusCode.UNAVAILABLE] * CALLERS
    assert 0 < life.not_serving <= min(at for at, _ in life.refusals)
    return life
