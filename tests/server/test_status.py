"""The one table from exceptions to status codes."""

import inspect
import re

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from becas_ft import errors
from becas_ft.server import status

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
        for kind in (BadRequest, ErrorInfo, RetryInfo):
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
    assert "grpc-retry-pushback-ms" not in dict(answer.trailing_metadata)


def test_reason_and_values_of_the_exception_travel() -> None:
    """A part of the service can say more than the table does."""
    error = errors.FailedPreconditionError("498 of 500", reason="NOT_READY", metadata={"gold": "498"})

    _, details = sent(error)

    info = details[ErrorInfo]
    assert isinstance(info, ErrorInfo)
    assert info.reason == "NOT_READY"
    assert dict(info.metadata) == {"gold": "498", "request_id": "request-7"}


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
