"""Checks of fields that several services have: each names the field and the remedy."""

import base64
import hmac
import re
from typing import Final

from becas.ft.v1 import example_pb2
from becas_ft._core import Core
from becas_ft.errors import InvalidArgumentError

MAXIMUM_REQUEST_ID: Final = 64
MAXIMUM_TEXT: Final = 2_000
MAXIMUM_PAGE: Final = 1_000
# Hexadecimal digits of a pseudonym.
_SEAL: Final = 32

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def required(field: str, value: str) -> str:
    """A text that must be there."""
    if not value:
        raise InvalidArgumentError(field, "is required")
    return value


def model_name(field: str, value: str) -> str:
    """A name that a model can have."""
    if not _NAME.fullmatch(value):
        raise InvalidArgumentError(field, "must be a model's name: 1 to 128 letters, digits, dots, dashes, colons")
    return value


def category(number: "example_pb2.Category.ValueType") -> "example_pb2.Category.ValueType":
    """A category that there is."""
    if number == example_pb2.CATEGORY_UNSPECIFIED or number not in example_pb2.Category.values():
        raise InvalidArgumentError("category", "is required: send a value such as CATEGORY_SCAM_DETECTION")
    return number


def page_size(value: int, default: int) -> int:
    """How many entries a page has."""
    if value < 0:
        raise InvalidArgumentError("page_size", "must not be below 0: leave it out for the default")
    return min(value or default, MAXIMUM_PAGE)


def next_page(core: Core, arguments: str, place: str) -> str:
    """The token of the page after a place; empty where there is none.

    Arguments:
        core: its key seals the token.
        arguments: the method and whatever else must not change between pages.
        place: where the page ends; nothing that the caller may not see.
    """
    if not place:
        return ""
    return base64.urlsafe_b64encode(f"{_seal(core, arguments, place)}{place}".encode()).decode()


def place_of(core: Core, arguments: str, token: str) -> str:
    """The place that a token continues after; empty for the first page."""
    if not token:
        return ""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        text = ""
    seal, place = text[:_SEAL], text[_SEAL:]
    if not place or not hmac.compare_digest(seal.encode(), _seal(core, arguments, place).encode()):
        raise InvalidArgumentError(
            "page_token", "is no next_page_token of a request with these arguments: start again without one"
        )
    return place


def _seal(core: Core, arguments: str, place: str) -> str:
    return core.pseudonym("event", f"page of {arguments} after {place}")


def request_key(core: Core, value: str) -> str:
    """The pseudonym under which a repetition is recognised; empty where the caller chose no id."""
    if len(value) > MAXIMUM_REQUEST_ID:
        raise InvalidArgumentError("request_id", f"must have at most {MAXIMUM_REQUEST_ID} characters")
    return core.pseudonym("event", value) if value else ""


def free_text(core: Core, field: str, value: str) -> str:
    """What a person wrote, without personal data."""
    if len(value) > MAXIMUM_TEXT:
        raise InvalidArgumentError(field, f"must have at most {MAXIMUM_TEXT:,} characters")
    return core.redact(value)
