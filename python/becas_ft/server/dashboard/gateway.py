"""The service's own gRPC methods for a browser: JSON in, JSON or server-sent events out.

Each request becomes a call of the same server with the caller's own token, so that roles, limits, the log and the audit
log are those of every other client.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from becas.ft.v1 import (
    dataset_service_pb2,
    event_service_pb2,
    model_service_pb2,
    shadow_service_pb2,
    training_service_pb2,
)
from becas_ft.messages import to_object
from becas_ft.server.dashboard.guard import refusal

_FILES: Final[tuple[FileDescriptor, ...]] = tuple(
    module.DESCRIPTOR
    for module in (
        dataset_service_pb2,
        event_service_pb2,
        model_service_pb2,
        shadow_service_pb2,
        training_service_pb2,
    )
)
# What the pages use, and no more.
METHODS: Final = frozenset(
    {
        *("DatasetService/GetTrainingStats", "DatasetService/GetQualityHistogram", "DatasetService/GetIngestRate"),
        *("ModelService/ListModels", "ModelService/Promote", "ModelService/Rollback", "ModelService/ListAudit"),
        *("ShadowService/ListDisagreements", "ShadowService/RecordTruth", "ShadowService/GetShadowStats"),
        *("ShadowService/GetComparisonReport", "ShadowService/GetTrialPath", "ShadowService/StopShadowTest"),
        *("TrainingService/GetPipelineStats", "TrainingService/ListJobs", "TrainingService/GetJob"),
        *("TrainingService/WatchJob", "TrainingService/GetLossCurve", "TrainingService/CancelJob"),
        "EventService/Subscribe",
    }
)
# Requests of the pages are a few fields.
_LARGEST: Final = 64 * 1024
_SECONDS: Final = 60.0
# gRPC's own mapping, the other way round (google/rpc/code.proto).
_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.CANCELLED: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
_PASSED_ON: Final = ("authorization", "traceparent", "tracestate")


@dataclass(frozen=True)
class _Method:
    """One method, callable."""

    descriptor: MethodDescriptor
    request: type[Message]
    call: Callable[..., Any]


class Gateway:
    """Calls methods over a channel.

    Arguments:
        channel: to the server that this one is part of.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._methods = {
            f"{service.name}/{method.name}": _callable(channel, method)
            for file in _FILES
            for service in file.services_by_name.values()
            for method in service.methods
            if f"{service.name}/{method.name}" in METHODS
        }

    async def answer(self, request: Request) -> Response:
        """POST of a JSON object to `/rpc/{Service}/{Method}`."""
        method = self._methods.get(f"{request.path_params['service']}/{request.path_params['method']}")
        if method is None:
            return refusal(HTTPStatus.NOT_FOUND, "NOT_FOUND", "the dashboard has no such method")
        try:
            message = ParseDict(await _object(request), method.request())
        except (ParseError, ValueError, RecursionError) as error:
            return refusal(
                HTTPStatus.BAD_REQUEST, "INVALID_ARGUMENT", f"not a {method.request.DESCRIPTOR.name}: {error}"
            )
        metadata = _metadata(request)
        if method.descriptor.server_streaming:
            events = _events(method.call(message, metadata=metadata))
            return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        try:
            answered = await method.call(message, metadata=metadata, timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            return _refused(error)
        return JSONResponse(to_object(answered), headers={"cache-control": "no-store"})

    async def refusal(self, request: Request, name: str) -> Response | None:
        """How a method without arguments refuses who asks; None where it answers."""
        method = self._methods[name]
        try:
            await method.call(method.request(), metadata=_metadata(request), timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            return _refused(error)
        return None


def _metadata(request: Request) -> list[tuple[str, str]]:
    """What of the request's headers goes with the call: who asks, and whose trace it is in."""
    return [(name, request.headers[name]) for name in _PASSED_ON if name in request.headers]


def _refused(error: grpc.aio.AioRpcError) -> Response:
    return JSONResponse(_problem(error), _STATUS.get(error.code(), HTTPStatus.INTERNAL_SERVER_ERROR))


def _callable(channel: grpc.aio.Channel, method: MethodDescriptor) -> _Method:
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    make: Callable[..., Any] = channel.unary_stream if method.server_streaming else channel.unary_unary
    service = method.containing_service.full_name
    call = make(f"/{service}/{method.name}", request.SerializeToString, response.FromString)
    return _Method(method, request, call)


async def _object(request: Request) -> dict[str, Any]:
    """The body, read no further than it may be long.

    Raises: ValueError where it is no JSON object in whole characters, or too long; RecursionError where it is too deep.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise ValueError(f"at most {_LARGEST} bytes")
    found = json.loads(body or b"{}")
    if not isinstance(found, dict):
        raise ValueError("a JSON object is wanted")  # noqa: TRY004 - one kind of error for all that is no request
    # JSON may escape half of a character, which no protobuf can hold, nor an answer that repeats it.
    json.dumps(found, ensure_ascii=False).encode()
    return found


async def _events(call: Any) -> AsyncIterator[str]:  # noqa: ANN401 - gRPC's stubs know of no aio calls without their types
    """A stream's messages as they come; its error, if it ends by one, as an event of that name."""
    try:
        # Headers go out with the first piece: the page learns at once that it is connected.
        yield ": connected\n\n"
        async for message in call:
            yield f"data: {json.dumps(to_object(message), ensure_ascii=False)}\n\n"
    except grpc.aio.AioRpcError as error:
        yield f"event: error\ndata: {json.dumps(_problem(error), ensure_ascii=False)}\n\n"
    finally:
        call.cancel()


def _problem(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """Code, words, and what travels in the status details."""
    found: dict[str, Any] = {"code": error.code().name, "message": error.details() or "", "fields": {}}
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is read of a call
    for packed in status.details if status is not None else ():
        violations, info = BadRequest(), ErrorInfo()
        if packed.Unpack(violations):
            found["fields"] = {one.field: one.description for one in violations.field_violations}
        elif packed.Unpack(info):
            found["reason"] = info.reason
            found["request_id"] = info.metadata.get("request_id", "")
    return found
