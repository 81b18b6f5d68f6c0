"""The trainer process keeps its promises when it is run again, killed, told to stop, or starved."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from becas_ft.training import Failure, FailureReason, ProcessTrainer, Progress, Recipe, TrainingJob
from becas_ft.training.errors import BusyError, TrainerFailedError
from becas_ft.training.evaluate import read_judged
from becas_ft.training.gguf import check_adapter, read_header
from becas_ft.training.job import (
    ADAPTER,
    CHECKPOINT,
    CURVE,
    EXIT_CODES,
    HELDOUT,
    LOCK,
    PARENT,
    PROGRESS,
    RESULT,
    read_result,
)
from becas_ft.training.progress import ProgressReader, losses_by_step
from helpers.datasets import scam_rows, write_rows
from helpers.tiny_gguf import write_tiny_gguf
from helpers.training import trainer_in

if TYPE_CHECKING:
    from collections.abc import Callable

RECIPE = Recipe(
    rank=4,
    batch_rows=4,
    micro_rows=2,
    micro_tokens=512,
    max_tokens=256,
    epochs=6,
    checkpoint_steps=2,
    learning_rate=1e-2,
    dropout=0.1,
)
STEPS = 6 * 24 // 4


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    """24 training and 10 held-out rows for a tiny random model; dropout on, so that randomness is in play."""
    folder = tmp_path_factory.mktemp("job")
    rows = [*scam_rows(24), *scam_rows(10, split="test", seed=9)]
    return TrainingJob(
        dataset=write_rows(folder / "dataset.jsonl", rows),
        base=write_tiny_gguf(folder / "base.gguf"),
        label_key="isScam",
        recipe=RECIPE,
        seed=3,
        threads=1,
    )


@pytest.fixture(scope="module")
def reference(job: TrainingJob, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    """Run the job once, undisturbed."""
    folder = tmp_path_factory.mktemp("reference")
    events: list[Progress] = []
    asyncio.run(ProcessTrainer().train(job, folder, events.append))
    return folder, events


def start(folder: Path, *, file_size_limit: int | None = None) -> subprocess.Popen[bytes]:
    """Start the trainer; what it says goes to a file beside the folder."""
    limit = [] if file_size_limit is None else ["prlimit", f"--fsize={file_size_limit}"]
    with folder.with_suffix(".log").open("wb") as log:
        return subprocess.Popen([*limit, sys.executable, "-m", "becas_ft.training.lora", str(folder)], stderr=log)


def said(folder: Path) -> str:
    """Return what the trainer said."""
    return folder.with_suffix(".log").read_text()


def wait_for_step(folder: Path, step: int) -> None:
    """Wait until the trainer reports a step."""
    reader = ProgressReader(folder / PROGRESS)
    give_up = time.monotonic() + 200
    while time.monotonic() < give_up:
        if any(event.stage == "training" and event.step >= step for event in reader.new()):
            return
        time.sleep(0.005)
    raise TimeoutError


def test_job_leaves_a_whole_adapter_and_its_story(job: TrainingJob, reference: tuple[Path, list[Progress]]) -> None:
    """A finished job holds a checked adapter, every step's progress, the loss curve and labels of all held-out rows."""
    folder, events = reference

    adapter = read_result(folder)
    assert adapter is not None
    assert not isinstance(adapter, Failure)
    check_adapter(adapter.path, read_header(job.base))
    assert (adapter.steps, adapter.rows, adapter.threads) == (STEPS, 24, 1)
    assert adapter.peak_rss_bytes > 100 << 20
    stages = [event.stage for event in events]
    assert list(dict.fromkeys(stages)) == ["loading", "encoding", "training", "writing", "evaluating", "done"]
    curve = losses_by_step(events)
    assert [step for step, _ in curve] == list(range(1, STEPS + 1))
    assert curve[-1][1] < curve[0][1] / 2
    assert b"<svg" in (folder / CURVE).read_bytes()
    judged = read_judged(folder / HELDOUT)
    assert [row.truth for row in judged] == [False, True] * 5
    assert all(isinstance(label, bool) for row in judged for label in (row.candidate, row.base, row.few_shot))


def test_no_file_of_a_job_but_its_dataset_holds_text(reference: tuple[Path, list[Progress]]) -> None:
    """What a job writes can be shown to anyone: no message, no user."""
    folder, _ = reference
    words = (b"kayak", b"lantern", b"harbour", b"train-user")

    seen = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    assert [name for name, data in seen.items() if any(word in data for word in words)] == []


def test_same_seed_gives_the_same_bytes_and_another_seed_others(
    job: TrainingJob, reference: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    """The adapter's bytes follow from dataset, base, recipe and seed."""
    dataclasses.replace(job, heldout_rows=0).write(tmp_path / "same")
    dataclasses.replace(job, heldout_rows=0, seed=4).write(tmp_path / "other")
    for name in ("same", "other"):
        assert start(tmp_path / name).wait(200) == 0

    expected = (reference[0] / ADAPTER).read_bytes()
    assert (tmp_path / "same" / ADAPTER).read_bytes() == expected
    assert (tmp_path / "other" / ADAPTER).read_bytes() != expected


def test_killed_trainer_resumes_to_the_same_bytes(
    job: TrainingJob, reference: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    """A kill -9 leaves no result and no adapter; the next run goes on from the checkpoint to the same end."""
    job.write(tmp_path)
    process = start(tmp_path)
    wait_for_step(tmp_path, 5)
    process.kill()
    process.wait()

    assert read_result(tmp_path) is None
    assert not (tmp_path / ADAPTER).exists()
    assert (tmp_path / CHECKPOINT).exists()
    events: list[Progress] = []
    asyncio.run(ProcessTrainer().train(job, tmp_path, events.append))

    assert min(event.step for event in events if event.stage == "training") > 4
    assert (tmp_path / ADAPTER).read_bytes() == (reference[0] / ADAPTER).read_bytes()
    curve = losses_by_step(ProgressReader(tmp_path / PROGRESS).new())
    assert curve == losses_by_step(ProgressReader(reference[0] / PROGRESS).new())


def test_sigterm_stops_at_a_checkpoint(
    job: TrainingJob, reference: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    """A cancelled job ends by itself, says so, lists no adapter, and can be taken up again with the same result."""
    job.write(tmp_path)
    process = start(tmp_path)
    wait_for_step(tmp_path, 3)
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == EXIT_CODES[FailureReason.CANCELLED]
    failure = read_result(tmp_path)
    assert isinstance(failure, Failure)
    assert failure.reason is FailureReason.CANCELLED
    assert not (tmp_path / ADAPTER).exists()
    assert start(tmp_path).wait(200) == 0
    assert (tmp_path / ADAPTER).read_bytes() == (reference[0] / ADAPTER).read_bytes()


def test_cancelled_task_stops_its_process(job: TrainingJob, tmp_path: Path) -> None:
    """Cancelling the caller's task leaves no trainer behind, and a checkpoint."""

    async def run() -> None:
        training = asyncio.Event()
        task = asyncio.create_task(
            ProcessTrainer().train(job, tmp_path, lambda event: training.set() if event.step else None),
        )
        await training.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())

    failure = read_result(tmp_path)
    assert isinstance(failure, Failure)
    assert failure.reason is FailureReason.CANCELLED
    with (tmp_path / LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_full_disk_ends_the_job_cleanly(job: TrainingJob, tmp_path: Path) -> None:
    """When a file cannot grow, the job fails with the reason and nothing half-written keeps a name."""
    job.write(tmp_path)

    code = start(tmp_path, file_size_limit=30_000).wait(200)

    assert code == EXIT_CODES[FailureReason.DISK_FULL], said(tmp_path)
    failure = read_result(tmp_path)
    assert isinstance(failure, Failure)
    assert failure.reason is FailureReason.DISK_FULL
    assert "free space" in failure.message
    assert {path.name for path in tmp_path.iterdir()} <= {"job.json", PROGRESS, LOCK, RESULT}


def test_memory_limit_ends_the_job_cleanly(job: TrainingJob, tmp_path: Path) -> None:
    """A trainer that may not have the memory it needs fails by itself, before the kernel picks a victim."""
    dataclasses.replace(job, memory_limit_bytes=100 << 20).write(tmp_path)

    code = start(tmp_path).wait(200)

    assert code == EXIT_CODES[FailureReason.OUT_OF_MEMORY], said(tmp_path)
    failure = read_result(tmp_path)
    assert isinstance(failure, Failure)
    assert "memory_limit_bytes" in failure.message


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda learnt, _: {"metadata": {**learnt["metadata"], "split": "test"}}, "1 shared users"),
        (lambda learnt, _: {"input": learnt["input"].upper()}, "1 near-copies"),
        (lambda _, held: {"metadata": {**held["metadata"], "user": "", "guild": "g-1"}}, "1 shared guilds"),
    ],
    ids=["user", "near-copy", "guild of rows without a user"],
)
def test_leaking_split_fails_the_job(
    job: TrainingJob, tmp_path: Path, change: Callable[[Any, Any], dict[str, object]], found: str
) -> None:
    """Somebody or something on both sides fails the job before it trains anything, through the caller's own door."""
    learnt, held = scam_rows(8), scam_rows(4, split="test", seed=5)
    learnt.append({**scam_rows(1, seed=8)[0], "metadata": {"split": "train", "user": "", "guild": "g-1"}})
    held[-1] |= change(learnt[0], held[-1])
    leaking = dataclasses.replace(job, dataset=write_rows(tmp_path / "dataset.jsonl", [*learnt, *held]))

    with pytest.raises(TrainerFailedError, match=found) as caught:
        asyncio.run(ProcessTrainer().train(leaking, tmp_path / "job", lambda _event: None))

    assert caught.value.reason == FailureReason.LEAKAGE


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"input": "secret words", "output": "no json", "system": "", "metadata": {}}', FailureReason.BAD_DATASET),
        (b"", FailureReason.BAD_DATASET),
    ],
    ids=["output is no JSON", "empty dataset"],
)
def test_bad_dataset_is_named_without_its_text(
    job: TrainingJob, tmp_path: Path, line: bytes, reason: FailureReason
) -> None:
    """A row that cannot be trained on is named by its number; neither result nor log quote it."""
    (tmp_path / "dataset.jsonl").write_bytes(line)
    dataclasses.replace(job, dataset=tmp_path / "dataset.jsonl").write(tmp_path)

    code = start(tmp_path).wait(100)

    assert code == EXIT_CODES[reason]
    assert "secret" not in said(tmp_path) + (tmp_path / RESULT).read_text()


def test_half_written_base_fails_the_job(job: TrainingJob, tmp_path: Path) -> None:
    """A base that was not fetched to its end is refused with the remedy."""
    data = job.base.read_bytes()
    (tmp_path / "half.gguf").write_bytes(data[: len(data) // 2])
    dataclasses.replace(job, base=tmp_path / "half.gguf").write(tmp_path)

    assert start(tmp_path).wait(200) == EXIT_CODES[FailureReason.BAD_BASE]
    failure = read_result(tmp_path)
    assert isinstance(failure, Failure)
    assert "half-written" in failure.message


def test_architecture_without_proof_is_refused_before_training(job: TrainingJob, tmp_path: Path) -> None:
    """A base whose adapters nobody has shown to mean the same in llama.cpp is refused at once, with those that are."""
    base = write_tiny_gguf(tmp_path / "gemma.gguf", "gemma3")
    dataclasses.replace(job, base=base).write(tmp_path / "job")

    assert start(tmp_path / "job").wait(200) == EXIT_CODES[FailureReason.BAD_BASE]
    failure = read_result(tmp_path / "job")
    assert isinstance(failure, Failure)
    assert "use one of llama, qwen3" in failure.message
    assert losses_by_step(ProgressReader(tmp_path / "job" / PROGRESS).new()) == []


def test_one_trainer_a_folder(job: TrainingJob, tmp_path: Path) -> None:
    """A second trainer in a folder is turned away, and touches nothing."""
    job.write(tmp_path)
    with (tmp_path / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError):
            asyncio.run(ProcessTrainer(patience_seconds=0.3).train(job, tmp_path, lambda _event: None))
        code = start(tmp_path).wait(100)

    assert code == EXIT_CODES[FailureReason.BUSY]
    assert {path.name for path in tmp_path.iterdir()} == {"job.json", LOCK}


PARENT_THAT_IS_KILLED = """
import asyncio, os, sys
from pathlib import Path
from becas_ft.training import ProcessTrainer, TrainingJob

stage, folder = sys.argv[1], Path(sys.argv[2])
job = TrainingJob.read(folder)

def die(event):
    if event.stage == stage and event.step in (0, 4):
        os.kill(os.getpid(), 9)

asyncio.run(ProcessTrainer().train(job, folder, die))
"""


@pytest.mark.parametrize("stage", ["loading", "training"])
def test_server_killed_and_restarted_goes_on_with_the_training(
    job: TrainingJob, reference: tuple[Path, list[Progress]], tmp_path: Path, stage: str
) -> None:
    """A kill -9 of whoever started the trainer ends both; a restart at once waits for that, and ends the same."""
    job.write(tmp_path)
    command = [sys.executable, "-c", PARENT_THAT_IS_KILLED, stage, str(tmp_path)]
    assert subprocess.run(command, check=False, timeout=200).returncode == -signal.SIGKILL

    events: list[Progress] = []
    adapter = asyncio.run(ProcessTrainer().train(job, tmp_path, events.append))

    assert adapter.path.read_bytes() == (reference[0] / ADAPTER).read_bytes()
    first = min(event.step for event in events if event.stage == "training")
    assert first > (4 if stage == "training" else 0)


def test_trainer_whose_parent_was_gone_before_it_looked_stops(job: TrainingJob, tmp_path: Path) -> None:
    """A trainer that is told of a parent that it does not have any more trains nothing for nobody."""
    job.write(tmp_path)
    with (tmp_path.with_suffix(".log")).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "becas_ft.training.lora", str(tmp_path)],
            stderr=log,
            env={**os.environ, PARENT: str(process_that_ended())},
        )

    assert process.wait(200) == EXIT_CODES[FailureReason.CANCELLED]
    assert losses_by_step(ProgressReader(tmp_path / PROGRESS).new()) == []


def process_that_ended() -> int:
    """Return an id that no parent of ours has."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_killed_trainer_is_started_again_by_itself(
    job: TrainingJob, reference: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    """A kill -9 of the trainer under a job costs a few steps: it goes on from its checkpoint to the same bytes."""
    killed: list[int] = []

    def kill(event: Progress) -> None:
        if event.step == 5 and not killed:
            killed.append(trainer_in(tmp_path))
            os.kill(killed[0], signal.SIGKILL)

    adapter = asyncio.run(ProcessTrainer().train(job, tmp_path, kill))

    assert killed
    assert adapter.path.read_bytes() == (reference[0] / ADAPTER).read_bytes()


def test_trainer_that_is_killed_every_time_fails_the_job(job: TrainingJob, tmp_path: Path) -> None:
    """After the last attempt the job fails with the signal and the remedy, and without an adapter."""
    attempts: list[int] = []

    def kill(event: Progress) -> None:
        if event.stage == "loading":
            attempts.append(trainer_in(tmp_path))
            os.kill(attempts[-1], signal.SIGKILL)

    with pytest.raises(TrainerFailedError, match=r"killed by signal 9 .*free memory") as caught:
        asyncio.run(ProcessTrainer().train(job, tmp_path, kill))

    assert caught.value.reason == FailureReason.CRASHED
    assert len(set(attempts)) == 3
    assert not (tmp_path / ADAPTER).exists()


def test_finished_training_is_not_done_again(
    job: TrainingJob, reference: tuple[Path, list[Progress]], tmp_path: Path
) -> None:
    """A job that is resumed after its training takes the adapter that is there; for another seed it trains."""
    events: list[Progress] = []
    shutil.copytree(reference[0], tmp_path, dirs_exist_ok=True)

    again = asyncio.run(ProcessTrainer().train(job, tmp_path, events.append))
    assert events == []
    other = asyncio.run(ProcessTrainer().train(dataclasses.replace(job, seed=4), tmp_path, events.append))

    assert events
    assert again.sha256 != other.sha256


def test_adapter_that_changed_is_no_result(reference: tuple[Path, list[Progress]], tmp_path: Path) -> None:
    """A result counts only while the adapter has the digest that the trainer wrote."""
    for name in (ADAPTER, RESULT):
        (tmp_path / name).write_bytes((reference[0] / name).read_bytes())
    with (tmp_path / ADAPTER).open("r+b") as file:
        file.truncate(os.path.getsize(tmp_path / ADAPTER) // 2)  # noqa: PTH202  (beside truncate)

    assert isinstance(read_result(tmp_path), Failure)
    assert json.loads((tmp_path / RESULT).read_bytes())["status"] == "done"
