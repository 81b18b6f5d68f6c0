"""A trainer that lacks memory goes on from its checkpoint with fewer tokens at a time, down to a floor."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from becas_ft.training import FailureReason, ProcessTrainer, Progress, Recipe, TrainingJob, trainer
from becas_ft.training.batches import plan
from becas_ft.training.errors import TrainerFailedError
from becas_ft.training.job import LEAST_MICRO_TOKENS
from becas_ft.training.progress import losses_by_step
from helpers.datasets import scam_rows, write_rows
from helpers.tiny_gguf import write_tiny_gguf
from helpers.training import trainer_in

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 256
LONG = 256
# Minutes on two cores.
pytestmark = pytest.mark.long
# A step of short rows and one of long ones, each at once where memory is no matter.
RECIPE = Recipe(
    rank=4,
    batch_rows=ROWS,
    micro_rows=ROWS,
    micro_tokens=ROWS * LONG,
    max_tokens=LONG,
    max_answer_tokens=32,
    epochs=1,
    checkpoint_steps=1,
)
# The long rows at once take three times as much beside what a sixteenth of them takes; the short ones a third.
ROOM = 96 << 20


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    """Its first step takes little memory, its second much."""
    folder = tmp_path_factory.mktemp("job")
    short, long = scam_rows(ROWS, seed=1), scam_rows(ROWS, seed=2)
    for number, row in enumerate(short):
        row["input"], row["output"] = f"Message: {number}", f'{{"isScam":{json.dumps(number % 2 == 0)}}}'
    for number, row in enumerate(long):
        row["input"] = f"{row['input']} {number} " * 4
    lengths = [LONG // 2] * ROWS + [LONG] * ROWS
    seed = next(seed for seed in range(50) if max(plan(lengths, RECIPE, seed)[0].micro_batches[0]) < ROWS)
    return TrainingJob(
        dataset=write_rows(folder / "dataset.jsonl", [*short, *long]),
        base=write_tiny_gguf(folder / "base.gguf"),
        label_key="isScam",
        recipe=RECIPE,
        seed=seed,
        threads=1,
        heldout_rows=0,
    )


def private_bytes(folder: Path) -> int:
    """What the limit counts of the trainer in a folder now; 0 where none works there."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{trainer_in(folder)}/status").read_text()
        if found := re.search(r"VmData:\s+(\d+) kB", status):
            return int(found.group(1)) << 10
    return 0


async def run(job: TrainingJob, folder: Path, told: Callable[[Progress], None]) -> int:
    """Train; the most private memory that was seen."""
    training, most = asyncio.create_task(ProcessTrainer().train(job, folder, told)), 0
    while not training.done():
        most = max(most, private_bytes(folder))
        await asyncio.wait({training}, timeout=0.2)
    await training
    return most


def test_a_trainer_at_its_memory_limit_goes_on_with_less_at_a_time(job: TrainingJob, tmp_path: Path) -> None:
    """Half as much, again and again until it fits; no step is lost or done twice, and the losses are the same."""
    alone: list[Progress] = []
    small = dataclasses.replace(job, micro_tokens=RECIPE.micro_tokens // 16)
    needed = asyncio.run(run(small, tmp_path / "small", alone.append))
    limited = dataclasses.replace(job, memory_limit_bytes=needed + ROOM)
    events: list[Progress] = []

    asyncio.run(run(limited, tmp_path / "limited", events.append))

    left = TrainingJob.read(tmp_path / "limited")
    halvings = [RECIPE.micro_tokens >> times for times in range(1, 10)]
    told = [event.notice for event in events if event.notice]
    assert left == dataclasses.replace(limited, micro_tokens=halvings[len(told) - 1])
    assert told
    assert told == [
        f"memory did not suffice: it goes on with at most {tokens:,} tokens at a time"
        for tokens in halvings[: len(told)]
    ]
    # The first step fitted at once: it was not done again.
    assert [event.step for event in events if event.loss is not None] == [1, 2]
    assert [loss for _, loss in losses_by_step(events)] == pytest.approx(
        [loss for _, loss in losses_by_step(alone)], rel=1e-4
    )
    # A server that was killed meanwhile takes what is there.
    again: list[Progress] = []
    asyncio.run(run(limited, tmp_path / "limited", again.append))
    assert again == []


def test_too_little_memory_for_anything_ends_the_job(job: TrainingJob, tmp_path: Path) -> None:
    """The floor is reached, and the error says what to do."""
    small = dataclasses.replace(
        job, recipe=job.recipe.but({"micro_tokens": 4 * LEAST_MICRO_TOKENS}), memory_limit_bytes=100 << 20
    )
    events: list[Progress] = []

    with pytest.raises(TrainerFailedError, match="memory_limit_bytes") as caught:
        asyncio.run(ProcessTrainer().train(small, tmp_path, events.append))

    assert caught.value.reason == FailureReason.OUT_OF_MEMORY
    assert sum(bool(event.notice) for event in events) == 2
    assert TrainingJob.read(tmp_path).micro_tokens == LEAST_MICRO_TOKENS


def test_a_trainer_that_the_kernel_kills_for_memory_goes_on_with_less(
    job: TrainingJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told from any other kill -9 by the kernel's count of such victims.

    That count is a fake, which rises with the kill: a machine without memory would end the tests themselves.
    """
    counters = tmp_path / "vmstat"
    counters.write_text("nr_free_pages 17\noom_kill 4\n")
    monkeypatch.setattr(trainer, "_KERNEL_COUNTERS", counters)
    events: list[Progress] = []

    def kill(event: Progress) -> None:
        events.append(event)
        if event.stage == "encoding" and counters.read_text().endswith("oom_kill 4\n"):
            counters.write_text("nr_free_pages 17\noom_kill 5\n")
            os.kill(trainer_in(tmp_path / "job"), signal.SIGKILL)

    small = dataclasses.replace(job, recipe=job.recipe.but({"micro_tokens": 16 * LONG}))
    asyncio.run(ProcessTrainer(attempts=1).train(small, tmp_path / "job", kill))

    assert [event.notice for event in events if event.notice] == [
        f"memory did not suffice: it goes on with at most {8 * LONG:,} tokens at a time"
    ]
    assert events[-1].stage == "done"
