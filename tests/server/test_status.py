"""The one table from exceptions to status codes."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status

import becas_ft
from becas_ft import errors
from becas_ft.ledger import LedgerError
from becas_ft.rollout.promotion import RefusedError
from becas_ft.rollout.registry import UnknownModelError
from becas_ft.runtime.errors import GenerationTimeout, InvalidModel, ModelInUse, PromptTooLong
from becas_ft.server import status
from becas_ft.shadow.comparison import TrialEndedError
from becas_ft.shadow.tester import RequestConflictError
from becas_ft.shadow.trials import TrialRunningError, UnknownTrialError
from becas_ft.shadow.truth import UnknownRequestError

# Errors of the command line never reach a caller of the server; the roots stand for their families.
NOT_SERVED = {
    errors.BecasError,
    errors.CommandError,
    errors.UsageError,
    errors.RemoteError,
    errors.UnreachableError,
    errors.ListenError,
}
PUBLIC = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


def sent(error: Exception) -> tuple[Status, dict[type[Message], Message]]:
    """The status and its details, as they go over the wire."""
    answer = status.answer(error, "request-7")
    found = Status.FromString(dict(answer.trailing_metadata)[status.DETAILS_KEY])
    details = {}
    for packed in found.details:
        for kind in (BadRequest, ErrorInfo, QuotaFailure, RetryInfo):
            message = kind()
            if packed.Unpack(message):
                assert kind not in details
                details[kind] = message
    return found, details


@pytest.mark.parametrize("kind", PUBLIC)
def test_every_public_exception_has_a_row(kind: type[Exception]) -> None:
    """No exception of ours is answered by accident."""
    assert (kind in status.TABLE) is (kind not in NOT_SERVED)


def test_reasons_are_codes() -> None:
    """Reasons are UPPER_SNAKE, of at most 63 characters."""
    for row in status.TABLE.values():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{1,61}[A-Z0-9]", row.reason)


def test_field_is_named() -> None:
    """An unusable argument names its field twice: for people in the message, for programs in the details."""
    found, details = sent(errors.InvalidArgumentError("min_quality", "must be 0 to 1"))

    violation = details[BadRequest].field_violations[0]  # type: ignore[attr-defined]  # Message, as far as mypy knows
    info = details[ErrorInfo]
    assert found.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert found.message == "min_quality: must be 0 to 1"
    assert (violation.field, violation.description) == ("min_quality", "must be 0 to 1")
    assert isinstance(info, ErrorInfo)
    assert (info.reason, info.domain) == ("INVALID_ARGUMENT", "becas.ft.v1")
    assert dict(info.metadata) == {"field": "min_quality", "request_id": "request-7"}


def test_overload_says_when_to_come_back() -> None:
    """RESOURCE_EXHAUSTED that passes comes with a delay, for people and for gRPC's own retries."""
    answer = status.answer(errors.OverloadedError("too much"), "request-7")
    _, details = sent(errors.OverloadedError("too much"))

    retry = details[RetryInfo]
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(retry, RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 200
    assert dict(answer.trailing_metadata)["grpc-retry-pushback-ms"] == "200"


def test_a_client_that_sends_too_much_hears_its_own_delay() -> None:
    """The delay is the exception's, rounded up: earlier would be refused again."""
    answer = status.answer(errors.RateLimitedError("too much", 0.0301), "request-7")
    _, details = sent(errors.RateLimitedError("too much", 0.0301))

    retry = details[RetryInfo]
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(retry, RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 31
    assert dict(answer.trailing_metadata)["grpc-retry-pushback-ms"] == "31"


def test_full_store_does_not_invite_retries() -> None:
    """RESOURCE_EXHAUSTED that stays until somebody acts comes without a delay."""
    answer = status.answer(errors.StoreFullError("full"), "request-7")
    _, details = sent(errors.StoreFullError("full"))

    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert RetryInfo not in details
    # gRPC's own retries read this as never.
    assert dict(answer.trailing_metadata)["grpc-retry-pushback-ms"] == "-1"


def test_reason_and_values_of_the_exception_travel() -> None:
    """A part of the service can say more than the table does."""
    error = errors.FailedPreconditionError("498 of 500", reason="NOT_READY", metadata={"gold": "498"})

    _, details = sent(error)

    info = details[ErrorInfo]
    assert isinstance(info, ErrorInfo)
    assert info.reason == "NOT_READY"
    assert dict(info.metadata) == {"gold": "498", "request_id": "request-7"}


def with_attributes(error: Exception, **attributes: object) -> Exception:
    """As the core sets them."""
    vars(error).update(attributes)
    return error


# Every reason once, as the service raises it, and what its message says that is not always the same.
REASONS: Final[dict[str, tuple[Exception, grpc.StatusCode, set[str]]]] = {
    "INVALID_ARGUMENT": (errors.InvalidArgumentError("seed", "is odd"), grpc.StatusCode.INVALID_ARGUMENT, {"seed"}),
    "NOT_FOUND": (
        with_attributes(errors.NotFoundError("example scam_detection-7 does not exist"), what="scam_detection-7"),
        grpc.StatusCode.NOT_FOUND,
        {"scam_detection-7"},
    ),
    "STORE_FULL": (
        with_attributes(errors.StoreFullError("the store is full at 4096 bytes"), limit_bytes=4096),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        {"4096"},
    ),
    "OVERLOADED": (
        with_attributes(errors.OverloadedError("512 bytes are waiting to be written"), queued_bytes=512),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        {"512"},
    ),
    "DISK_FULL": (errors.DiskFullError("no space is left"), grpc.StatusCode.RESOURCE_EXHAUSTED, set()),
    "DEADLINE_EXCEEDED": (
        errors.DeadlineExceededError("the deadline passed"),
        grpc.StatusCode.DEADLINE_EXCEEDED,
        set(),
    ),
    "KEY_FILE": (errors.KeyFileError("key file: open to others"), grpc.StatusCode.FAILED_PRECONDITION, set()),
    "STORE_DAMAGED": (
        with_attributes(errors.StoreError("store: record 7 is damaged"), problem="record 7 is damaged"),
        grpc.StatusCode.DATA_LOSS,
        {"record 7 is damaged"},
    ),
    "DISK_FAILED": (
        with_attributes(errors.DiskError("disk: Input/output error"), problem="Input/output error"),
        grpc.StatusCode.UNAVAILABLE,
        {"Input/output error"},
    ),
    "CONFIGURATION": (errors.ConfigError("configuration: unusable"), grpc.StatusCode.FAILED_PRECONDITION, set()),
    "DRAINING": (errors.DrainingError("the server is about to stop"), grpc.StatusCode.UNAVAILABLE, set()),
    "INTERNAL": (KeyError("anything"), grpc.StatusCode.INTERNAL, set()),
    "ALREADY_EXISTS": (errors.AlreadyExistsError("request_id was used"), grpc.StatusCode.ALREADY_EXISTS, set()),
    "FAILED_PRECONDITION": (
        errors.FailedPreconditionError(
            "intents is not ready: 3 gold", metadata={"category": "intents", "lacks": "3 gold"}
        ),
        grpc.StatusCode.FAILED_PRECONDITION,
        {"intents", "3 gold"},
    ),
    "CONFLICT": (
        errors.ConflictError("job scam-3 is in flight", metadata={"job_id": "scam-3"}),
        grpc.StatusCode.ABORTED,
        {"scam-3"},
    ),
    "UNAVAILABLE": (
        errors.UnavailableError("the runtime does not answer: refused", metadata={"detail": "refused"}),
        grpc.StatusCode.UNAVAILABLE,
        {"refused"},
    ),
    "UNAUTHENTICATED": (errors.UnauthenticatedError("who are you"), grpc.StatusCode.UNAUTHENTICATED, set()),
    "PERMISSION_DENIED": (errors.PermissionDeniedError("you may not"), grpc.StatusCode.PERMISSION_DENIED, set()),
    "RATE_LIMITED": (
        errors.RateLimitedError(
            "token a sends more than calls allows, which is 5", 2, subject="token a", setting="calls", limit=5
        ),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        {"token a", "calls", "5"},
    ),
    "LEDGER_DAMAGED": (
        LedgerError("the record jobs 7 is damaged", "jobs 7"),
        grpc.StatusCode.DATA_LOSS,
        {"jobs 7"},
    ),
    "RUNTIME_UNAVAILABLE": (GenerationTimeout("qwen", 30), grpc.StatusCode.UNAVAILABLE, {"qwen", "30"}),
    "INVALID_MODEL": (InvalidModel("m-1", "it is a base"), grpc.StatusCode.FAILED_PRECONDITION, {"m-1"}),
    "MODEL_IN_USE": (ModelInUse("m-1", ["a-1", "a-2"]), grpc.StatusCode.FAILED_PRECONDITION, {"m-1", "a-1,a-2"}),
    "PROMPT_TOO_LONG": (PromptTooLong(9000, 4096), grpc.StatusCode.INVALID_ARGUMENT, {"9000", "4096"}),
    "REFUSED": (RefusedError(("3 of 100 judged",)), grpc.StatusCode.FAILED_PRECONDITION, {"3 of 100 judged"}),
    "REQUEST_ID_TAKEN": (RequestConflictError("another input"), grpc.StatusCode.ALREADY_EXISTS, set()),
    "TRIAL_ENDED": (TrialEndedError("the trial has ended"), grpc.StatusCode.FAILED_PRECONDITION, set()),
    "TRIAL_RUNNING": (TrialRunningError("trial-4"), grpc.StatusCode.FAILED_PRECONDITION, {"trial-4"}),
    "UNKNOWN_MODEL": (UnknownModelError("version 9 is not registered", 9), grpc.StatusCode.NOT_FOUND, {"9"}),
    "UNKNOWN_REQUEST": (UnknownRequestError("no request"), grpc.StatusCode.NOT_FOUND, set()),
    "UNKNOWN_TRIAL": (UnknownTrialError("no trial"), grpc.StatusCode.NOT_FOUND, set()),
}


def test_the_table_has_every_reason() -> None:
    """Those of the status table, and those that a part of the service gives itself."""
    assert REASONS.keys() | OWN_REASONS == {row.reason for row in status.TABLE.values()} | own_reasons()


# Seen where they are raised: tests of access, of certificates and of streams.
OWN_REASONS: Final = {
    "TOKEN_MISSING",
    "TOKEN_UNKNOWN",
    "TOKEN_EXPIRED",
    "TOKEN_REVOKED",
    "ROLE_MISSING",
    "TOO_MANY_STREAMS",
    "CERTIFICATE_MISSING",
    "CERTIFICATE_NOT_TRUSTED",
    "CERTIFICATE_NAME_NOT_ALLOWED",
}


def own_reasons() -> set[str]:
    """Every `reason="…"` of the service's source that an exception of ours is given."""
    found: set[str] = set()
    for path in Path(becas_ft.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func).endswith("Error"):
                values = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
                found |= {str(value.value) for value in values if isinstance(value, ast.Constant)}
    return found


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason(reason: str) -> None:
    """One ErrorInfo with it; what the message says that is not always the same is in the metadata, for programs."""
    error, code, values = REASONS[reason]
    answer = status.answer(error, "request-7")
    found, details = sent(error)
    info: Any = details[ErrorInfo]
    trailers = dict(answer.trailing_metadata)

    assert (info.reason, info.domain, answer.code) == (reason, "becas.ft.v1", code)
    assert found.code == code.value[0]
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{1,61}[A-Z0-9]", reason)
    assert values <= set(info.metadata.values())
    assert info.metadata["request_id"] == "request-7"
    assert all(re.fullmatch(r"[a-z][a-zA-Z0-9_-]{0,63}", key) for key in info.metadata)
    assert (BadRequest in details) is (reason == "INVALID_ARGUMENT")
    assert (QuotaFailure in details) is (code is grpc.StatusCode.RESOURCE_EXHAUSTED)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        [violation] = details[QuotaFailure].violations  # type: ignore[attr-defined]  # Message, as far as mypy knows
        assert violation.subject
        assert violation.quota_id
        assert violation.description == found.message
        assert "grpc-retry-pushback-ms" in trailers
    retry: Any = details.get(RetryInfo)
    if retry is not None:
        assert trailers["grpc-retry-pushback-ms"] == str(retry.retry_delay.ToMilliseconds())


@pytest.mark.parametrize("error", [KeyError("wren@mail.example"), errors.CoreError("wren@mail.example")])
def test_unforeseen_errors_say_nothing(error: Exception) -> None:
    """The text of an exception that nobody foresaw could quote a request: it is not sent."""
    answer = status.answer(error, "request-7")

    assert answer.code is grpc.StatusCode.INTERNAL
    assert "wren" not in repr(answer)
    assert "request-7" in answer.details


def test_most_specific_class_decides() -> None:
    """A subclass is answered as its nearest ancestor in the table."""

    class NotYetError(errors.FailedPreconditionError):
        """A part's own error."""

    assert status.answer(NotYetError("wait"), "request-7").code is grpc.StatusCode.FAILED_PRECONDITION
