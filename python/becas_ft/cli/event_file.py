"""Reads bots' JSON lines, plain or gzip, in pieces that fit into requests."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

from becas_ft._core import events_from_json
from becas_ft.errors import CommandError

# A line that is longer cannot be an event: the server takes 1 MiB by default, and escapes make JSON longer.
LONGEST_LINE: Final = 8 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"
# The tag and the length before each event in the request.
_FRAME: Final = 6
# The server's default limit on a message; it tells smaller events that are still too large by a receipt.
LARGEST_EVENT: Final = (4 << 20) - _FRAME


@dataclass(frozen=True)
class Invalid:
    """A line that is no event."""

    event_id: str
    reason: str


@dataclass
class Batch:
    """Consecutive lines.

    Attributes:
        entries: one a line, in order: None for an event of the request, else why it is none.
        events: protobuf events.
        size: bytes of the request.
    """

    entries: list[Invalid | None] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, line: bytes | Invalid) -> None:
        """Append a line."""
        if isinstance(line, Invalid):
            self.entries.append(line)
            return
        self.entries.append(None)
        self.events.append(line)
        self.size += len(line) + _FRAME

    def request(self) -> bytes:
        """An IngestRequest: field 1, once for each event."""
        parts = []
        for event in self.events:
            parts += [b"\x0a", _varint(len(event)), event]
        return b"".join(parts)


class EventFile:
    """An open file of events.

    Attributes:
        size: bytes on disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = path.open("rb")
        self.size = path.stat().st_size
        zipped = self._raw.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] == _GZIP_MAGIC
        self._lines = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw)) if zipped else self._raw

    def position(self) -> int:
        """Bytes of the file on disk that are read."""
        return self._raw.tell()

    def batches(self, events: int, size: int) -> Iterator[Batch]:
        """Everything, in order; a batch has at most so many lines, and bytes unless one event has more."""
        batch = Batch()
        for line in self._parsed(events):
            over = isinstance(line, bytes) and batch.events and batch.size + len(line) + _FRAME > size
            if over or len(batch.entries) >= events:
                yield batch
                batch = Batch()
            batch.add(line)
        if batch.entries:
            yield batch

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def _parsed(self, count: int) -> Iterator[bytes | Invalid]:
        """Lines as events, parsed so many at a time."""
        texts: list[str | Invalid] = []
        for text in self._texts():
            texts.append(text)
            if len(texts) >= count:
                yield from _parse(texts)
                texts = []
        yield from _parse(texts)

    def _texts(self) -> Iterator[str | Invalid]:
        """Lines as text; empty lines are none."""
        try:
            while raw := self._lines.readline(LONGEST_LINE + 1):
                if len(raw) > LONGEST_LINE:
                    while raw and not raw.endswith(b"\n"):
                        raw = self._lines.readline(LONGEST_LINE)
                    yield Invalid("", f"LINE_TOO_LONG: line: at most {LONGEST_LINE} bytes")
                    continue
                try:
                    text = raw.decode("utf-8-sig").strip()
                except UnicodeDecodeError:
                    yield Invalid("", "NOT_UTF8: line: send UTF-8")
                    continue
                if text:
                    yield text
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CommandError(f"{self._path} is damaged or cut off: {error}") from error


def _parse(texts: list[str | Invalid]) -> Iterator[bytes | Invalid]:
    parsed = iter(events_from_json([text for text in texts if isinstance(text, str)]))
    for text in texts:
        if isinstance(text, Invalid):
            yield text
            continue
        event, reason = next(parsed)
        if event is None:
            yield Invalid(_event_id(text), reason or "JSON")
        elif len(event) > LARGEST_EVENT:
            yield Invalid(_event_id(text), f"TOO_LARGE: event: at most {LARGEST_EVENT} bytes")
        else:
            yield event


def _event_id(text: str) -> str:
    """The id that a line gives itself, so that its receipt can be matched; empty where it gives none."""
    try:
        event_id = json.loads(text)["metadata"]["eventId"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return event_id if isinstance(event_id, str) else ""


def _varint(number: int) -> bytes:
    """Protobuf's encoding of a length."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
