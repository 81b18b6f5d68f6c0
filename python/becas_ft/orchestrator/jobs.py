"""Training jobs: asked for, taken through their steps, resumed after a crash, cancelled."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import structlog

from becas.ft.v1 import dataset_pb2, model_pb2, training_pb2
from becas_ft import errors
from becas_ft.ledger import Ledger, LedgerError
from becas_ft.orchestrator import checks, journal, readiness, training_job
from becas_ft.orchestrator.journal import Journal
from becas_ft.orchestrator.notes import Notes
from becas_ft.orchestrator.states import Happening, Stage
from becas_ft.orchestrator.training_job import Category, Settings, Work
from becas_ft.rollout import registry
from becas_ft.runtime.errors import ModelNotFound, ModelRuntimeError
from becas_ft.runtime.protocol import Runtime
from becas_ft.shadow import trials
from becas_ft.training.errors import TrainingError
from becas_ft.training.trainer import Trainer

_SECONDS_BETWEEN_ATTEMPTS = 5.0

_log = structlog.get_logger("becas_ft.jobs")


class Core(training_job.Core, Protocol):
    """What is needed of the core."""

    def stats(self) -> bytes:
        """GetTrainingStatsResponse."""
        ...


@dataclass(frozen=True)
class Parts:
    """What jobs are made with.

    Arguments:
        core: the open store.
        ledger: where jobs are journalled.
        runtime: gives the runtime, or raises UnavailableError with the remedy.
        trainer: makes adapters.
        folder: holds a folder a job.
        categories: by number.
        base_of: the base model of a category (by name), or of a name such as `qwen`.
        figures: what a candidate's trial has shown, where it ends with its job.
    """

    core: Core
    ledger: Ledger
    runtime: Callable[[], Runtime]
    trainer: Trainer
    folder: Path
    categories: dict[int, Category]
    base_of: Callable[[str, str], str]
    figures: trials.Figures


class Jobs:
    """Starts and runs jobs; one at a time in a category, one trainer at a time in all.

    Arguments:
        parts: what they are made with.
        settings: how they are run.
        thresholds: when a category is ready.
        now: seconds since the epoch.

    Attributes:
        journal: every job, as it stands.
    """

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        thresholds: readiness.Thresholds,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.journal = Journal(parts.ledger, parts.figures, now)
        self._parts = parts
        self._settings = settings
        self._thresholds = thresholds
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._training = asyncio.Lock()

    @property
    def categories(self) -> dict[int, Category]:
        """What can be trained, by number."""
        return self._parts.categories

    async def recover(self) -> None:
        """Goes on with jobs that a crash or a stop interrupted, and removes what it left; call at start."""
        for job in await self.journal.all():
            if journal.is_at_work(job):
                self._launch(job.job_id)
            else:
                await asyncio.to_thread(training_job.discard, await self._work(job))

    async def close(self) -> None:
        """Stops running jobs at a checkpoint; the next start goes on with them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def start(self, request: training_pb2.TrainRequest) -> training_pb2.Job:
        """Begins a job and answers at once.

        Raises: InvalidArgumentError; FailedPreconditionError with what is missing; ConflictError where a job of the
            category is in flight; UnavailableError where the runtime does not answer.
        """
        category = self._parts.categories.get(request.category)
        if category is None:
            raise errors.InvalidArgumentError("category", "is required: send a value such as CATEGORY_SCAM_DETECTION")
        known = await self.journal.asked_for(request.request_id)
        if known is not None:
            if known.request != request:
                raise errors.AlreadyExistsError("request_id was used for another training: choose a new one for each")
            return known
        runtime = self._parts.runtime()
        health = await runtime.health()
        if not health.healthy:
            raise errors.UnavailableError(
                f"the runtime does not answer: {health.detail}", metadata={"detail": health.detail}
            )
        lacking = await self.lacks(request.category)
        in_flight = await self.journal.in_flight(request.category)
        if in_flight is not None:
            raise journal.in_flight_error(in_flight)
        if lacking and not request.override_readiness:
            raise errors.FailedPreconditionError(
                f"{category.name} is not ready: {'; '.join(lacking)}. Gather more, or train all the same with "
                "override_readiness",
                metadata={"category": category.name, "lacks": "; ".join(lacking)},
            )
        base = self._parts.base_of(category.name, request.base_model)
        await _require_base(runtime, base)
        row = await self._category_stats(request.category)
        job = await self.journal.begin(request, base, lacks=lacking, gold_ever=row.gold_ever)
        self._launch(job.job_id)
        return job

    async def losses(self, job_id: str) -> list[tuple[int, float]]:
        """(step, loss) of a job's training so far.

        Raises: NotFoundError.
        """
        job = await self.journal.get(job_id)
        return await asyncio.to_thread(training_job.losses, self._parts.folder / job.job_id)

    async def cancel(self, job_id: str) -> training_pb2.Job:
        """Ends a job; nothing half-made stays, also when the caller goes away. One that has ended stays as it is."""
        ending = asyncio.create_task(self._cancel(job_id))
        self._tasks[f"{job_id} cancel"] = ending
        ending.add_done_callback(lambda _: self._tasks.pop(f"{job_id} cancel", None))
        return await asyncio.shield(ending)

    async def _cancel(self, job_id: str) -> training_pb2.Job:
        job = await self.journal.get(job_id)
        if job.HasField("ended"):
            return job
        task = self._tasks.get(job_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        job = await self.journal.get(job_id)
        if not job.HasField("ended"):
            await self._withdraw(await self._work(job))
            await self.journal.end(job_id, Happening.CANCEL, "cancelled on request", cancelled=True)
        return await self.journal.get(job_id)

    async def forget(self) -> None:
        """Ends what is at work, and removes its texts: examples were erased, and it may have learned from them."""
        for job in await self.journal.all():
            task = self._tasks.get(job.job_id)
            if task is not None and journal.is_at_work(job):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                words = "examples were erased on request while it trained: it begins anew"
                await self._fail(job.job_id, await self._work(job), words, time.monotonic())

    async def lacks(self, category: int) -> list[str]:
        """What a category is missing for a training; empty when it is ready."""
        row = await self._category_stats(category)
        return readiness.lacks(await self.journal.progress(row), self._thresholds)

    async def _category_stats(self, category: int) -> dataset_pb2.CategoryStats:
        stats = dataset_pb2.GetTrainingStatsResponse.FromString(await asyncio.to_thread(self._parts.core.stats))
        return next(row for row in stats.categories if row.category == category)

    def _launch(self, job_id: str) -> None:
        task = asyncio.create_task(self._run(job_id), name=f"job {job_id}")
        self._tasks[job_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job_id, None))

    async def _run(self, job_id: str) -> None:
        started = time.monotonic()
        work: Work | None = None
        try:
            job = await self.journal.get(job_id)
            work = await self._work(job)
            async with self._training, contextlib.aclosing(Notes(partial(self.journal.change, job_id))) as notes:
                await self._steps(job_id, work, started, notes)
        except checks.CheckFailedError as error:
            _log.warning("job_refused", job=job_id)
            await self._fail(job_id, work, str(error), started, Happening.REFUSE)
        except (TrainingError, ModelRuntimeError, errors.BecasError, LedgerError, OSError) as error:
            _log.warning("job_failed", job=job_id, error=type(error).__name__)
            words = error.strerror or "the disk failed" if isinstance(error, OSError) else str(error)
            await self._fail(job_id, work, words, started)
        except Exception as error:  # noqa: BLE001 - the log has the trace, the job its end
            # An unforeseen defect must end the job and be seen, without words that could quote a member.
            _log.exception("job_defect", job=job_id)
            await self._fail(job_id, work, f"a defect of becas-ft: {type(error).__name__}; see the log", started)

    async def _steps(self, job_id: str, work: Work, started: float, notes: Notes) -> None:
        runtime, settings = self._parts.runtime(), self._settings
        job = await self.journal.get(job_id)
        if journal.state_of(job) is Stage.READY_FOR_TRAINING:
            await self.journal.move(job_id, Happening.START, "exporting")
        manifest = await asyncio.to_thread(training_job.export, self._parts.core, work, settings)
        learnt, held_out = await asyncio.to_thread(training_job.prepare, work, settings)
        contradicted = await asyncio.to_thread(training_job.review, work, settings)

        def exported(record: training_pb2.Job) -> None:
            record.dataset_id = manifest.dataset_id
            record.train_examples, record.held_out_examples = learnt, held_out
            record.step_name = "starting the trainer"

        await self.journal.change(job_id, exported)
        adapter = await training_job.train(self._parts.trainer, runtime, work, settings, notes.add)
        await notes.flush()
        if journal.state_of(await self.journal.get(job_id)) is Stage.TRAINING:
            await self.journal.move(job_id, Happening.TRAINED, "making the model")
        await self.journal.doom(work.category.number, work.model)
        alias = await self.journal.read(partial(registry.alias_of, category=work.category.number))
        incumbent = alias.model if alias else work.base
        await training_job.serve(runtime, work, adapter, incumbent, settings.patience)
        checked = await training_job.check(runtime, work, settings, notes.add)
        checked.checks.contradicted_labels = contradicted or 0.0
        await notes.flush()

        def measured(record: training_pb2.Job) -> None:
            record.checks.CopyFrom(checked.checks)
            record.seconds = time.monotonic() - started
            record.peak_memory_bytes = max(record.peak_memory_bytes, adapter.peak_rss_bytes)

        await self.journal.change(job_id, measured)
        checks.verdict(checked, max_trigger_flips=settings.max_trigger_flips)
        await self._offer(
            job_id, work, partial(training_job.registered, work, adapter, checked), checked.parity.reasoning
        )

    async def _offer(
        self, job_id: str, work: Work, model: Callable[[training_pb2.Job], model_pb2.Model], words: str
    ) -> None:
        await self.journal.offer(job_id, model, words)
        await asyncio.to_thread(training_job.discard, work)

    async def _fail(
        self, job_id: str, work: Work | None, words: str, started: float, happening: Happening = Happening.FAIL
    ) -> None:
        """Writes the end down, however long the disk takes to have room for it."""
        while True:
            try:
                await self._write_failure(job_id, work, words, started, happening)
            except LedgerError:
                _log.warning("job_end_waits", job=job_id)
                await asyncio.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            else:
                return

    async def _write_failure(
        self, job_id: str, work: Work | None, words: str, started: float, happening: Happening
    ) -> None:
        if work is not None:
            await self._withdraw(work)

        def spent(record: training_pb2.Job) -> None:
            record.seconds = time.monotonic() - started

        await self.journal.change(job_id, spent)
        await self.journal.end(job_id, happening, words)

    async def _withdraw(self, work: Work) -> None:
        await asyncio.to_thread(training_job.discard, work)
        await self.sweep(own=work.model)

    async def sweep(self, own: str = "") -> None:
        """Deletes models that no job stands behind (any more); those of a runtime that is down wait for the next time.

        Arguments:
            own: the model of a job that is about to end.
        """
        for name in await self.journal.doomed(own):
            try:
                await self._parts.runtime().delete(name)
            except ModelNotFound:
                pass
            except (ModelRuntimeError, errors.BecasError):
                _log.info("withdrawal_waits", model=name)
                continue
            await self.journal.spare(name)

    async def _work(self, job: training_pb2.Job) -> Work:
        version = await self.journal.read(lambda transaction: registry.next_version(transaction, job.category))
        folder = self._parts.folder / job.job_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Work(folder, self._parts.categories[job.category], job.base_model, version, job.request)


async def _require_base(runtime: Runtime, base: str) -> None:
    try:
        await runtime.show(base)
    except ModelNotFound as error:
        raise errors.FailedPreconditionError(
            f"base model {base} is not there: get it with `ollama pull {base}`, or name another as base_model",
            metadata={"base_model": base},
        ) from error
    except ModelRuntimeError as error:
        raise errors.UnavailableError(
            f"the runtime did not tell of base model {base}: {error}",
            metadata={"base_model": base, "detail": str(error)},
        ) from error
