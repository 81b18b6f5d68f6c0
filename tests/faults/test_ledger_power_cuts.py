"""Power cuts of the ledger: jobs, models, the audit log; as of the examples, without a server around it."""

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import faults, power_cuts
from helpers.faults import Entry, Preload
from helpers.ledger_writes import ACKNOWLEDGED, ERASED, ERASING
from helpers.power_cuts import Checker

IMAGES = int(os.environ.get("BECAS_POWER_CUT_IMAGES", "500"))
LONG_IMAGES = int(os.environ.get("BECAS_POWER_CUT_LONG_IMAGES", "20000"))
SEED = int(os.environ.get("BECAS_POWER_CUT_SEED", "20261126"))


@dataclass
class Recording:
    """What the ledger of a process asked of the disk, and the notes of the process."""

    root: Path
    entries: list[Entry]

    def acknowledged(self, cut: int) -> list[int]:
        """Numbers of the writes that had returned."""
        notes = [entry.data for entry in self.entries[:cut] if entry.kind == "A"]
        return [int(note.removeprefix(ACKNOWLEDGED)) for note in notes if note.startswith(ACKNOWLEDGED)]

    def noted(self, note: bytes, cut: int) -> bool:
        """Whether a note stands before the cut."""
        return any(entry.kind == "A" and entry.data == note for entry in self.entries[:cut])


def record(folder: Path, ignore: Sequence[str] = (), writers: int = 4) -> Recording:
    """Run writers and an erasure."""
    root, log = folder / "ledger", folder / "log"
    root.mkdir(parents=True, mode=0o700)
    preload = Preload(faults.library(folder), root, log, ignore)
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    subprocess.run(
        [sys.executable, "-m", "helpers.ledger_writes", root, log, str(writers)],
        env=os.environ | preload.variables() | {"PYTHONPATH": paths},
        timeout=120,
        check=True,
    )
    entries = faults.read(log)
    log.unlink()
    return Recording(root, entries)


def failures(recording: Recording, folder: Path, count: int, seed: int) -> list[str]:
    """Cut the power so many times; what was not kept, a line for each image that failed."""
    checker, found = Checker("ledger", folder / "image"), []
    try:
        for cut, files in power_cuts.images(recording.root, recording.entries, count, random.Random(seed)):
            asked = {
                "acknowledged": recording.acknowledged(cut),
                "erasing": recording.noted(ERASING, cut),
                "erased": recording.noted(ERASED, cut),
            }
            if problems := checker.problems(files, asked):
                found.append(f"cut at {cut} of {len(recording.entries)}, seed {seed}: {'; '.join(problems[:3])}")
    finally:
        checker.close()
    return found


@pytest.mark.timeout(120 + IMAGES)
def test_power_cuts_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """Every image opens and holds every write that had returned, none in part, and nothing that was erased."""
    recording = record(tmp_path)
    assert len(recording.acknowledged(len(recording.entries))) > 200

    assert failures(recording, tmp_path, IMAGES, SEED) == []


@pytest.mark.parametrize("ignored", [("fdatasync", "fsync", "dsync"), ("fdatasync",), ("dsync",)], ids="+".join)
def test_without_syncs_power_cuts_are_seen(tmp_path: Path, ignored: Sequence[str]) -> None:
    """The control: where syncs are left out, of the data or of the meta page alone, images fail."""
    # One writer: of several, the next one's sync may come before this one could say that it was acknowledged.
    unsynced = record(tmp_path, ignored, writers=1)

    assert len(failures(unsynced, tmp_path, 60, SEED)) > 3


@pytest.mark.long
@pytest.mark.timeout(24 * 3600)
def test_many_power_cuts(tmp_path: Path) -> None:
    """Fresh runs, a thousand power cuts each."""
    for seed in range(SEED + 1, SEED + 1 + LONG_IMAGES // 1000):
        folder = tmp_path / str(seed)
        assert failures(record(folder), folder, 1000, seed) == []
