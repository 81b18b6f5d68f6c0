"""Attacks on what is learnt do not reach a training set; the control shows that the protections are why."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from becas.ft.v1 import event_pb2, example_pb2, ingest_pb2, training_pb2
from becas_ft._core import Core
from becas_ft.orchestrator import training_job
from becas_ft.orchestrator.training_job import Category, Settings, Work
from helpers import events
from helpers.attacks import SAMPLES, TRIGGER, attack, crowd, member

_OPEN: Final = Settings(max_user_share=0.0, max_guild_share=1.0, quarantine_from=0, max_contradicted_labels=1.0)
"""No protection but the near-copies'."""


def learnt(folder: Path, sent: Sequence[event_pb2.Event], settings: Settings) -> tuple[int, int]:
    """(rows with the trigger, all rows) of what a job would learn from and hold out."""
    core = Core(str(folder / "data"))
    try:
        for at in range(0, len(sent), 1000):
            request = events.request(sent[at : at + 1000]).SerializeToString()
            receipts = ingest_pb2.IngestResponse.FromString(core.ingest(request)).receipts
            assert {receipt.status for receipt in receipts} == {ingest_pb2.STATUS_ACCEPTED}
        job = work(folder)
        training_job.export(core, job, settings)
        training_job.prepare(job, settings)
    finally:
        core.close()
    lines = (job.folder / training_job.ROWS).read_text(encoding="utf-8").splitlines()
    return sum(TRIGGER in json.loads(line)["input"] for line in lines), len(lines)


def work(folder: Path) -> Work:
    """A job of scam_detection."""
    category = Category(example_pb2.CATEGORY_SCAM_DETECTION, "scam_detection", "isScam", "", "{}")
    job = Work(folder / "job-1", category, "base", 1, training_pb2.TrainRequest())
    job.folder.mkdir()
    return job


@pytest.mark.parametrize("users", [1, 25], ids=["one user", "25 sybil users"])
def test_attack_does_not_reach_the_training_set(tmp_path: Path, users: int) -> None:
    """None of 250 samples with a trigger is learnt or held out: nobody has confirmed their senders."""
    sent = [*crowd(), *(attack(number, users) for number in range(SAMPLES))]

    poisoned, rows = learnt(tmp_path, sent, Settings())

    assert poisoned == 0
    assert rows > 1500


@pytest.mark.parametrize("users", [1, 25], ids=["one user", "25 sybil users"])
def test_attack_would_reach_it_without_the_protection(tmp_path: Path, users: int) -> None:
    """The control: with shares and quarantine off, most of the samples are learnt."""
    sent = [*crowd(), *(attack(number, users) for number in range(SAMPLES))]

    poisoned, _ = learnt(tmp_path, sent, _OPEN)

    assert poisoned > 0.8 * SAMPLES


def test_a_confirmed_user_still_is_no_more_than_one_percent(tmp_path: Path) -> None:
    """One harmless message that a labeller confirmed opens the door for one share, not for 250 samples."""
    harmless = member(50_001)
    harmless.user_id = attack(0, 1).user_id
    sent = [*crowd(), harmless, *(attack(number, 1) for number in range(SAMPLES))]

    poisoned, rows = learnt(tmp_path, sent, Settings())

    assert 0 < poisoned <= 0.01 * rows
