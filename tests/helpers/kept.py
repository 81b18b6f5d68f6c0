"""Batches that tests of faults send, and whether a store keeps them: the one question after every fault."""

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from becas.ft.v1 import dataset_pb2, event_pb2, ingest_pb2
from becas_ft._core import Core
from helpers import events

REOPEN_SECONDS: Final = 2.0
EVENT_ID: Final = re.compile(rb"kept-\d\d-\d{7}")
MARK: Final = re.compile(rb"mark-[a-p]{8}")
_PAGE: Final = 1000


@dataclass(frozen=True, order=True)
class Batch:
    """Events of one request: numbers `start` up to `end` of a client."""

    client: int
    start: int
    end: int

    @property
    def event_ids(self) -> list[str]:
        """In their order."""
        return [f"kept-{self.client:02}-{number:07}" for number in range(self.start, self.end)]

    def request(self, *, user: int | None = None) -> ingest_pb2.IngestRequest:
        """The request; its events are all of one user where one is named."""
        return events.request([self._event(number, user) for number in range(self.start, self.end)])

    def texts(self) -> Iterator[tuple[str, str]]:
        """The mark of each event, and its whole message."""
        for number in range(self.start, self.end):
            yield mark(self.client, number), _text(self.client, number)

    def _event(self, number: int, user: int | None) -> event_pb2.Event:
        event = events.scam_message(f"kept-{self.client:02}-{number:07}", self.client * 10**7 + number)
        event.scam_detected.text = _text(self.client, number)
        if user is not None:
            event.user_id = str(user)
        return event


def mark(client: int, number: int) -> str:
    """A word that no other message has and no redaction touches."""
    digits = f"{client * 10**7 + number:08x}"
    return "mark-" + "".join(chr(ord("a") + int(digit, 16)) for digit in digits)


def mark_of(event_id: str) -> str:
    """The mark of an event by its id."""
    _, client, number = event_id.split("-")
    return mark(int(client), int(number))


def _text(client: int, number: int) -> str:
    return f"{events.message(client * 10**7 + number)} {mark(client, number)}"


def problems(
    data_dir: Path, sent: Iterable[Batch], acknowledged: Collection[Batch], erased: Collection[Batch] = ()
) -> list[str]:
    """What a store does not keep as it must; empty where all is well.

    Arguments:
        data_dir: of a server that does not run.
        sent: every batch that ever left a client, erased ones left out.
        acknowledged: those with receipts; they must be there once, the others whole or not at all.
        erased: nothing of these may be there.
    """
    started = time.monotonic()
    core = Core(str(data_dir))
    seconds = time.monotonic() - started
    try:
        found = [f"opened in {seconds:.1f} s"] if seconds > REOPEN_SECONDS else []
        found += core.verify()
        if core.stats() != core.recount():
            found.append("counters differ from a recount")
        inputs = _inputs(core)
    finally:
        core.close()
    times = Counter(inputs_mark for inputs_mark, _ in inputs)
    found += [f"{name} is there {count} times" for name, count in times.items() if count > 1]
    texts = dict(inputs)
    for batch in sent:
        there = [text in texts.get(name, "") for name, text in batch.texts()]
        if batch in acknowledged and not all(there):
            found.append(f"{batch} was acknowledged, and {there.count(False)} of {len(there)} are lost or changed")
        elif any(there) and not all(there):
            found.append(f"{batch} is there in part")
    for batch in erased:
        if any(name in texts for name, _ in batch.texts()):
            found.append(f"{batch} was erased, and is there")
    return found


def _inputs(core: Core) -> list[tuple[str, str]]:
    found = []
    request = dataset_pb2.ListExamplesRequest(page_size=_PAGE)
    while True:
        page = dataset_pb2.ListExamplesResponse.FromString(core.list_examples(request.SerializeToString()))
        for example in page.examples:
            match = MARK.search(example.input.encode())
            if match:
                found.append((match.group().decode(), example.input))
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
