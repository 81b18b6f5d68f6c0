"""A real OTLP receiver on loopback."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """What came.

    Attributes:
        requests: as they came.
        address: URL to send to.
    """

    requests: list[trace_service_pb2.ExportTraceServiceRequest] = field(default_factory=list)
    address: str = ""
    came: threading.Condition = field(default_factory=threading.Condition)

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keep it."""
        del context
        with self.came:
            self.requests.append(request)
            self.came.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[Span]:
        """In the order of their beginning."""
        found = [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, -span.end_time_unix_nano))

    def wait(self, names: set[str], seconds: float = 60.0) -> list[Span]:
        """The spans, once there is one of each of these names."""
        deadline = time.monotonic() + seconds
        with self.came:
            while not names <= {span.name for span in self.spans()}:
                assert self.came.wait(deadline - time.monotonic()), [span.name for span in self.spans()]
        return self.spans()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, listening."""
    receiver = Receiver()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]  # its own
    receiver.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()
