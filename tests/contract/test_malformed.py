"""Every malformed event of a table gets its code and its field over real gRPC, and spoils no other.

`malformed.tsv` has a case a line, apart by tabs: name, payload kind, path of the field that is changed, its value,
code, field path. Values: `absent`, `text:…` (escaped as in Python), `repeat:x:65537`, `bytes:eda080`, or a number.
The kind `wire` appends bytes (hexadecimal) to a good event. USABLE are those that only look wrong.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from becas.ft.v1 import event_pb2, ingest_pb2
from becas_ft._core import events_from_json
from helpers.rpc import INGEST, details, raw_unary

TABLE: Final = Path(__file__).with_name("malformed.tsv")
GOLDEN: Final = Path(__file__).parent.parent / "golden" / "events"
# A batch stays under the message limit of 4 MiB.
_BATCH_BYTES: Final = 3 << 20
_INDEX: Final = re.compile(r"(\w+)\[(\d+)\]")
_LINES: Final = TABLE.read_text(encoding="utf-8").splitlines()


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    kind: str
    path: str
    value: str
    code: str
    field: str

    @property
    def event(self) -> bytes:
        """The malformed event."""
        event = event_pb2.Event()
        event.CopyFrom(_good("scam_detected" if self.kind == "wire" else self.kind))
        if self.path != "event_id":
            event.event_id = self.name
        if self.kind == "wire":
            return event.SerializeToString() + bytes.fromhex(self.value)
        how, _, value = self.value.partition(":")
        if how != "bytes":
            _change(event, self.path, self.value)
            return event.SerializeToString()
        # protobuf writes no text that is not UTF-8: a stand-in of the same length takes its place.
        raw = bytes.fromhex(value)
        stand_in = "{here}" + "~" * len(raw)
        _change(event, self.path, f"text:{stand_in}")
        encoded = event.SerializeToString()
        assert encoded.count(stand_in.encode()) == 1
        return encoded.replace(stand_in.encode(), b"{here}" + raw)


def _good(kind: str) -> event_pb2.Event:
    text = (GOLDEN / f"{kind}.json").read_text(encoding="utf-8").replace("\n", " ")
    [(encoded, problem)] = events_from_json([text])
    assert encoded is not None, problem
    event = event_pb2.Event.FromString(encoded)
    assert event.WhichOneof("payload") == kind
    event.guild_id = event.user_id = ""
    event.causation_id = event.correlation_id = ""
    return event


def _change(message: Any, path: str, value: str) -> None:  # noqa: ANN401 - any message
    *parents, last = path.split(".")
    for parent in parents:
        match = _INDEX.fullmatch(parent)
        message = getattr(message, match[1])[int(match[2])] if match else getattr(message, parent)
    how, _, argument = value.partition(":")
    if how == "absent":
        message.ClearField(last)
    elif how in {"text", "repeat"}:
        text = argument.encode().decode("unicode_escape") if how == "text" else ""
        if how == "repeat":
            letter, _, count = argument.rpartition(":")
            text = letter * int(count)
        _set(message, last, text)
    else:
        kind = type(getattr(message, last))
        _set(message, last, kind(float(value)) if kind is float else int(value))


def _set(message: Any, field: str, value: object) -> None:  # noqa: ANN401 - any message
    match = _INDEX.fullmatch(field)
    if match:
        getattr(message, match[1])[int(match[2])] = value
    else:
        setattr(message, field, value)


CASES: Final = [Case(*line.split("\t")) for line in _LINES]


def _frame(event: bytes) -> bytes:
    length, prefix = len(event), bytearray(b"\x0a")
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*prefix, length]) + event


def test_every_malformed_event_gets_its_code_and_field(channel: grpc.Channel) -> None:
    """Receipts in order; INVALID with exactly this code and field, no category, tier or score; others are usable."""
    ingest = raw_unary(channel, INGEST)
    receipts: list[ingest_pb2.Receipt] = []
    batch = b""
    for case in [*CASES, None]:
        framed = _frame(case.event) if case else b""
        if case is None or len(batch) + len(framed) > _BATCH_BYTES:
            receipts += ingest_pb2.IngestResponse.FromString(ingest(batch, timeout=120)).receipts
            batch = b""
        batch += framed

    assert len(receipts) == len(CASES)
    wrong = [
        f"{case.name}: {_said(receipt)}"
        for case, receipt in zip(CASES, receipts, strict=True)
        if not _fits(case, receipt)
    ]
    assert wrong == []


def _fits(case: Case, receipt: ingest_pb2.Receipt) -> bool:
    if case.code == "USABLE":
        return receipt.status != ingest_pb2.STATUS_INVALID
    answered = (receipt.category, receipt.tier, receipt.score) == (0, 0, 0.0)
    named = len(receipt.reasons) == 1 and receipt.reasons[0].startswith(f"{case.code}: {case.field}: ")
    echoed = case.path == "event_id" or case.kind == "wire" or receipt.event_id == case.name
    return receipt.status == ingest_pb2.STATUS_INVALID and answered and named and echoed


def _said(receipt: ingest_pb2.Receipt) -> str:
    return f"{ingest_pb2.Status.Name(receipt.status)} {list(receipt.reasons)}"


def test_table_has_three_hundred_malformed_events_with_names() -> None:
    """As many as were promised, each with a name of its own, in every kind of event."""
    malformed = [case for case in CASES if case.code != "USABLE"]

    assert len(malformed) >= 300
    assert len({case.name for case in CASES}) == len(CASES)
    kinds = {field.name for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields}
    assert {case.kind for case in malformed} == kinds | {"wire"}


def test_what_is_no_request_names_its_field(channel: grpc.Channel) -> None:
    """INVALID_ARGUMENT with a BadRequest of that one field, and the server goes on."""
    for request, field in (
        (b"\x0a\x05ab", "request"),
        (b"\x08\x01", "request"),
        (b"\xff" * 11, "request"),
        (b"hello", "request"),
        (b"\x0a\x00" * 5_001, "events"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            raw_unary(channel, INGEST)(request, timeout=60)

        found = details(caught.value)
        assert found.code is grpc.StatusCode.INVALID_ARGUMENT
        assert list(found.fields) == [field]
    assert raw_unary(channel, INGEST)(b"", timeout=60) == b""
