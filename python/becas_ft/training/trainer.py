"""What a trainer is, and the one that runs in a process of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from becas_ft.children import Child
from becas_ft.files import sha256_of
from becas_ft.training.errors import BusyError, CancelledError, JobError, TrainerFailedError
from becas_ft.training.job import (
    EXIT_CODES,
    HELDOUT,
    LOCK,
    PARENT,
    PROGRESS,
    Adapter,
    Failure,
    FailureReason,
    TrainingJob,
    read_result,
)
from becas_ft.training.progress import Progress, ProgressReader

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS: Final = 0.2
_LOG: Final = "trainer.log"
_KERNEL_COUNTERS: Final = Path("/proc/vmstat")

_log = structlog.get_logger("becas_ft.training")


class Trainer(Protocol):
    """Makes an adapter from a dataset; another engine implements this one method."""

    async def train(self, job: TrainingJob, folder: Path, on_progress: Callable[[Progress], None]) -> Adapter:
        """Train, or go on with what the folder holds of the same job.

        Cancelling the task stops the training at a checkpoint.

        Args:
            job: what to train.
            folder: the job's own folder, kept between attempts.
            on_progress: called in the event loop for every event.

        Raises:
            BusyError: another trainer works in the folder.
            CancelledError: the trainer was told to stop from outside.
            TrainerFailedError: there is no adapter; the reason says why.
        """
        ...


class ProcessTrainer:
    """Trains in a child process of low priority (`becas_ft.training.lora`).

    One that is killed goes on from its checkpoint, a few times. One that lacks memory goes on with half as many tokens
    at a time, down to `LEAST_MICRO_TOKENS`.
    """

    def __init__(
        self, *, grace_seconds: float = 30.0, niceness: int = 5, attempts: int = 3, patience_seconds: float = 300.0
    ) -> None:
        """Choose how trainers are run.

        Args:
            grace_seconds: how long a cancelled trainer may take to write its checkpoint.
            niceness: 0 to 19.
            attempts: how often a trainer is started that is killed.
            patience_seconds: how long the trainer of a server that was killed may take to notice.
        """
        self._grace_seconds = grace_seconds
        self._niceness = niceness
        self._attempts = attempts
        self._patience_seconds = patience_seconds

    async def train(self, job: TrainingJob, folder: Path, on_progress: Callable[[Progress], None]) -> Adapter:
        """Train in a child process; see `Trainer.train`."""
        await self._until_free(folder)
        job = await asyncio.to_thread(_as_it_was_left, job, folder)
        if (adapter := await asyncio.to_thread(_finished, job, folder)) is not None:
            return adapter
        kills = 0
        while True:
            await asyncio.to_thread(job.write, folder)
            victims = await asyncio.to_thread(_killed_for_memory)
            code = await self._run(folder, on_progress)
            lacks_memory = code == EXIT_CODES[FailureReason.OUT_OF_MEMORY] or (
                code == -signal.SIGKILL and await asyncio.to_thread(_killed_for_memory) > victims
            )
            if lacks_memory and (smaller := job.with_half_the_tokens()) is not None:
                job = smaller
                _log.warning("trainer_lacks_memory", job=folder.name, micro_tokens=job.micro_tokens)
                words = f"memory did not suffice: it goes on with at most {job.micro_tokens:,} tokens at a time"
                on_progress(Progress("starting again", notice=words))
                continue
            # No code of its own: the kernel or a person killed it, which the next one may escape.
            kills += code < 0
            if code >= 0 or kills == self._attempts:
                return await asyncio.to_thread(_outcome, folder, code)

    async def _until_free(self, folder: Path) -> None:
        give_up = time.monotonic() + self._patience_seconds
        while not await asyncio.to_thread(_is_free, folder):
            if time.monotonic() >= give_up:
                raise BusyError("another trainer works in this folder; wait for it or cancel it")
            await asyncio.sleep(_POLL_SECONDS)

    async def _run(self, folder: Path, on_progress: Callable[[Progress], None]) -> int:
        events = ProgressReader(folder / PROGRESS)
        # Events of an earlier attempt were reported then.
        events.new()
        with (folder / _LOG).open("ab") as log:
            process = Child(
                ("nice", "-n", str(self._niceness), sys.executable, "-m", "becas_ft.training.lora", str(folder)),
                output=log,
                errors=log,
                environment={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid())},
            )
        ended = asyncio.ensure_future(process.wait())
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=_POLL_SECONDS)
                for event in events.new():
                    on_progress(event)
        finally:
            if not ended.done():
                await self._stop(process)
        return process.returncode or 0

    async def _stop(self, process: Child) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self._grace_seconds)
        except TimeoutError:
            # Its last checkpoint stands; a kill loses a few steps only.
            process.send_signal(signal.SIGKILL)
            await process.wait()


def _is_free(folder: Path) -> bool:
    """Return whether no trainer works in the folder."""
    try:
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def _killed_for_memory() -> int:
    """Return how many processes of this machine the kernel has killed for want of memory; 0 where it does not tell."""
    try:
        counters = dict(line.split() for line in _KERNEL_COUNTERS.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counters.get("oom_kill", 0))


def _as_it_was_left(job: TrainingJob, folder: Path) -> TrainingJob:
    """Return the job with as few tokens at a time as an earlier call came to, if the folder is of the same job."""
    try:
        left = TrainingJob.read(folder)
    except JobError:
        return job
    return left if dataclasses.replace(left, micro_tokens=job.micro_tokens) == job else job


def _finished(job: TrainingJob, folder: Path) -> Adapter | None:
    """Return the adapter that an earlier call left, if it is of this very job."""
    try:
        same = TrainingJob.read(folder) == job
    except JobError:
        return None
    adapter = read_result(folder) if same else None
    if not isinstance(adapter, Adapter) or (job.heldout_rows and not (folder / HELDOUT).is_file()):
        return None
    learnt_from = (sha256_of(job.dataset), sha256_of(job.base))
    return adapter if learnt_from == (adapter.dataset_sha256, adapter.base_sha256) else None


def _outcome(folder: Path, code: int) -> Adapter:
    """Turn what a finished process left into an adapter or an error."""
    if code == EXIT_CODES[FailureReason.BUSY]:
        raise BusyError("another trainer works in this folder; wait for it or cancel it")
    result = read_result(folder)
    if isinstance(result, Adapter) and code == 0:
        return result
    if isinstance(result, Failure):
        if result.reason is FailureReason.CANCELLED:
            raise CancelledError(result.message)
        raise TrainerFailedError(result.reason, result.message)
    reason = next((reason for reason, known in EXIT_CODES.items() if known == code), FailureReason.CRASHED)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    raise TrainerFailedError(
        reason,
        f"the trainer {how} and left no result (signal 9 is often the kernel short of memory); "
        "free memory and train again",
    )
