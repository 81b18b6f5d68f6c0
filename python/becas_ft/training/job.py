"""A training job's folder: every name in it, what was asked, and how it ended.

job.json            what to train, written by the caller
progress.jsonl      one line an event, appended and flushed
checkpoint.safetensors  the last checkpoint, replaced whole
adapter.gguf        the result, renamed into place when complete
heldout.jsonl       labels of the held-out rows, by base, few-shot base and candidate
loss.svg            the loss curve
result.json         how it ended; absent while running and after a kill
lock                held by the one trainer that works here
reserve             space freed for result.json when the disk is full
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from pathlib import Path
from typing import Any, Final, Self

from becas_ft.files import sha256_of, write_atomically
from becas_ft.training.errors import JobError
from becas_ft.training.recipe import Recipe

PARENT: Final = "BECAS_FT_TRAINER_PARENT"
"""Environment variable: process id of who started the trainer, told since it may be gone before the trainer looks."""

JOB: Final = "job.json"
PROGRESS: Final = "progress.jsonl"
CHECKPOINT: Final = "checkpoint.safetensors"
ADAPTER: Final = "adapter.gguf"
HELDOUT: Final = "heldout.jsonl"
CURVE: Final = "loss.svg"
RESULT: Final = "result.json"
LOCK: Final = "lock"
RESERVE: Final = "reserve"
LEAST_MICRO_TOKENS: Final = 128
"""Tokens computed at once below which a trainer that is short of memory is not brought: about one short message."""

_VERSION: Final = 1


class FailureReason(enum.StrEnum):
    """Why a job ended without an adapter; a closed set."""

    CANCELLED = "CANCELLED"
    BAD_JOB = "BAD_JOB"
    BAD_DATASET = "BAD_DATASET"
    LEAKAGE = "LEAKAGE"
    BAD_BASE = "BAD_BASE"
    DIVERGED = "DIVERGED"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DISK_FULL = "DISK_FULL"
    BUSY = "BUSY"
    CRASHED = "CRASHED"


# What the trainer exits with, so that the reason arrives even when the disk takes no result.
EXIT_CODES: Final = {reason: 10 + index for index, reason in enumerate(FailureReason)}


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingJob:
    """What to train.

    Attributes:
        dataset: JSONL file of an export; rows of the split `train` are learnt.
        base: the GGUF file that is served.
        label_key: first key of every output, `isScam` say.
        recipe: hyper-parameters.
        seed: seed of everything random; the same seed, dataset and machine give the same bytes.
        threads: threads of torch; 0 takes every core this process may use.
        memory_limit_bytes: most private memory of the trainer on a CPU; 0 sets no limit.
        micro_tokens: most padded tokens computed at once, where the recipe's did not fit into memory; 0 takes the
            recipe's. It decides rounding only, so a checkpoint of more or fewer is gone on with.
        heldout_split: the split that is kept from training: test or validation.
        heldout_rows: most held-out rows to label after training; 0 labels none and checks no leakage.
        controls: whether the base, bare and with a few examples, labels them too.
        with_parent: stop, at a checkpoint, when the process that started the trainer is gone.
    """

    dataset: Path
    base: Path
    label_key: str
    recipe: Recipe = dataclasses.field(default_factory=Recipe)
    seed: int = 0
    threads: int = 0
    memory_limit_bytes: int = 0
    micro_tokens: int = 0
    heldout_split: str = "test"
    heldout_rows: int = 300
    controls: bool = True
    with_parent: bool = True

    def write(self, folder: Path) -> None:
        """Write `job.json`, making the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        fields = {
            "version": _VERSION,
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "dataset": str(self.dataset),
            "base": str(self.base),
            "recipe": self.recipe.to_json(),
        }
        write_atomically(folder / JOB, json.dumps(fields, indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `job.json`.

        Raises:
            JobError: the file is missing, of another version, or a field is missing, unknown or of a wrong type.
        """
        try:
            fields = json.loads((folder / JOB).read_bytes())
        except (OSError, ValueError) as error:
            raise JobError(f"{JOB} cannot be read: {type(error).__name__}; write it with TrainingJob.write") from error
        if not isinstance(fields, dict) or fields.pop("version", None) != _VERSION:
            raise JobError(f"{JOB} must be an object of version {_VERSION}")
        wanted: dict[str, type] = {
            "dataset": str,
            "base": str,
            "label_key": str,
            "recipe": dict,
            "seed": int,
            "threads": int,
            "memory_limit_bytes": int,
            "micro_tokens": int,
            "heldout_split": str,
            "heldout_rows": int,
            "controls": bool,
            "with_parent": bool,
        }
        wrong = [name for name, kind in wanted.items() if type(fields.get(name)) is not kind]
        if wrong or set(fields) - set(wanted):
            raise JobError(f"{JOB} has wrong fields: {', '.join(wrong + sorted(set(fields) - set(wanted)))}")
        if not fields["label_key"]:
            raise JobError("label_key is empty; name the first key of the outputs")
        return cls(
            **{
                **fields,
                "dataset": Path(fields["dataset"]),
                "base": Path(fields["base"]),
                "recipe": Recipe().but(fields["recipe"]),
            },
        )

    def with_half_the_tokens(self) -> Self | None:
        """Return the same job with half as many tokens computed at once; None where that are too few to help."""
        half = (self.micro_tokens or self.recipe.micro_tokens) // 2
        return dataclasses.replace(self, micro_tokens=half) if half >= LEAST_MICRO_TOKENS else None

    def fingerprint(self) -> str:
        """Return a digest of all that decides the adapter's bytes: a checkpoint of another job is never resumed.

        Paths do not count, contents do.
        """
        parts = {
            "dataset": sha256_of(self.dataset),
            "base": sha256_of(self.base),
            "label_key": self.label_key,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "threads": self.threads,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Adapter:
    """A trained adapter.

    Attributes:
        path: the GGUF LoRA file.
        sha256: its digest.
        base_sha256: digest of the base that it belongs to.
        dataset_sha256: digest of the JSONL file that it was trained on.
        steps: optimizer steps.
        rows: training rows.
        tokens: tokens computed, padding not counted, over all epochs and resumed runs.
        loss: mean loss over the last tenth of the steps.
        seconds: time spent training, resumed runs included.
        peak_rss_bytes: largest resident memory of the trainer.
        threads: threads of torch.
        truncated: rows whose message was cut.
    """

    path: Path
    sha256: str
    base_sha256: str
    dataset_sha256: str
    steps: int
    rows: int
    tokens: int
    loss: float
    seconds: float
    peak_rss_bytes: int
    threads: int
    truncated: int


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no adapter: the reason, and a sentence with the remedy."""

    reason: FailureReason
    message: str
    peak_rss_bytes: int


def write_result(folder: Path, result: Adapter | Failure) -> None:
    """Write `result.json`."""
    fields: dict[str, Any] = dataclasses.asdict(result)
    if isinstance(result, Adapter):
        fields = {"status": "done", **fields, "path": result.path.name}
    else:
        fields = {"status": "failed", **fields}
    write_atomically(folder / RESULT, json.dumps(fields, indent=1).encode())


def read_result(folder: Path) -> Adapter | Failure | None:
    """Return how the job ended, or None while it runs and after a kill.

    An adapter counts only when its file is there with the digest that the trainer wrote.
    """
    try:
        fields = json.loads((folder / RESULT).read_bytes())
    except FileNotFoundError:
        return None
    if fields.pop("status") == "failed":
        return Failure(**{**fields, "reason": FailureReason(fields["reason"])})
    adapter = Adapter(**{**fields, "path": folder / fields["path"]})
    if not adapter.path.is_file() or sha256_of(adapter.path) != adapter.sha256:
        return Failure(
            FailureReason.CRASHED,
            "the adapter file is missing or changed since it was written; train again",
            adapter.peak_rss_bytes,
        )
    return adapter
