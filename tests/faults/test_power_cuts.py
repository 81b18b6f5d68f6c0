"""Power cuts: whatever of the writes that were not synced is lost or torn, nothing acknowledged is.

A server runs under a library that writes down its writes, its syncs and what it sends. Power is cut, on paper, at many
places of that log; for each a folder is made of what a disk could then hold, and opened.
"""

import os
import random
import shutil
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from becas.ft.v1 import dataset_pb2, dataset_service_pb2_grpc, example_pb2, ingest_service_pb2_grpc
from helpers import faults, kept, power_cuts
from helpers.faults import Entry, Preload
from helpers.power_cuts import Checker
from helpers.server import ServerProcess

IMAGES = int(os.environ.get("BECAS_POWER_CUT_IMAGES", "500"))
LONG_IMAGES = int(os.environ.get("BECAS_POWER_CUT_LONG_IMAGES", "20000"))
MINUTES = float(os.environ.get("BECAS_POWER_CUT_MINUTES", "0"))
SEED = int(os.environ.get("BECAS_POWER_CUT_SEED", "20261126"))
CLIENTS = 8
FORGOTTEN_CLIENT = 8
FORGOTTEN_USER = 700_000_000_000_000_777
ERASING, ERASED = b"erasing", b"erased"


@dataclass
class Recording:
    """What a server asked of the disk, and what it was sent.

    Attributes:
        entries: the log.
        sent: batches, by the client.
        forgotten: batches of the user who was forgotten.
    """

    root: Path
    entries: list[Entry]
    sent: list[kept.Batch]
    forgotten: list[kept.Batch]

    def acknowledged(self) -> list[tuple[int, kept.Batch]]:
        """When the last id of each batch had left the server, as a place in the log."""
        by_id = {event_id: batch for batch in (*self.sent, *self.forgotten) for event_id in batch.event_ids}
        missing = {batch: set(batch.event_ids) for batch in (*self.sent, *self.forgotten)}
        found = []
        for place, event_id in sent_ids(self.entries):
            batch = by_id[event_id]
            if event_id in missing[batch]:
                missing[batch].remove(event_id)
                if not missing[batch]:
                    found.append((place, batch))
        return found

    def place(self, note: bytes) -> int:
        """Where a note stands."""
        return next(place for place, entry in enumerate(self.entries) if entry.kind == "A" and entry.data == note)


def sent_ids(entries: Sequence[Entry]) -> Iterator[tuple[int, str]]:
    """Event ids as they leave the server, with their place in the log."""
    tails: dict[tuple[int, int], bytes] = defaultdict(bytes)
    for place, entry in enumerate(entries):
        if entry.kind == "N":
            # An id may leave in two parts.
            data = tails[entry.process, entry.fd] + entry.data
            end = 0
            for match in kept.EVENT_ID.finditer(data):
                end = match.end()
                yield place, match.group().decode()
            tails[entry.process, entry.fd] = data[end:][-32:]


@dataclass
class Sender:
    """A client."""

    client: int
    random: random.Random
    stop: threading.Event
    sent: list[kept.Batch] = field(default_factory=list)

    def run(self, server: ServerProcess) -> None:
        """Until told to stop."""
        user = FORGOTTEN_USER if self.client == FORGOTTEN_CLIENT else None
        with server.channel(use_local_subchannel_pool=1) as channel:
            stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
            start = 0
            while not self.stop.is_set():
                batch = kept.Batch(self.client, start, start + 1 + int(30 ** self.random.random()))
                start = batch.end
                self.sent.append(batch)
                stub.Ingest(batch.request(user=user), timeout=60)
                # Few events, many commits: images are quick to check, and calls still meet in commits.
                time.sleep(self.random.random() / 20)


def record(folder: Path, seed: int, ignore: Sequence[str] = ()) -> Recording:
    """Run a server under load, with an erasure and an export in the middle."""
    data_dir, log = folder / "data", folder / "log"
    data_dir.mkdir(parents=True)
    preload = Preload(faults.library(folder), data_dir, log, ignore)
    server = ServerProcess(data_dir, folder / "server", variables=preload.variables()).start()
    stop, stop_forgotten = threading.Event(), threading.Event()
    senders = [Sender(number, random.Random(seed + number), stop) for number in range(CLIENTS)]
    forgotten = Sender(FORGOTTEN_CLIENT, random.Random(seed - 1), stop_forgotten)
    threads = [threading.Thread(target=sender.run, args=(server,)) for sender in (*senders, forgotten)]
    try:
        for thread in threads:
            thread.start()
        time.sleep(0.7)
        stop_forgotten.set()
        threads[-1].join()
        with server.channel() as channel:
            stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
            faults.note(log, ERASING)
            stub.Forget(dataset_pb2.ForgetRequest(user_id=str(FORGOTTEN_USER)), timeout=60)
            faults.note(log, ERASED)
            request = dataset_pb2.ExportRequest(name="cut", category=example_pb2.CATEGORY_SCAM_DETECTION, min_group=1)
            assert list(stub.Export(request, timeout=60))
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join()
    finally:
        server.kill()
    entries = faults.read(log)
    log.unlink()
    return Recording(data_dir, entries, [batch for sender in senders for batch in sender.sent], forgotten.sent)


def failures(recording: Recording, folder: Path, count: int, seed: int) -> list[str]:
    """Cut the power so many times; what was not kept, a line for each image that failed."""
    chance = random.Random(seed)
    acknowledged = recording.acknowledged()
    erasing, erased = recording.place(ERASING), recording.place(ERASED)
    checker, found = Checker("examples", folder / "image"), []
    try:
        for cut, files in power_cuts.images(recording.root, recording.entries, count, chance):
            before = {batch for place, batch in acknowledged if place < cut}
            # While they are erased, forgotten batches are there in any part.
            counted = [*recording.sent, *(recording.forgotten if cut < erasing else ())]
            asked = {
                "sent": [(batch.client, batch.start, batch.end) for batch in counted],
                "acknowledged": [(one.client, one.start, one.end) for one in before.intersection(counted)],
                "erased": [(one.client, one.start, one.end) for one in recording.forgotten if cut > erased],
            }
            problems = checker.problems(files, asked)
            if problems:
                found.append(f"cut at {cut} of {len(recording.entries)}, seed {seed}: {'; '.join(problems[:3])}")
    finally:
        checker.close()
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """One run of a server."""
    return record(tmp_path_factory.mktemp("recorded"), SEED)


@pytest.mark.timeout(120 + IMAGES)
def test_power_cuts_lose_nothing_acknowledged(recording: Recording, tmp_path: Path) -> None:
    """Every image opens, holds every acknowledged batch, no half ones, and nothing that was erased."""
    assert len(recording.acknowledged()) > 50

    assert failures(recording, tmp_path, IMAGES, SEED) == []


@pytest.mark.parametrize("ignored", [("fdatasync", "fsync", "dsync"), ("fdatasync",), ("dsync",)], ids="+".join)
def test_without_syncs_power_cuts_are_seen(tmp_path: Path, ignored: Sequence[str]) -> None:
    """The control: where syncs are left out, of the data or of the meta page alone, images fail."""
    unsynced = record(tmp_path, SEED, ignored)

    assert len(failures(unsynced, tmp_path, 60, SEED)) > 3


def test_every_acknowledgement_comes_after_the_sync_of_its_data(recording: Recording) -> None:
    """By the log alone: data written, synced, then the meta page written through, then the receipt."""
    written: set[bytes] = set()
    synced: set[bytes] = set()
    durable: set[bytes] = set()
    opened: dict[tuple[int, int], tuple[str, bool]] = {}
    place_of_id: dict[int, list[str]] = defaultdict(list)
    for place, event_id in sent_ids(recording.entries):
        place_of_id[place].append(event_id)
    checked = 0
    for place, entry in enumerate(recording.entries):
        key = (entry.process, entry.fd)
        path, dsync = opened.get(key, ("", False))
        if entry.kind == "O":
            opened[key] = (entry.data.decode(), entry.dsync)
        elif entry.kind == "W" and path.endswith("examples/data.mdb"):
            if dsync:
                assert entry.offset + len(entry.data) <= 2 * 4096, "only meta pages are written through"
                durable |= synced
            else:
                written.update(kept.MARK.findall(entry.data))
        elif entry.kind == "S" and path.endswith("examples/data.mdb"):
            synced |= written
        for event_id in place_of_id[place]:
            assert kept.mark_of(event_id).encode() in durable, f"{event_id} was acknowledged too early"
            checked += 1

    assert checked == sum(len(batch.event_ids) for batch in (*recording.sent, *recording.forgotten))
    assert checked > 300


@pytest.mark.long
@pytest.mark.timeout(24 * 3600)
def test_many_power_cuts(tmp_path: Path) -> None:
    """Fresh runs of the server, a thousand power cuts each, until the number or the time is reached."""
    started, images = time.monotonic(), 0
    found: list[str] = []
    for seed in range(SEED + 1, SEED + 10**6):
        enough = time.monotonic() - started > MINUTES * 60 if MINUTES else images >= LONG_IMAGES
        if enough or found:
            break
        folder = tmp_path / str(seed)
        found = failures(record(folder, seed), folder, 1000, seed)
        images += 1000
        shutil.rmtree(folder)
    sys.stderr.write(f"{images} images, {len(found)} failures\n")

    assert found == []
