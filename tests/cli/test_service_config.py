"""The retry policy that clients are given: which calls it repeats, how often, and that it does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool

from becas.ft.v1 import (  # noqa: F401 - their descriptors
    dataset_service_pb2,
    event_service_pb2,
    ingest_service_pb2,
    model_service_pb2,
    shadow_service_pb2,
    training_service_pb2,
)
from becas_ft.cli.connection import _OPTIONS, SERVICE_CONFIG
from becas_ft.errors import BecasError, OverloadedError, StoreFullError, UnavailableError
from becas_ft.server import status
from helpers.rpc import INGEST

CONFIG = json.loads(SERVICE_CONFIG.read_text())
# Each would begin a second thing, or has a resumption of its own.
ONCE = {
    "IngestService/IngestStream": "the client resumes it: what has no receipt is sent again",
    "EventService/Subscribe": "the client resumes it after its last cursor",
    "TrainingService/WatchJob": "the client watches again",
    "TrainingService/Train": "a second one finds the first in flight, and that is another answer",
    "TrainingService/CancelJob": "a second one finds a job that has ended, and that is another answer",
    "TrainingService/CheckPipeline": "it takes steps",
    "ShadowService/SetUpShadowTest": "it begins a trial",
    "ShadowService/StopShadowTest": "a second one finds a trial that has ended",
    "ModelService/RegisterModel": "a second one finds the model there",
}


def test_every_method_is_repeated_or_has_a_reason_not_to() -> None:
    """Nobody adds an RPC without deciding."""
    repeated = {f"{name['service']}/{name['method']}".removeprefix("becas.ft.v1.") for name in _policy()["name"]}
    names = ("Ingest", "Dataset", "Training", "Shadow", "Model", "Event")
    services = [descriptor_pool.Default().FindServiceByName(f"becas.ft.v1.{name}Service") for name in names]
    methods = {f"{service.name}/{method.name}" for service in services for method in service.methods}

    assert repeated | ONCE.keys() == methods
    assert not repeated & ONCE.keys()


def test_it_is_the_policy_that_is_documented() -> None:
    """Four attempts, a tenth of a second to a second apart, and none once most calls fail."""
    policy = _policy()["retryPolicy"]

    assert (policy["maxAttempts"], policy["initialBackoff"], policy["maxBackoff"]) == (4, "0.1s", "1s")
    assert policy["backoffMultiplier"] == 2
    assert set(policy["retryableStatusCodes"]) == {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}
    assert CONFIG["retryThrottling"] == {"maxTokens": 10, "tokenRatio": 0.1}


def _policy() -> dict[str, Any]:
    [policy] = CONFIG["methodConfig"]
    return dict(policy)


@asynccontextmanager
async def failing(error: Exception, times: int) -> AsyncIterator[tuple[Any, list[float]]]:
    """A server that answers as ours does, with an error so many times; a call with the policy, and when it arrived."""
    arrived: list[float] = []

    async def ingest(request: bytes, context: Any) -> bytes:  # noqa: ANN401 - gRPC's
        del request
        arrived.append(asyncio.get_running_loop().time())
        if len(arrived) <= times:
            await context.abort(*status.answer(error, "request-7"))
        return b"done"

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Ingest": grpc.unary_unary_rpc_method_handler(ingest)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("becas.ft.v1.IngestService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", _OPTIONS) as channel:
        yield channel.unary_unary(INGEST), arrived
    await server.stop(None)


@pytest.mark.parametrize(
    ("error", "least"), [(OverloadedError("bytes are waiting"), 0.2), (UnavailableError("away"), 5.0)]
)
async def test_what_passes_is_asked_again_after_the_time_that_the_server_says(error: Exception, least: float) -> None:
    """RetryInfo's delay travels in the trailers too, and gRPC keeps it."""
    async with failing(error, times=1) as (call, arrived):
        assert await call(b"", timeout=60) == b"done"

    assert arrived[1] - arrived[0] >= least * 0.95


async def test_four_attempts_and_no_more() -> None:
    """Then the caller hears the error."""
    async with failing(OverloadedError("bytes are waiting"), times=10) as (call, arrived):
        with pytest.raises(grpc.RpcError) as caught:
            await call(b"", timeout=60)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(arrived) == 4


@pytest.mark.parametrize("error", [StoreFullError("the store is full"), BecasError("no")])
async def test_what_does_not_pass_is_asked_once(error: Exception) -> None:
    """A full store is full a second later; a pushback below zero says so."""
    async with failing(error, times=10) as (call, arrived):
        with pytest.raises(grpc.RpcError):
            await call(b"", timeout=60)

    assert len(arrived) == 1
