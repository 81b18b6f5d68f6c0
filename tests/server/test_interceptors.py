"""What surrounds every call, on a real server in this process, with a service made for the purpose."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from becas.ft.v1 import backup_pb2, dataset_pb2, dataset_service_pb2, dataset_service_pb2_grpc
from becas_ft.errors import ConflictError
from becas_ft.observability import Metrics, configure_logging
from becas_ft.server.interceptors import CallInterceptor, time_left
from becas_ft.server.service import Context, Service

SECRET = "wren.kestrel.5d1f7b@mail.example"


@dataclass
class Scripted:
    """Behaves as a test asks it to."""

    seen: list[float | None] = field(default_factory=list)

    async def GetTrainingStats(
        self, request: dataset_pb2.GetTrainingStatsRequest, context: Context
    ) -> dataset_pb2.GetTrainingStatsResponse:
        """Notes how much time is left."""
        del request, context
        self.seen.append(time_left())
        return dataset_pb2.GetTrainingStatsResponse(total_examples=7)

    async def ListExamples(
        self, request: dataset_pb2.ListExamplesRequest, context: Context
    ) -> dataset_pb2.ListExamplesResponse:
        """Fails as nobody foresaw."""
        del context
        raise KeyError(request.page_token)

    async def GetExample(
        self, request: dataset_pb2.GetExampleRequest, context: Context
    ) -> dataset_pb2.GetExampleResponse:
        """Takes forever."""
        del request, context
        await asyncio.sleep(3600)
        raise AssertionError

    async def Export(
        self, request: dataset_pb2.ExportRequest, context: Context
    ) -> AsyncIterator[dataset_pb2.ExportResponse]:
        """Two pieces, then a known error."""
        del request, context
        yield dataset_pb2.ExportResponse(data=b"1")
        yield dataset_pb2.ExportResponse(data=b"2")
        raise ConflictError("something is in the way")

    async def Backup(
        self, request: backup_pb2.BackupRequest, context: Context
    ) -> AsyncIterator[backup_pb2.BackupResponse]:
        """Nothing."""
        del request, context
        pieces: tuple[backup_pb2.BackupResponse, ...] = ()
        for piece in pieces:
            yield piece

    async def Forget(self, request: dataset_pb2.ForgetRequest, context: Context) -> dataset_pb2.ForgetResponse:
        """Answers with a status of its own."""
        del request
        await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")

    async def GetQualityHistogram(
        self, request: dataset_pb2.GetQualityHistogramRequest, context: Context
    ) -> dataset_pb2.GetQualityHistogramResponse:
        """Nothing."""
        del request, context
        return dataset_pb2.GetQualityHistogramResponse()

    async def GetIngestRate(
        self, request: dataset_pb2.GetIngestRateRequest, context: Context
    ) -> dataset_pb2.GetIngestRateResponse:
        """Nothing."""
        del request, context
        return dataset_pb2.GetIngestRateResponse()

    async def SetConsent(
        self, request: dataset_pb2.SetConsentRequest, context: Context
    ) -> dataset_pb2.SetConsentResponse:
        """Succeeds."""
        del request, context
        return dataset_pb2.SetConsentResponse()


@dataclass
class Running:
    """A server, and what a test looks at."""

    stub: "dataset_service_pb2_grpc.DatasetServiceAsyncStub"
    channel: grpc.aio.Channel
    service: Scripted
    metrics: Metrics


@asynccontextmanager
async def running(default_deadline: float = 30.0) -> AsyncIterator[Running]:
    """The service behind the interceptor."""
    configure_logging("debug", "json")
    service, metrics = Scripted(), Metrics()
    server = grpc.aio.server(interceptors=(CallInterceptor(metrics, default_deadline, asyncio.Event()),))
    descriptor = dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"]
    server.add_generic_rpc_handlers((Service(descriptor, service).handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=(("grpc.enable_http_proxy", 0),)) as channel:
        yield Running(dataset_service_pb2_grpc.DatasetServiceStub(channel), channel, service, metrics)
    await server.stop(None)


def calls(log: str) -> list[dict[str, Any]]:
    """The log's lines about calls; the C core of the client writes lines of its own."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "rpc"]


def last_call(log: str) -> dict[str, Any]:
    """The last line of the log about a call."""
    return calls(log)[-1]


async def test_unforeseen_error_keeps_its_text(capfd: pytest.CaptureFixture[str]) -> None:
    """INTERNAL without the exception's text, in the answer and in the log; the log says where it was."""
    async with running() as server:
        with pytest.raises(grpc.RpcError) as caught:
            await server.stub.ListExamples(dataset_pb2.ListExamplesRequest(page_token=SECRET))

    log = capfd.readouterr().err
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in str(caught.value.details())
    assert SECRET not in str(caught.value.trailing_metadata())
    assert SECRET not in log
    line = last_call(log)
    assert (line["error"], line["code"], line["level"]) == ("KeyError", "INTERNAL", "error")
    assert line["request_id"] in str(caught.value.details())
    assert any(frame.endswith(" ListExamples") for frame in line["frames"])


async def test_bytes_that_are_no_message_are_the_callers_mistake() -> None:
    """A typed service answers bad bytes with INVALID_ARGUMENT, not with gRPC's own INTERNAL."""
    async with running() as server:
        call: Any = server.channel.unary_unary("/becas.ft.v1.DatasetService/Forget")
        with pytest.raises(grpc.RpcError) as caught:
            await call(b"\x0a\xff")

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_default_deadline(capfd: pytest.CaptureFixture[str]) -> None:
    """A call without a deadline ends at the default one, with details."""
    async with running(default_deadline=0.05) as server:
        with pytest.raises(grpc.RpcError) as caught:
            async with asyncio.timeout(20):
                await server.stub.GetExample(dataset_pb2.GetExampleRequest())

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "deadline" in str(caught.value.details())
    assert last_call(capfd.readouterr().err)["code"] == "DEADLINE_EXCEEDED"


async def test_time_left_is_known_inside() -> None:
    """A handler knows what is left: of the caller's deadline, else of the default."""
    async with running(default_deadline=500) as server:
        await server.stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest(), timeout=100)
        await server.stub.GetTrainingStats(dataset_pb2.GetTrainingStatsRequest())

    callers, default = server.service.seen
    assert callers is not None
    assert default is not None
    # gRPC rounds deadlines up by a per cent.
    assert 90 < callers <= 102
    assert 490 < default <= 500


async def test_stream_fails_after_its_pieces() -> None:
    """What a stream had to say arrives; then the status of its error."""
    async with running() as server:
        answer: Any = server.stub.Export(dataset_pb2.ExportRequest())
        call: AsyncIterator[dataset_pb2.ExportResponse] = aiter(answer)
        pieces = [(await anext(call)).data, (await anext(call)).data]
        with pytest.raises(grpc.RpcError) as caught:
            await anext(call)

    assert pieces == [b"1", b"2"]
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert caught.value.details() == "something is in the way"


async def test_status_of_a_handler_is_kept() -> None:
    """A handler that answers with a status itself is not overruled."""
    async with running() as server:
        with pytest.raises(grpc.RpcError) as caught:
            await server.stub.Forget(dataset_pb2.ForgetRequest())

    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "nobody")


async def test_calls_are_counted_once() -> None:
    """Each ended call is one count under its method and code, and none stays in flight."""
    method = "/becas.ft.v1.DatasetService/SetConsent"
    async with running() as server:
        for _ in range(3):
            await server.stub.SetConsent(dataset_pb2.SetConsentRequest())
        with pytest.raises(grpc.RpcError):
            await server.stub.Forget(dataset_pb2.ForgetRequest())

    value = server.metrics.registry.get_sample_value
    assert value("becas_rpcs_total", {"method": method, "code": "OK"}) == 3
    assert value("becas_rpcs_total", {"method": "/becas.ft.v1.DatasetService/Forget", "code": "NOT_FOUND"}) == 1
    assert value("becas_rpc_seconds_count", {"method": method}) == 3
    assert value("becas_rpcs_in_flight") == 0


async def test_a_flood_of_failures_does_not_fill_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """A few lines a second of each method and status, and the next one says how many were left out; all are counted."""
    async with running() as server:
        began = time.monotonic()
        for _ in range(300):
            with pytest.raises(grpc.RpcError):
                await server.stub.Forget(dataset_pb2.ForgetRequest())
        seconds = math.floor(time.monotonic()) - math.floor(began) + 1
        # In a second of its own, something is written again.
        await asyncio.sleep(1.1)
        with pytest.raises(grpc.RpcError):
            await server.stub.Forget(dataset_pb2.ForgetRequest())
        await server.stub.SetConsent(dataset_pb2.SetConsentRequest())
        with pytest.raises(grpc.RpcError):
            await server.stub.ListExamples(dataset_pb2.ListExamplesRequest())

    labels = {"method": "/becas.ft.v1.DatasetService/Forget", "code": "NOT_FOUND"}
    counted = server.metrics.registry.get_sample_value("becas_rpcs_total", labels)
    written = calls(capfd.readouterr().err)
    refused = [line for line in written if line["code"] == "NOT_FOUND"]
    assert [line["code"] for line in written[-3:]] == ["NOT_FOUND", "OK", "INTERNAL"]
    assert len(refused) <= 20 * seconds + 1
    assert len(refused) + sum(line.get("left_out", 0) for line in refused) == counted == 301
