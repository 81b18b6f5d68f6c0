"""Events for loads: real ones, any number of them, each with an id and a message of its own.

They are those of `events.jsonl.gz` (see README.md) in order, over and over: every pass gives each event a fresh id, and
from the second pass on a message mixed of two (variation.py), so that no pass is a duplicate of another.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from becas.ft.v1 import event_pb2
from becas_ft._core import events_from_json
from variation import Variation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("BECAS_SHARED", ROOT.parent / "shared")) / "data" / "events.jsonl.gz"

#: What no store and no export may hold: addresses and the platform's ids.
PERSONAL = re.compile(rb"[\w.+-]{1,64}@[\w-]{1,64}\.[a-z]{2,}|\b203\.0\.113\.\d{1,3}\b|\b\d{17,20}\b")


@cache
def lines() -> list[str]:
    """Events as bots publish them; where the real ones are missing, those that the demo makes of SMS messages."""
    if SHARED.exists():
        with gzip.open(SHARED, "rt", encoding="utf-8") as file:
            return [line for line in file if line.strip()]
    from becas_ft.cli.demo import messages

    return messages.load().events


def source() -> str:
    """Where the events are from."""
    return SHARED.name if SHARED.exists() else "the demo's SMS messages"


@cache
def originals() -> list[event_pb2.Event]:
    """Every usable event of the file, in its order."""
    return [event_pb2.Event.FromString(event) for event, _ in events_from_json(lines()) if event is not None]


@cache
def _variation() -> Variation:
    return Variation(originals())


def fresh(first_pass: int = 0, chosen: Sequence[int] | None = None) -> Iterator[bytes]:
    """Encoded events without end; two calls give the same ids only in the same pass.

    Arguments:
        first_pass: 0 sends the real messages, later ones are mixed of their halves.
        chosen: places among `originals`; all of them where absent.
    """
    places = range(len(originals())) if chosen is None else chosen
    for number in itertools.count(first_pass):
        for place in places:
            yield _variation().renewed(place, number).SerializeToString()


@dataclass(frozen=True)
class Load:
    """Encoded IngestRequests in a file, each after its length in 4 bytes, little-endian."""

    path: Path
    events: int
    batch: int


def write_load(path: Path, events: Iterator[bytes], count: int, batch: int) -> Load:
    """Take so many events from an iterator and write them in requests of `batch`."""
    with path.open("wb") as file:
        for start in range(0, count, batch):
            request = encode_request(itertools.islice(events, min(batch, count - start)))
            file.write(len(request).to_bytes(4, "little") + request)
    return Load(path, count, batch)


def read_load(path: Path) -> Iterator[bytes]:
    """The requests of a file."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        yield data[at + 4 : end]
        at = end


def encode_request(events: Iterable[bytes]) -> bytes:
    """An IngestRequest of encoded events: field 1, once for each."""
    from becas_ft.cli.event_file import Batch

    request = Batch()
    for event in events:
        request.add(event)
    return request.request()


def personal_data_sent(load: Load) -> int:
    """How many addresses and ids the requests of a load hold."""
    return len(PERSONAL.findall(load.path.read_bytes()))


def check_rows(rows: Iterable[bytes], least: int) -> int:
    """Assert that JSON lines are an export without personal data, and return how many they are."""
    count = 0
    for row in rows:
        parsed = json.loads(row)
        assert parsed["input"], "an exported row has no input"
        assert json.loads(parsed["output"]), "an exported row has no output"
        found = PERSONAL.search(row)
        assert found is None, "an exported row holds personal data"
        count += 1
    assert count >= least, f"{count} rows were exported, at least {least} must be"
    return count
