"""The one table from exceptions to gRPC status codes, and the details that travel with them."""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

from becas_ft import errors
from becas_ft.ledger import LedgerDiskError, LedgerError, LedgerFullError
from becas_ft.rollout.promotion import RefusedError
from becas_ft.rollout.registry import UnknownModelError
from becas_ft.runtime.errors import InvalidModel, ModelInUse, ModelRuntimeError, PromptTooLong
from becas_ft.shadow.comparison import TrialEndedError
from becas_ft.shadow.tester import RequestConflictError
from becas_ft.shadow.trials import TrialRunningError, UnknownTrialError
from becas_ft.shadow.truth import UnknownRequestError

DOMAIN: Final = "becas.ft.v1"
DETAILS_KEY: Final = "grpc-status-details-bin"
PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
# What gRPC's own retries read as: never.
_NO_RETRY: Final = "-1"


@dataclass(frozen=True)
class Row:
    """How one class of exceptions is answered.

    Attributes:
        code: the gRPC code.
        reason: ErrorInfo's, where the exception brings none of its own.
        retry_seconds: when asking again can help; None where it cannot, without a change.
        setting: of RESOURCE_EXHAUSTED, the limit of the server that is reached.
    """

    code: grpc.StatusCode
    reason: str
    retry_seconds: float | None = None
    setting: str = ""


TABLE: Final[dict[type[Exception], Row]] = {
    errors.InvalidArgumentError: Row(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    errors.NotFoundError: Row(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    errors.StoreFullError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL", setting="store.map_size_limit"),
    errors.DiskFullError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL", setting="the disk"),
    errors.OverloadedError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 0.2, "store.queue_bytes"),
    errors.DeadlineExceededError: Row(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
    errors.KeyFileError: Row(grpc.StatusCode.FAILED_PRECONDITION, "KEY_FILE"),
    errors.StoreError: Row(grpc.StatusCode.DATA_LOSS, "STORE_DAMAGED"),
    errors.DiskError: Row(grpc.StatusCode.UNAVAILABLE, "DISK_FAILED"),
    errors.ConfigError: Row(grpc.StatusCode.FAILED_PRECONDITION, "CONFIGURATION"),
    errors.ClosedError: Row(grpc.StatusCode.UNAVAILABLE, "DRAINING", 1.0),
    errors.CoreError: Row(grpc.StatusCode.INTERNAL, "INTERNAL"),
    errors.AlreadyExistsError: Row(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS"),
    errors.FailedPreconditionError: Row(grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION"),
    errors.ConflictError: Row(grpc.StatusCode.ABORTED, "CONFLICT"),
    errors.UnavailableError: Row(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", 5.0),
    errors.DrainingError: Row(grpc.StatusCode.UNAVAILABLE, "DRAINING", 1.0),
    errors.UnauthenticatedError: Row(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    errors.PermissionDeniedError: Row(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    errors.RateLimitedError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", 1.0),
    errors.ConfigurationError: Row(grpc.StatusCode.FAILED_PRECONDITION, "CONFIGURATION"),
    LedgerError: Row(grpc.StatusCode.DATA_LOSS, "LEDGER_DAMAGED"),
    LedgerFullError: Row(grpc.StatusCode.RESOURCE_EXHAUSTED, "DISK_FULL", setting="the disk"),
    LedgerDiskError: Row(grpc.StatusCode.UNAVAILABLE, "DISK_FAILED"),
    ModelRuntimeError: Row(grpc.StatusCode.UNAVAILABLE, "RUNTIME_UNAVAILABLE", 5.0),
    InvalidModel: Row(grpc.StatusCode.FAILED_PRECONDITION, "INVALID_MODEL"),
    ModelInUse: Row(grpc.StatusCode.FAILED_PRECONDITION, "MODEL_IN_USE"),
    PromptTooLong: Row(grpc.StatusCode.INVALID_ARGUMENT, "PROMPT_TOO_LONG"),
    RefusedError: Row(grpc.StatusCode.FAILED_PRECONDITION, "REFUSED"),
    RequestConflictError: Row(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_TAKEN"),
    TrialEndedError: Row(grpc.StatusCode.FAILED_PRECONDITION, "TRIAL_ENDED"),
    TrialRunningError: Row(grpc.StatusCode.FAILED_PRECONDITION, "TRIAL_RUNNING"),
    UnknownModelError: Row(grpc.StatusCode.NOT_FOUND, "UNKNOWN_MODEL"),
    UnknownRequestError: Row(grpc.StatusCode.NOT_FOUND, "UNKNOWN_REQUEST"),
    UnknownTrialError: Row(grpc.StatusCode.NOT_FOUND, "UNKNOWN_TRIAL"),
    TimeoutError: Row(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
}

UNEXPECTED: Final = Row(grpc.StatusCode.INTERNAL, "INTERNAL")


class Answer(NamedTuple):
    """What a failed call is answered with; the shape that `abort_with_status` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def row(error: BaseException) -> Row:
    """The row of the most specific class in the table; UNEXPECTED where there is none."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return UNEXPECTED


def answer(error: BaseException, request_id: str) -> Answer:
    """The status of an exception.

    Arguments:
        error: its message is shown only where its class is in the table; others could quote a request.
        request_id: names the call in the log.
    """
    found = row(error)
    status = Status(code=found.code.value[0], message=_message(error, found, request_id))
    metadata = {"request_id": request_id} | ({} if found.reason == UNEXPECTED.reason else _values(error))
    if isinstance(error, errors.InvalidArgumentError) and len(error.args) == 2:  # noqa: PLR2004 - (field, problem)
        field, problem = error.args
        metadata["field"] = field
        _add(status, BadRequest(field_violations=[{"field": field, "description": problem}]))
    reason = getattr(error, "reason", None) or found.reason
    _add(status, ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata))
    exhausted = found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    if exhausted:
        _add(status, _quota(error, found, status.message))
    # Clients repeat RESOURCE_EXHAUSTED only because this says when, or that it is of no use.
    trailing: tuple[tuple[str, str | bytes], ...] = ((PUSHBACK_KEY, _NO_RETRY),) if exhausted else ()
    seconds = error.retry_seconds if isinstance(error, errors.RateLimitedError) else found.retry_seconds
    if seconds is not None:
        milliseconds = math.ceil(seconds * 1000)
        delay = Duration()
        delay.FromMilliseconds(milliseconds)
        _add(status, RetryInfo(retry_delay=delay))
        trailing = ((PUSHBACK_KEY, str(milliseconds)),)
    return Answer(found.code, status.message, (*trailing, (DETAILS_KEY, status.SerializeToString())))


def _values(error: BaseException) -> dict[str, str]:
    """What the message of a foreseen exception mentions, for programs: its public attributes."""
    found = {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in vars(error).items()
        if not name.startswith("_") and isinstance(value, str | int | float | tuple)
    }
    # The reason has a field of its own.
    found.pop("reason", None)
    return found | getattr(error, "metadata", {})


def _quota(error: BaseException, found: Row, message: str) -> QuotaFailure:
    """Whose limit is reached, and which: a client's own, else the server's."""
    subject, setting, limit = "server", found.setting, 0
    if isinstance(error, errors.RateLimitedError):
        subject, setting, limit = error.subject, error.setting, error.limit
    violation = QuotaFailure.Violation(subject=subject, description=message, quota_id=setting, quota_value=limit)
    return QuotaFailure(violations=[violation])


def _message(error: BaseException, found: Row, request_id: str) -> str:
    if found.reason == UNEXPECTED.reason:
        return f"an internal error; the server's log has it under request_id {request_id}"
    if isinstance(error, TimeoutError):
        return "the deadline passed: allow more time, or send less at once"
    return ": ".join(str(part) for part in error.args)


def _add(status: Status, detail: BadRequest | ErrorInfo | QuotaFailure | RetryInfo) -> None:
    packed = Any()
    packed.Pack(detail)
    status.details.append(packed)
