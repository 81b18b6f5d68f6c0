"""The trainer as a process of its own: `python -m becas_ft.training.lora JOBDIR`.

A crash or an out-of-memory kill in here never touches the server. The job's folder is described in `job`.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from becas_ft.files import sha256_of
from becas_ft.training import base, errors, gguf, job, loop
from becas_ft.training.chat import ChatTemplate
from becas_ft.training.curve import write_curve
from becas_ft.training.evaluate import heldout_rows, judge, write_judged
from becas_ft.training.leakage import check_leakage
from becas_ft.training.progress import Progress, ProgressLog
from becas_ft.training.rows import read_rows
from becas_ft.training.tokens import Encoded, Tokenizer, encode

if TYPE_CHECKING:
    from types import FrameType

_RESERVE_BYTES: Final = 1 << 12
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_IN_WORDS: Final = re.compile(rf"\(os error (?:{'|'.join(map(str, sorted(_FULL)))})\)")
_TAIL: Final = 10
# torch reports a refused allocation as a plain RuntimeError.
_NO_MEMORY: Final = (
    "can't allocate memory",
    "out of memory",
    "Cannot allocate memory",
    "bad_alloc",
    "failed to map segment",
)


class _Stop:
    """Whether to stop: told by SIGTERM, or because the process that started us is gone."""

    def __init__(self, *, with_parent: bool) -> None:
        self._told = False
        self._parent = int(os.environ.get(job.PARENT, os.getppid())) if with_parent else None
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True

    def __call__(self) -> None:
        """Raise CancelledError if it is time."""
        if self._told:
            raise errors.CancelledError("the job was cancelled; run it again to go on from its checkpoint")
        if self._parent is not None and os.getppid() != self._parent:
            raise errors.CancelledError("the server that started the job is gone; it goes on when the server is back")


def peak_rss_bytes() -> int:
    """Return this process's largest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(folder: Path) -> job.Adapter:
    """Train what `job.json` asks for, and leave the adapter and the held-out labels in the folder."""
    asked = job.TrainingJob.read(folder)
    stop = _Stop(with_parent=asked.with_parent)
    with ProgressLog(folder / job.PROGRESS) as log:
        log.append(Progress("loading", peak_rss_bytes=peak_rss_bytes()))
        rows = read_rows(asked.dataset, asked.label_key)
        train = [row for row in rows if row.split == "train"]
        heldout = heldout_rows(rows, asked.heldout_split, asked.heldout_rows)
        if not train:
            raise errors.DatasetError("the dataset has no row of the split train; export more examples")
        check_leakage(train, heldout)
        asked = dataclasses.replace(asked, threads=base.prepare_torch(asked.threads))
        device, dtype = base.choose_device(asked.recipe.precision)
        if asked.memory_limit_bytes and device.type == "cpu":
            resource.setrlimit(resource.RLIMIT_DATA, (asked.memory_limit_bytes, asked.memory_limit_bytes))
        header = gguf.read_header(asked.base)
        gguf.check_architecture(header)
        template = ChatTemplate.of(header)
        stop()
        tokenizer = Tokenizer(header, asked.base)
        log.append(Progress("encoding", peak_rss_bytes=peak_rss_bytes()))
        encoded = [
            encode(row, template=template, tokenizer=tokenizer, recipe=asked.recipe, label_key=asked.label_key)
            for row in train
        ]
        stop()
        model = base.load_base(asked.base, header, device=device, dtype=dtype)
        model = base.add_lora(model, asked.recipe, asked.seed)
        stop()
        run = loop.train(
            model,
            encoded,
            recipe=asked.recipe,
            micro_tokens=asked.micro_tokens or asked.recipe.micro_tokens,
            seed=asked.seed,
            fingerprint=asked.fingerprint(),
            checkpoint_path=folder / job.CHECKPOINT,
            report=_Reporter(log),
            stop=stop,
        )
        log.append(Progress("writing", run.step, run.step, peak_rss_bytes=peak_rss_bytes()))
        gguf.write_adapter(
            folder / job.ADAPTER,
            gguf.lora_tensors(base.lora_state(model), header),
            base=header,
            alpha=asked.recipe.alpha,
            name=f"becas-ft {asked.label_key}",
        )
        write_curve(folder / job.CURVE, [*enumerate(run.losses, start=1)])

        def evaluating(done: int, total: int) -> None:
            stop()
            log.append(Progress("evaluating", done, total, peak_rss_bytes=peak_rss_bytes()))

        if heldout:
            judged = judge(
                model,
                heldout,
                train,
                template=template,
                tokenizer=tokenizer,
                label_key=asked.label_key,
                controls=asked.controls,
                report=evaluating,
            )
            write_judged(folder / job.HELDOUT, judged)
        result = _adapter(folder, asked, run, encoded)
        job.write_result(folder, result)
        log.append(Progress("done", run.step, run.step, peak_rss_bytes=result.peak_rss_bytes))
        return result


def _adapter(folder: Path, asked: job.TrainingJob, run: loop.Run, encoded: list[Encoded]) -> job.Adapter:
    tail = run.losses[-max(1, len(run.losses) // _TAIL) :]
    return job.Adapter(
        path=folder / job.ADAPTER,
        sha256=sha256_of(folder / job.ADAPTER),
        base_sha256=sha256_of(asked.base),
        dataset_sha256=sha256_of(asked.dataset),
        steps=run.step,
        rows=len(encoded),
        tokens=run.tokens,
        loss=sum(tail) / len(tail),
        seconds=run.seconds,
        peak_rss_bytes=peak_rss_bytes(),
        threads=asked.threads,
        truncated=sum(row.truncated for row in encoded),
    )


class _Reporter:
    """Turns the state of a run into progress events."""

    def __init__(self, log: ProgressLog) -> None:
        self._log = log

    def __call__(self, run: loop.Run, steps: int) -> None:
        """Append one event."""
        seconds = max(run.seconds, 1e-9)
        self._log.append(
            Progress(
                "training",
                run.step,
                steps,
                run.losses[-1],
                run.tokens / seconds,
                seconds / run.step * (steps - run.step),
                peak_rss_bytes(),
            ),
        )


# From the particular to the general: the first that fits decides.
_REASONS: Final = (
    (errors.CancelledError, job.FailureReason.CANCELLED),
    (errors.LeakageError, job.FailureReason.LEAKAGE),
    (errors.DatasetError, job.FailureReason.BAD_DATASET),
    (errors.GgufError, job.FailureReason.BAD_BASE),
    (errors.TemplateError, job.FailureReason.BAD_BASE),
    (errors.DivergedError, job.FailureReason.DIVERGED),
    (errors.JobError, job.FailureReason.BAD_JOB),
)


def _explain(error: Exception) -> tuple[job.FailureReason, str] | None:
    """Return the reason and a sentence with the remedy for an error that is foreseen, None for a bug."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason, str(error)
    number = error.errno if isinstance(error, OSError) else None
    # safetensors reports the system's errors in words.
    if number in _FULL or _FULL_IN_WORDS.search(str(error)):
        return (
            job.FailureReason.DISK_FULL,
            "the disk is full or the file-size limit is reached; free space and train again",
        )
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(text in str(error) for text in _NO_MEMORY):
        return (
            job.FailureReason.OUT_OF_MEMORY,
            "the memory limit is too low for this base and recipe; raise memory_limit_bytes or lower micro_tokens",
        )
    if isinstance(error, OSError) and error.filename is not None:
        name = Path(str(error.filename)).name
        return job.FailureReason.BAD_JOB, f"{name} cannot be used: {error.strerror}; check the paths in {job.JOB}"
    return None


def _settle(folder: Path) -> int:
    """Run the job and leave `result.json` whatever happens; return the exit code."""
    reserve = folder / job.RESERVE
    try:
        (folder / job.RESULT).unlink(missing_ok=True)
        reserve.write_bytes(bytes(_RESERVE_BYTES))
        adapter = work(folder)
    except Exception as error:
        explained = _explain(error)
        reserve.unlink(missing_ok=True)
        reason, message = explained or (
            job.FailureReason.CRASHED,
            f"the trainer met an unforeseen {type(error).__name__}; its trace is in the log",
        )
        job.write_result(folder, job.Failure(reason, message, peak_rss_bytes()))
        if explained is None:
            raise
        sys.stderr.write(f"{reason}: {message}\n")
        return job.EXIT_CODES[reason]
    reserve.unlink(missing_ok=True)
    sys.stderr.write(
        f"adapter of {adapter.steps} steps, {adapter.tokens} tokens in {adapter.seconds:.0f} s "
        f"({adapter.tokens / max(adapter.seconds, 1e-9):.0f} tokens/s), loss {adapter.loss:.3f}, "
        f"peak memory {adapter.peak_rss_bytes / 2**20:.0f} MiB\n",
    )
    return 0


def main(arguments: list[str]) -> int:
    """Train the job of the folder that the one argument names."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m becas_ft.training.lora JOBDIR\n")
        return 2
    folder = Path(arguments[0])
    # The lock goes with the process, so a killed trainer leaves none behind.
    with (folder / job.LOCK).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("BUSY: another trainer works in this folder; wait for it or cancel it\n")
            return job.EXIT_CODES[job.FailureReason.BUSY]
        return _settle(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
