"""The straightforward server: grpcio with generated stubs, everything in Python, a commit a request.

`python -m peers.server FOLDER` prints `listening on ADDRESS,` and serves until SIGTERM; then it writes what it stored
to FOLDER/rows.jsonl, and ends. One event a request makes it baseline (a), 500 make it baseline (b).
"""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from becas.ft.v1 import ingest_service_pb2_grpc
from peers.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from becas.ft.v1 import ingest_pb2

#: As in gRPC's own examples.
THREADS = 10


class IngestService(ingest_service_pb2_grpc.IngestServiceServicer):
    """Both calls of the contract."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def Ingest(self, request: ingest_pb2.IngestRequest, context: grpc.ServicerContext) -> ingest_pb2.IngestResponse:
        """Events in, receipts out."""
        del context
        return self._store.ingest(request)

    def IngestStream(
        self, request_iterator: Iterator[ingest_pb2.IngestRequest], context: grpc.ServicerContext
    ) -> Iterator[ingest_pb2.IngestResponse]:
        """One response a request."""
        del context
        return map(self._store.ingest, request_iterator)


def main() -> None:
    """Serve until a signal."""
    folder = Path(sys.argv[1])
    store = Store(folder / "store")
    server = grpc.server(ThreadPoolExecutor(THREADS))
    ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(IngestService(store), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    print(f"listening on 127.0.0.1:{port},", flush=True)
    ended.wait()
    server.stop(5).wait()
    with (folder / "rows.jsonl").open("wb") as file:
        file.writelines(row + b"\n" for row in store.rows())
    store.close()


if __name__ == "__main__":
    main()
