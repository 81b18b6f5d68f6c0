"""What a trainer is, and the one that runs in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final, Protocol

from becas_ft.training.errors import BusyError, CancelledError, TrainerFailedError
from becas_ft.training.job import (
    EXIT_CODES,
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
    from pathlib import Path

_POLL_SECONDS: Final = 0.2
_LOG: Final = "trainer.log"


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
    """Trains in a child process of low priority (`becas_ft.training.lora`)."""

    def __init__(self, *, grace_seconds: float = 30.0, niceness: int = 5) -> None:
        """Choose how long a cancelled trainer may take to write its checkpoint, and its niceness (0 to 19)."""
        self._grace_seconds = grace_seconds
        self._niceness = niceness

    async def train(self, job: TrainingJob, folder: Path, on_progress: Callable[[Progress], None]) -> Adapter:
        """Train in a child process; see `Trainer.train`."""
        await asyncio.to_thread(job.write, folder)
        events = ProgressReader(folder / PROGRESS)
        # Events of an earlier attempt were reported then.
        events.new()
        with (folder / _LOG).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(
                    "nice",
                    "-n",
                    str(self._niceness),
                    sys.executable,
                    "-m",
                    "becas_ft.training.lora",
                    str(folder),
                ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
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
        return await asyncio.to_thread(_outcome, folder, process.returncode or 0)

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._grace_seconds)
        except TimeoutError:
            # Its last checkpoint stands; a kill loses a few steps only.
            process.kill()
            await process.wait()


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
        "run the job again to go on from its checkpoint",
    )
