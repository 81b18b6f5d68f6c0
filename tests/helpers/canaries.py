"""Secrets that no file may ever show, planted in every string field of every payload."""

import json
import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from becas.ft.v1 import event_pb2
from becas_ft.access.tokens import PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

# Ids of the platform: 17 to 20 digits whose time lies between 2015 and 2026.
USER: Final = "1187654321098765471"
GUILD: Final = "1187654321098765472"
OTHER_USER: Final = "987654321098765473"
MESSAGE: Final = "1187654321098765474"
CORRELATION: Final = "case-canary-5d1f7b"
EVENT_PREFIX: Final = "evt_canary_5d1f7b"

SECRETS: Final = {
    "user id": USER,
    "guild id": GUILD,
    "other user id": OTHER_USER,
    "message id": MESSAGE,
    "correlation id": CORRELATION,
    "event id": EVENT_PREFIX,
    "e-mail": "wren.kestrel.5d1f7b@mail.example",
    "phone": "+44 7700 900471",
    "card": "4539 1488 0343 6467",
    "IBAN": "GB82 WEST 1234 5698 7654 32",
    "IPv4": "203.0.113.171",
    "IPv6": "2001:db8:5d1f:7b00::8a2e:370:7334",
    "bitcoin": "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "ethereum": "0x52908400098527886E0F7030069857D2E4169EE7",
}
_FORMS: Final = {name: {secret.encode(), secret.replace(" ", "").encode()} for name, secret in SECRETS.items()}
_TOKEN_PREFIX: Final = PREFIX.encode()
_TOKEN: Final = re.compile(re.escape(_TOKEN_PREFIX) + rb"[A-Za-z0-9_-]{43}")
# What stands around the secrets is public: a search for it shows whether the text arrived at all.
_IN_TEXT: Final = (
    "e-mail",
    "phone",
    "card",
    "IBAN",
    "IPv4",
    "IPv6",
    "bitcoin",
    "ethereum",
    "user id",
    "message id",
)
TEXT: Final = "Claim the prize now: " + ", ".join(f"{name} {SECRETS[name]}" for name in _IN_TEXT) + ", thank you."

_IDS: Final = {
    "user_id": USER,
    "target_user_id": OTHER_USER,
    "target": OTHER_USER,
    "executor_id": USER,
    "users": OTHER_USER,
    "guild_id": GUILD,
    "message_id": MESSAGE,
}


def planted_events() -> Iterator[event_pb2.Event]:
    """Events of every kind with secrets in every string field; of each kind at least one is stored."""
    for kind in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields:
        event = event_pb2.Event(
            event_id=f"{EVENT_PREFIX}_{kind.name}",
            correlation_id=CORRELATION,
            user_id=USER,
            guild_id=GUILD,
            # Evidence lifts every kind over the lowest tier, so that it is stored.
            evidence=event_pb2.Evidence(
                reasoning=TEXT, context=TEXT, human_validated=True, rag_enhanced=True, confidence=0.95, precedents=5
            ),
        )
        event.time.GetCurrentTime()
        # The name keeps two kinds of one category from being the same input.
        _plant(getattr(event, kind.name), f"{kind.name}: {TEXT}")
        yield event
        if kind.name in _CLOSED:
            event = event_pb2.Event.FromString(event.SerializeToString())
            event.event_id += "_closed"
            _CLOSED[kind.name](event)
            yield event


def _custom(event: event_pb2.Event) -> None:
    event.custom_example.category = "scam_detection"
    event.custom_example.input = f"As a custom example: {TEXT}"
    output = {"isScam": True, "scamType": "prize", "reasoning": TEXT}
    event.custom_example.output = json.dumps(output)


def _sentiment(event: event_pb2.Event) -> None:
    event.sentiment_analyzed.sentiment = "positive"


def _profile(event: event_pb2.Event) -> None:
    event.user_profile_updated.profile.risk_level = "high"


# Their labels come from a closed set: with a secret for a label they are refused, with one of the set they are stored.
_CLOSED: Final[dict[str, Callable[[event_pb2.Event], None]]] = {
    "custom_example": _custom,
    "sentiment_analyzed": _sentiment,
    "user_profile_updated": _profile,
}


def _plant(message: Message, text: str) -> None:
    message.SetInParent()
    for field in cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields):
        _plant_field(message, field, text)


def _plant_field(message: Message, field: FieldDescriptor, text: str) -> None:
    if isinstance(message, Struct):
        message["secret"] = text
    elif isinstance(message, Timestamp):
        message.GetCurrentTime()
    elif field.message_type is not None:
        _plant(getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name), text)
    elif field.type == field.TYPE_STRING:
        value = _IDS.get(field.name, text)
        if field.is_repeated:
            getattr(message, field.name).extend([value] * 5)
        else:
            setattr(message, field.name, value)
    elif field.type == field.TYPE_DOUBLE:
        setattr(message, field.name, 0.95)
    elif field.type == field.TYPE_BOOL:
        setattr(message, field.name, True)


def found_in(data: "bytes | mmap.mmap") -> list[str]:
    """Names of the secrets that occur in bytes, as they are or without their spaces; `token` for any token at all."""
    found = [name for name, forms in _FORMS.items() if any(data.find(form) >= 0 for form in forms)]
    return [*found, "token"] if _has_token(data) else found


def _has_token(data: "bytes | mmap.mmap") -> bool:
    at = data.find(_TOKEN_PREFIX)
    while at >= 0:
        if _TOKEN.match(data, at):
            return True
        at = data.find(_TOKEN_PREFIX, at + 1)
    return False


def search(root: Path, *, unsearched: tuple[str, ...] = ()) -> list[str]:
    """`name of the secret: file` for each one found under a folder; of the names of files, their folder.

    Arguments:
        root: the folder.
        unsearched: what the names of entries of the folder begin with that are left out.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or path.relative_to(root).parts[0].startswith(unsearched):
            continue
        found += [f"{name}: a name in {path.parent}" for name in found_in(path.name.encode())]
        facts = path.stat()
        if path.is_file() and facts.st_size and (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found += [f"{name}: {path}" for name in found_in(data)]
    return found
