"""Calls with raw bytes, and the details of a failed call."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from grpc_status import rpc_status

from helpers import canaries

Item = TypeVar("Item")

INGEST = "/becas.ft.v1.IngestService/Ingest"
INGEST_STREAM = "/becas.ft.v1.IngestService/IngestStream"


@dataclass(frozen=True)
class Details:
    """What travels with a status.

    Attributes:
        fields: field path → what is wrong with it.
        metadata: of the ErrorInfo.
        quota: the one violation of a QuotaFailure; an empty one where there is none.
    """

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    request_id: str
    fields: dict[str, str]
    metadata: dict[str, str]
    quota: QuotaFailure.Violation
    retry_seconds: float | None


def details(error: grpc.RpcError) -> Details:
    """The details of a failed call; an AssertionError where there are none, or two of a kind."""
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    assert status is not None, f"{error.code()} {error.details()} came without details"
    assert canaries.found_in(status.SerializeToString()) == []
    kinds = [packed.TypeName() for packed in status.details]
    assert len(kinds) == len(set(kinds))
    info, violations, retry, quota = ErrorInfo(), BadRequest(), RetryInfo(), QuotaFailure()
    has_retry = False
    for packed in status.details:
        assert isinstance(packed, AnyMessage)
        packed.Unpack(info)
        packed.Unpack(violations)
        packed.Unpack(quota)
        has_retry |= packed.Unpack(retry)
    return Details(
        code=error.code(),
        message=error.details() or "",
        reason=info.reason,
        domain=info.domain,
        request_id=info.metadata["request_id"],
        fields={violation.field: violation.description for violation in violations.field_violations},
        metadata=dict(info.metadata),
        quota=quota.violations[0] if quota.violations else QuotaFailure.Violation(),
        retry_seconds=retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None,
    )


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The code of a failed call."""
    assert isinstance(error, grpc.Call)
    return error.code()


def until_error(responses: Iterable[Item]) -> tuple[list[Item], grpc.RpcError]:
    """What a stream answers, and the error that ends it; an AssertionError where it ends well."""
    received: list[Item] = []
    try:
        for response in responses:
            received.append(response)  # noqa: PERF402 - what came before the error counts
    except grpc.RpcError as error:
        return received, error
    raise AssertionError("the stream ended without an error")


def raw_unary(channel: grpc.Channel, method: str) -> Callable[..., bytes]:
    """A unary call that sends and gets bytes."""
    call: Any = channel.unary_unary(method)
    return call  # type: ignore[no-any-return]  # grpc's stubs know only typed calls


def raw_stream(channel: grpc.Channel, method: str) -> Callable[..., Any]:
    """A bidirectional stream of bytes."""
    call: Any = channel.stream_stream(method)
    return call  # type: ignore[no-any-return]  # as above
