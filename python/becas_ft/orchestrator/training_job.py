"""One job: dataset, training, serving, checks; each step can be taken again after a crash."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from becas.ft.v1 import dataset_pb2, example_pb2, model_pb2, training_pb2
from becas_ft.dataset_folder import write_dataset
from becas_ft.orchestrator import checks, rows, triggers, wording
from becas_ft.rollout import names
from becas_ft.runtime.protocol import ModelDefinition, Runtime
from becas_ft.training.errors import JobError
from becas_ft.training.evaluate import read_judged
from becas_ft.training.job import CHECKPOINT, HELDOUT, PROGRESS, Adapter, TrainingJob
from becas_ft.training.modelfile import DEFAULT_PARAMETERS, Modelfile, render
from becas_ft.training.parity import LEAST_INPUTS
from becas_ft.training.progress import Progress, ProgressReader, losses_by_step
from becas_ft.training.recipe import Recipe, memory_limit_for, recipe_for
from becas_ft.training.rows import read_rows
from becas_ft.training.trainer import Trainer

BALANCED = "dataset"
EVERYTHING = "everything"
ROWS = "rows.jsonl"
DATA = "data.jsonl"
# Times what each guild would give if all gave the same.
_FAIR_SHARES = 1.5
_LEARNT_OUTCOMES = (example_pb2.OUTCOME_SUCCESS, example_pb2.OUTCOME_CORRECTED)

Change = Callable[[training_pb2.Job], None]
"""Changes a job's record."""
Note = Callable[[Change], None]
"""Takes a change, to be written to the ledger soon."""


class Core(Protocol):
    """What is needed of the core."""

    def export(self, request: bytes) -> Iterator[bytes]:
        """ExportRequest in; ExportResponse bytes out."""


@dataclass(frozen=True)
class Settings:
    """How jobs are run.

    Arguments:
        max_examples: examples in a dataset; 0: no limit.
        max_user_share: of the dataset from one user.
        max_guild_share: of the dataset from one guild, or 1.5 over the number of guilds where that is more.
        min_users: distinct users among the learnt rows, where they name any.
        quarantine_from: confirmed users from which on unconfirmed sources wait; 0: they never do.
        max_trigger_flips: share of the candidate's answers that one run of rare words may turn.
        max_contradicted_labels: share of the clear learnt messages whose words may speak against their label.
        held_out: rows that the parity gate compares.
        min_parity: share of equal labels.
        patience: seconds that the runtime may be away, in a restart say, before a job fails of it.
    """

    max_examples: int = 0
    max_user_share: float = 0.01
    max_guild_share: float = 0.05
    min_users: int = 50
    quarantine_from: int = 50
    max_trigger_flips: float = triggers.MOST_FLIPS
    max_contradicted_labels: float = 0.03
    held_out: int = 300
    min_parity: float = 0.98
    patience: float = 300.0


@dataclass(frozen=True)
class Category:
    """A category as a job needs it.

    Arguments:
        number: of the proto.
        name: `scam_detection`.
        label_key: first key of its output.
        system: its instruction.
        schema: JSON schema of its output, as text.
    """

    number: "example_pb2.Category.ValueType"
    name: str
    label_key: str
    system: str
    schema: str


@dataclass(frozen=True)
class Work:
    """What one job works with.

    Arguments:
        folder: the job's own.
        category: what it learns.
        base: the base model's name in the runtime.
        version: of the model that it makes.
        request: as it was asked for.
    """

    folder: Path
    category: Category
    base: str
    version: int
    request: training_pb2.TrainRequest

    @property
    def model(self) -> str:
        """The name of the model that it makes."""
        return str(names.ModelName(names.family(self.base), self.category.name, self.version))


def export(core: Core, work: Work, settings: Settings) -> dataset_pb2.Manifest:
    """Write the balanced dataset and the unbalanced one beside it, unless the rows were made of them."""
    if not (work.folder / ROWS).exists():
        everything = write_dataset(
            work.folder / EVERYTHING, _pieces(core, _everything(work, settings)), "jsonl", force=True
        )
        balanced = _balanced(work, settings, guilds=everything.guilds)
        write_dataset(work.folder / BALANCED, _pieces(core, balanced), "jsonl", force=True)
    return _manifest(work.folder / BALANCED)


def prepare(work: Work, settings: Settings) -> tuple[int, int]:
    """Write the trainer's rows, unless they are there; (learnt, held out).

    Raises: CheckFailedError where they cannot pass the gate: that shall show before hours of training, not after.
    """
    path = work.folder / ROWS
    if path.exists():
        learnt, held_out = rows.counts(path)
    else:
        learnt, held_out = rows.prepare(
            work.folder / BALANCED / DATA, work.folder / EVERYTHING / DATA, path, held_out=settings.held_out
        )
    if held_out < LEAST_INPUTS:
        raise checks.CheckFailedError(
            f"{held_out:,} of {LEAST_INPUTS} examples can be held out, whose members and messages no learnt one "
            "shares: gather more, or lower max_examples"
        )
    return learnt, held_out


def review(work: Work, settings: Settings) -> float | None:
    """Share of the clear learnt messages whose words speak against their label; None where words do not tell.

    Raises: CheckFailedError where it is too high, or too few people made what would be learnt.
    """
    learnt = [row for row in read_rows(work.folder / ROWS, work.category.label_key) if row.split == rows.LEARNT]
    users = {row.user for row in learnt if row.user}
    if 0 < len(users) < settings.min_users:
        raise checks.CheckFailedError(
            f"what would be learnt comes from {len(users)} of {settings.min_users} users: wait for more members, or "
            "lower training.min_users"
        )
    contradicted = wording.judge(learnt).contradicted
    if contradicted is not None and contradicted > settings.max_contradicted_labels:
        raise checks.CheckFailedError(
            f"the words of {contradicted:.1%} of the clear messages speak against their label, more than "
            f"{settings.max_contradicted_labels:.1%}: labels may have been turned; look at disagreements and correct "
            "them, or raise training.max_contradicted_labels"
        )
    return contradicted


async def train(trainer: Trainer, runtime: Runtime, work: Work, settings: Settings, note: Note) -> Adapter:
    """Train, or go on from the last checkpoint."""
    details = await checks.patiently(partial(runtime.show, work.base), settings.patience)
    if details.base_path is None:
        # No refusal of the candidate: it is tried again once the configuration is right.
        raise JobError("the base model's file is not on this machine: run the trainer where the runtime is")
    job = TrainingJob(
        dataset=work.folder / ROWS,
        base=details.base_path,
        label_key=work.category.label_key,
        recipe=recipe(work),
        seed=work.request.seed,
        memory_limit_bytes=memory_limit_for(names.family(work.base)),
        heldout_rows=settings.held_out,
        controls=False,
    )

    def show(progress: Progress) -> None:
        def change(record: training_pb2.Job) -> None:
            record.step_name = progress.stage
            record.step, record.steps = progress.step, progress.steps
            record.loss = progress.loss if progress.loss is not None else record.loss
            record.tokens_per_second = progress.tokens_per_second or record.tokens_per_second
            record.seconds_left = progress.seconds_left or 0.0
            record.peak_memory_bytes = max(record.peak_memory_bytes, progress.peak_rss_bytes)
            if progress.notice:
                record.notices.append(progress.notice)

        note(change)

    return await trainer.train(job, work.folder, show)


def recipe(work: Work) -> Recipe:
    """The base's recipe with what the request overrides."""
    found = recipe_for(names.family(work.base))
    if work.request.epochs:
        found = found.but({"epochs": max(1, round(work.request.epochs))})
    return found


def modelfile(work: Work, adapter: Path) -> str:
    """The Modelfile of the model that the job makes."""
    return render(Modelfile(base=work.base, adapter=str(adapter), system=work.category.system))


async def serve(runtime: Runtime, work: Work, adapter: Adapter, incumbent: str, patience: float = 0.0) -> None:
    """Make the model, whole or not at all; the incumbent is what it will be tested against."""
    definition = ModelDefinition(
        name=work.model,
        base=work.base,
        adapter=adapter.path,
        system=work.category.system,
        parameters=dict(DEFAULT_PARAMETERS),
        modelfile=modelfile(work, adapter.path),
        beside=incumbent,
    )
    await checks.patiently(partial(runtime.create, definition), patience)


async def check(runtime: Runtime, work: Work, settings: Settings, note: Note) -> checks.Checked:
    """Measure parity, and accuracy beside the controls; see `checks.verdict` for what they must show."""
    path = work.folder / ROWS
    question = await asyncio.to_thread(
        checks.question_of, work.category.label_key, json.loads(work.category.schema), path
    )

    def show(what: str, done: int, total: int) -> None:
        def change(record: training_pb2.Job) -> None:
            record.step_name, record.step, record.steps = f"asking the {what}", done, total

        note(change)

    return await checks.check(
        runtime,
        candidate=work.model,
        base=work.base,
        rows_path=path,
        judged=await asyncio.to_thread(read_judged, work.folder / HELDOUT),
        question=question,
        held_out=settings.held_out,
        report=show,
        min_parity=settings.min_parity,
        patience=settings.patience,
    )


def registered(work: Work, adapter: Adapter, checked: checks.Checked, job: training_pb2.Job) -> model_pb2.Model:
    """The candidate as the registry keeps it."""
    text = modelfile(work, adapter.path)
    return model_pb2.Model(
        name=work.model,
        category=work.category.number,
        version=work.version,
        base_model=work.base,
        state=model_pb2.MODEL_STATE_CANDIDATE,
        job_id=job.job_id,
        dataset_id=job.dataset_id,
        adapter_digest=adapter.sha256,
        modelfile_digest=hashlib.sha256(text.encode()).hexdigest(),
        checks=checked.checks,
        recipe=json.dumps(recipe(work).to_json()),
    )


def losses(folder: Path) -> list[tuple[int, float]]:
    """(step, loss) of the training in a job's folder so far."""
    return losses_by_step(ProgressReader(folder / PROGRESS).new())


def discard(work: Work) -> None:
    """Remove the job's texts; what was learnt from stays named by the manifest and the example ids."""
    shutil.rmtree(work.folder / EVERYTHING, ignore_errors=True)
    # A checkpoint that nobody goes on from is as large as the adapter three times over.
    for path in (work.folder / BALANCED / DATA, work.folder / ROWS, work.folder / CHECKPOINT):
        path.unlink(missing_ok=True)
    for path in work.folder.glob(".*.partial"):
        path.unlink(missing_ok=True)


def guild_share(most: float, guilds: int) -> float:
    """Largest share of a dataset from one guild; 0, no limit, where there are no two of them to share."""
    return min(1.0, max(most, _FAIR_SHARES / guilds)) if guilds > 1 else 0.0


def _everything(work: Work, settings: Settings) -> dataset_pb2.ExportRequest:
    request = dataset_pb2.ExportRequest(
        name=work.folder.name,
        category=work.category.number,
        balance=False,
        min_group=1,
        seed=work.request.seed,
        outcomes=_LEARNT_OUTCOMES,
        quarantine_from=settings.quarantine_from,
    )
    if work.request.HasField("until"):
        request.until.CopyFrom(work.request.until)
    return request


def _balanced(work: Work, settings: Settings, guilds: int) -> dataset_pb2.ExportRequest:
    request = _everything(work, settings)
    request.balance = True
    request.balance_by = dataset_pb2.BALANCE_BY_LABEL
    # By label, groups that are too small to learn are left out; where nearly all labels differ, none is.
    request.ClearField("min_group")
    request.max_examples = work.request.max_examples or settings.max_examples
    request.max_user_share = settings.max_user_share
    request.max_guild_share = guild_share(settings.max_guild_share, guilds)
    return request


def _pieces(core: Core, request: dataset_pb2.ExportRequest) -> Iterator[dataset_pb2.ExportResponse]:
    return (dataset_pb2.ExportResponse.FromString(piece) for piece in core.export(request.SerializeToString()))


def _manifest(folder: Path) -> dataset_pb2.Manifest:
    fields = json.loads((folder / "manifest.json").read_bytes())
    return dataset_pb2.Manifest(
        dataset_id=fields["dataset_id"], examples=fields["examples"], guilds=fields["guilds"], users=fields["users"]
    )
