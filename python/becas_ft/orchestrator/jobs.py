"""Training jobs: asked for, journalled step by step, resumed after a crash, watched, cancelled."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import structlog

from becas.ft.v1 import dataset_pb2, example_pb2, model_pb2, published_event_pb2, training_pb2
from becas_ft import errors
from becas_ft.ledger import Ledger, LedgerError, ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import DOOMED, JOBS, MODELS
from becas_ft.orchestrator import checks, readiness, states, training_job
from becas_ft.orchestrator.states import Happening, Pipeline
from becas_ft.orchestrator.states import Stage as State
from becas_ft.orchestrator.training_job import Category, Settings, Work
from becas_ft.rollout import canary_record, limits, published, registry
from becas_ft.runtime.errors import ModelNotFound, ModelRuntimeError
from becas_ft.runtime.protocol import Runtime
from becas_ft.shadow import trials
from becas_ft.training.errors import TrainingError
from becas_ft.training.job import Adapter
from becas_ft.training.trainer import Trainer

Result = TypeVar("Result")
CategoryNumber: TypeAlias = "example_pb2.Category.ValueType"

_SECONDS_BETWEEN_NOTES = 0.5
_SECONDS_BETWEEN_ATTEMPTS = 5.0
_SECONDS_PER_DAY = 86_400.0
# Numbers of the ledger, by category: gold examples ever seen (plus one, as 0 is never) and the time, when the job in
# flight began, and when the last training that came to a result did. A failed one does not count: it is tried again.
_BEGUN_GOLD, _BEGUN_MS = "gold_begun", "begun_ms"
_TRAINED_GOLD, _TRAINED_MS = "gold_ever", "trained_ms"

_log = structlog.get_logger("becas_ft.jobs")

STAGES = {state: getattr(training_pb2, f"STAGE_{state.name}") for state in State}
"""The proto's number of each state."""

_STATES = {number: state for state, number in STAGES.items()}
_AT_WORK = {State.READY_FOR_TRAINING, State.TRAINING, State.TESTING}


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
    """

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        thresholds: readiness.Thresholds,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._thresholds = thresholds
        self._now = now
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._changed = asyncio.Condition()
        self._training = asyncio.Lock()

    @property
    def categories(self) -> dict[int, Category]:
        """What can be trained, by number."""
        return self._parts.categories

    async def recover(self) -> None:
        """Goes on with jobs that a crash or a stop interrupted, and removes what it left; call at start."""
        for job in await self.all():
            if _STATES[job.stage] in _AT_WORK:
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
        known = await self._read(lambda transaction: _by_request(transaction, request.request_id))
        if known is not None:
            if known.request != request:
                raise errors.AlreadyExistsError("request_id was used for another training: choose a new one for each")
            return known
        runtime = self._parts.runtime()
        health = await runtime.health()
        if not health.healthy:
            raise errors.UnavailableError(f"the runtime does not answer: {health.detail}")
        lacking = await self.lacks(request.category)
        in_flight = await self._read(lambda transaction: in_flight_of(transaction, request.category))
        if in_flight is not None:
            raise errors.ConflictError(f"job {in_flight.job_id} is in flight: wait for it, or cancel it")
        if lacking and not request.override_readiness:
            raise errors.FailedPreconditionError(
                f"{category.name} is not ready: {'; '.join(lacking)}. Gather more, or train all the same with "
                "override_readiness"
            )
        base = self._parts.base_of(category.name, request.base_model)
        await _require_base(runtime, base)
        row = await self._category_stats(request.category)

        def create(transaction: WriteTransaction) -> training_pb2.Job:
            if (running := in_flight_of(transaction, request.category)) is not None:
                raise errors.ConflictError(f"job {running.job_id} is in flight: wait for it, or cancel it")
            number = transaction.number(f"jobs:{category.name}") + 1
            transaction.set_number(f"jobs:{category.name}", number)
            transaction.set_number(f"{_BEGUN_GOLD}:{category.name}", row.gold_ever + 1)
            transaction.set_number(f"{_BEGUN_MS}:{category.name}", int(self._now() * 1000))
            job = training_pb2.Job(
                job_id=f"{category.name}-{number}",
                category=request.category,
                base_model=base,
                stage=STAGES[State.READY_FOR_TRAINING],
                step_name="waiting",
                overrides=[f"not ready: {one}" for one in lacking],
                request=request,
            )
            job.created.FromMilliseconds(int(self._now() * 1000))
            _touch(job)
            transaction.put(JOBS, job.job_id, job)
            return job

        job = await self._write(create)
        self._launch(job.job_id)
        return job

    async def get(self, job_id: str) -> training_pb2.Job:
        """A job as it stands.

        Raises: NotFoundError.
        """
        job = await self._read(lambda transaction: transaction.get(JOBS, job_id))
        if job is None:
            raise errors.NotFoundError("this job does not exist: `becas-ft jobs` lists those that do")
        return job

    async def all(self, category: int = 0) -> list[training_pb2.Job]:
        """Jobs, newest first."""
        found = await self._read(lambda transaction: [job for _, job in transaction.scan(JOBS)])
        chosen = [job for job in found if category in {0, job.category}]
        return sorted(chosen, key=lambda job: (job.created.ToMilliseconds(), job.job_id), reverse=True)

    async def watch(self, job_id: str) -> AsyncIterator[training_pb2.Job]:
        """The job now, then at every change, until it ends."""
        seen = -1
        while True:
            job = await self.get(job_id)
            if job.revision > seen:
                seen = job.revision
                yield job
            if job.HasField("ended"):
                return
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), 1.0)
                except TimeoutError:
                    continue

    async def cancel(self, job_id: str) -> training_pb2.Job:
        """Ends a job; nothing half-made stays, also when the caller goes away. One that has ended stays as it is."""
        ending = asyncio.create_task(self._cancel(job_id))
        self._tasks[f"{job_id} cancel"] = ending
        ending.add_done_callback(lambda _: self._tasks.pop(f"{job_id} cancel", None))
        return await asyncio.shield(ending)

    async def _cancel(self, job_id: str) -> training_pb2.Job:
        job = await self.get(job_id)
        if job.HasField("ended"):
            return job
        task = self._tasks.get(job_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        job = await self.get(job_id)
        if not job.HasField("ended"):
            await self._withdraw(await self._work(job))
            await self._end(job_id, Happening.CANCEL, "cancelled on request", cancelled=True)
        return await self.get(job_id)

    async def forget(self) -> None:
        """Ends what is at work, and removes its texts: examples were erased, and it may have learned from them."""
        for job in await self.all():
            task = self._tasks.get(job.job_id)
            if _STATES[job.stage] in _AT_WORK and task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                words = "examples were erased on request while it trained: it begins anew"
                await self._fail(job.job_id, await self._work(job), words, time.monotonic())

    async def pass_gate(self, job_id: str, why: str, *, trial_id: str, evidence: str) -> None:
        """Offers the candidate for promotion, and publishes that."""

        def change(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            _step(job, Happening.GATE_PASSED, why)
            published.publish(
                transaction,
                published_event_pb2.PublishedEvent(
                    name="fine_tuning.ready_for_promotion",
                    category=job.category,
                    model=job.model,
                    job_id=job_id,
                    trial_id=trial_id,
                    reason=why,
                    data=evidence,
                ),
            )
            transaction.put(JOBS, job_id, job)

        await self._write(change)
        await self._tell()

    async def settle(self, job_id: str) -> None:
        """Ends a job whose candidate answers."""
        await self._move(job_id, Happening.PROMOTED, "answers production")

    async def refuse(self, job_id: str, why: str) -> None:
        """Ends a job whose candidate is not wanted; its shadow test ends with it."""
        await self._end(job_id, Happening.REFUSE, why)

    async def say(self, job_id: str, words: str) -> None:
        """Tells watchers what a job waits for."""
        if (await self.get(job_id)).step_name != words:

            def change(record: training_pb2.Job) -> None:
                record.step_name = words

            await self._change(job_id, change)

    async def failed_in_a_row(self, category: int) -> list[training_pb2.Job]:
        """The category's newest jobs that failed, newest first, up to one that came to a result."""
        return list(itertools.takewhile(_broke, await self.all(category)))

    async def lacks(self, category: int) -> list[str]:
        """What a category is missing for a training; empty when it is ready."""
        row = await self._category_stats(category)
        name = registry.category_name(row.category)

        def view(transaction: ReadTransaction) -> readiness.Progress:
            gold_then = transaction.number(f"{_TRAINED_GOLD}:{name}")
            trained_ms = transaction.number(f"{_TRAINED_MS}:{name}")
            job = in_flight_of(transaction, category)
            return readiness.Progress(
                gold=row.tiers.gold,
                total=row.total,
                mean_quality=row.mean_quality,
                gold_ever=row.gold_ever,
                job_in_flight=job.job_id if job else "",
                gold_ever_at_training=gold_then - 1 if gold_then else None,
                days_since_training=(self._now() - trained_ms / 1000) / _SECONDS_PER_DAY if trained_ms else 0.0,
            )

        return readiness.lacks(await self._read(view), self._thresholds)

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
            job = await self.get(job_id)
            work = await self._work(job)
            async with self._training, contextlib.aclosing(_Notes(partial(self._change, job_id))) as notes:
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

    async def _steps(self, job_id: str, work: Work, started: float, notes: "_Notes") -> None:
        runtime, settings = self._parts.runtime(), self._settings
        job = await self.get(job_id)
        if _STATES[job.stage] is State.READY_FOR_TRAINING:
            await self._move(job_id, Happening.START, "exporting")
        manifest = await asyncio.to_thread(training_job.export, self._parts.core, work, settings)
        learnt, held_out = await asyncio.to_thread(training_job.prepare, work, settings)

        def exported(record: training_pb2.Job) -> None:
            record.dataset_id = manifest.dataset_id
            record.train_examples, record.held_out_examples = learnt, held_out
            record.step_name = "starting the trainer"

        await self._change(job_id, exported)
        adapter = await training_job.train(self._parts.trainer, runtime, work, settings, notes.add)
        await notes.flush()
        if _STATES[(await self.get(job_id)).stage] is State.TRAINING:
            await self._move(job_id, Happening.TRAINED, "making the model")
        await self._doom(work)
        alias = await self._read(partial(registry.alias_of, category=work.category.number))
        incumbent = alias.model if alias else work.base
        await training_job.serve(runtime, work, adapter, incumbent, settings.patience)
        checked = await training_job.check(runtime, work, settings, notes.add)
        await notes.flush()

        def measured(record: training_pb2.Job) -> None:
            record.checks.CopyFrom(checked.checks)
            record.seconds = time.monotonic() - started
            record.peak_memory_bytes = max(record.peak_memory_bytes, adapter.peak_rss_bytes)

        await self._change(job_id, measured)
        checks.verdict(checked)
        await self._offer(job_id, work, adapter, checked)

    async def _offer(self, job_id: str, work: Work, adapter: Adapter, checked: checks.Checked) -> None:
        def model(job: training_pb2.Job) -> model_pb2.Model:
            return training_job.registered(work, adapter, checked, job)

        await self._offer_model(job_id, work, model, checked.parity.reasoning)

    async def _offer_model(
        self, job_id: str, work: Work, model: Callable[[training_pb2.Job], model_pb2.Model], words: str
    ) -> None:
        def change(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            if any(one.version == work.version for one in registry.models(transaction, job.category)):
                raise errors.ConflictError(f"version {work.version} was registered meanwhile: train again")
            job.model = work.model
            transaction.delete(DOOMED, work.model)
            _step(job, Happening.CHECKED, "waiting for a shadow test")
            _count_as_training(transaction, job)
            registry.register(transaction, model(job))
            published.publish(
                transaction,
                published_event_pb2.PublishedEvent(
                    name="fine_tuning.completed",
                    category=job.category,
                    model=work.model,
                    job_id=job_id,
                    reason=words,
                ),
            )
            transaction.put(JOBS, job_id, job)

        await self._write(change)
        await asyncio.to_thread(training_job.discard, work)
        await self._tell()

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

        await self._change(job_id, spent)
        await self._end(job_id, happening, words)

    async def _withdraw(self, work: Work) -> None:
        await asyncio.to_thread(training_job.discard, work)
        await self.sweep(own=work.model)

    async def sweep(self, own: str = "") -> None:
        """Deletes models that no job stands behind (any more); those of a runtime that is down wait for the next time.

        Arguments:
            own: the model of a job that is about to end.
        """

        def left(transaction: ReadTransaction) -> list[str]:
            at_work = {job.category for _, job in transaction.scan(JOBS) if _STATES[job.stage] in _AT_WORK}
            doomed = transaction.scan(DOOMED)
            return [name for name, job in doomed if name == own or job.category not in at_work]

        for name in await self._read(left):
            try:
                await self._parts.runtime().delete(name)
            except ModelNotFound:
                pass
            except (ModelRuntimeError, errors.BecasError):
                _log.info("withdrawal_waits", model=name)
                continue
            await self._write(partial(_spare, name=name))

    async def _doom(self, work: Work) -> None:
        """Until it is registered, a model is one to be deleted."""
        doomed = training_pb2.Job(category=work.category.number, model=work.model)
        await self._write(lambda transaction: transaction.put(DOOMED, work.model, doomed))

    async def _end(self, job_id: str, happening: Happening, words: str, *, cancelled: bool = False) -> None:
        def change(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            if job.HasField("ended"):
                return
            _step(job, happening, "ended")
            job.error, job.cancelled, job.refused = words, cancelled, happening is Happening.REFUSE
            job.ended.FromMilliseconds(int(self._now() * 1000))
            if happening is not Happening.FAIL:
                _count_as_training(transaction, job)
            _drop_candidate(transaction, job, words, self._parts.figures)
            transaction.put(JOBS, job_id, job)
            published.publish(
                transaction,
                published_event_pb2.PublishedEvent(
                    name="fine_tuning.failed", category=job.category, model=job.model, job_id=job_id, reason=words
                ),
            )

        await self._write(change)
        await self._tell()

    async def _work(self, job: training_pb2.Job) -> Work:
        version = await self._read(lambda transaction: registry.next_version(transaction, job.category))
        folder = self._parts.folder / job.job_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Work(folder, self._parts.categories[job.category], job.base_model, version, job.request)

    async def _move(self, job_id: str, happening: Happening, step_name: str = "") -> None:
        def change(record: training_pb2.Job) -> None:
            _step(record, happening, step_name)
            if _STATES[record.stage] in states.ENDED:
                record.ended.GetCurrentTime()

        await self._change(job_id, change)

    async def _change(self, job_id: str, change: Callable[[training_pb2.Job], None]) -> None:
        def write(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            change(job)
            _touch(job)
            transaction.put(JOBS, job_id, job)

        await self._write(write)
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _read(self, view: Callable[[ReadTransaction], Result]) -> Result:
        return await asyncio.to_thread(self._parts.ledger.read, view)

    async def _write(self, change: Callable[[WriteTransaction], Result]) -> Result:
        return await asyncio.to_thread(self._parts.ledger.write, change)


class _Notes:
    """Changes of a job's record that come faster than they can be read, written together now and then.

    Arguments:
        write: applies one change to the record.
    """

    def __init__(self, write: Callable[[training_job.Change], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[training_job.Change] = []
        self._writing: asyncio.Task[None] | None = None
        self._last = 0.0

    def add(self, change: training_job.Change) -> None:
        """Takes a change, to be written soon or with those that follow."""
        self._waiting.append(change)
        idle = self._writing is None or self._writing.done()
        if idle and time.monotonic() - self._last >= _SECONDS_BETWEEN_NOTES:
            self._last = time.monotonic()
            self._writing = asyncio.create_task(self._write_if_possible())

    async def flush(self) -> None:
        """Writes what waits.

        Raises: LedgerError.
        """
        await self.aclose()
        changes, self._waiting = self._waiting, []

        def all_of_them(record: training_pb2.Job) -> None:
            for one in changes:
                one(record)

        try:
            if changes:
                await self._write(all_of_them)
        except LedgerError:
            self._waiting[:0] = changes
            raise

    async def aclose(self) -> None:
        """Waits for what is being written."""
        if self._writing is not None and self._writing is not asyncio.current_task():
            await self._writing

    async def _write_if_possible(self) -> None:
        # A disk without room must not end hours of training for the sake of a progress bar.
        with contextlib.suppress(LedgerError):
            await self.flush()


def in_flight_of(transaction: ReadTransaction, category: int) -> training_pb2.Job | None:
    """The job of a category that has not ended; None where there is none."""
    return next(
        (job for _, job in transaction.scan(JOBS) if job.category == category and not job.HasField("ended")), None
    )


def state_of(job: training_pb2.Job) -> State:
    """Where a job is."""
    return _STATES[job.stage]


async def _require_base(runtime: Runtime, base: str) -> None:
    try:
        await runtime.show(base)
    except ModelNotFound as error:
        raise errors.FailedPreconditionError(
            f"base model {base} is not there: get it with `ollama pull {base}`, or name another as base_model"
        ) from error
    except ModelRuntimeError as error:
        raise errors.UnavailableError(f"the runtime did not tell of base model {base}: {error}") from error


def _spare(transaction: WriteTransaction, name: str) -> None:
    transaction.delete(DOOMED, name)


def _broke(job: training_pb2.Job) -> bool:
    return job.stage == training_pb2.STAGE_FAILED and not job.cancelled and not job.refused


def _count_as_training(transaction: WriteTransaction, job: training_pb2.Job) -> None:
    """The category is ready again only for what comes after this training."""
    name = registry.category_name(job.category)
    transaction.set_number(f"{_TRAINED_GOLD}:{name}", transaction.number(f"{_BEGUN_GOLD}:{name}"))
    transaction.set_number(f"{_TRAINED_MS}:{name}", transaction.number(f"{_BEGUN_MS}:{name}"))


def _drop_candidate(transaction: WriteTransaction, job: training_pb2.Job, why: str, figures: trials.Figures) -> None:
    """A candidate that is not wanted is not tested any further, and answers nobody."""
    canary_record.end(
        transaction, job.category, why, actor=canary_record.OPERATOR if job.cancelled else limits.PIPELINE
    )
    trial = trials.running_trial(transaction, job.category)
    if job.model and trial is not None and trial.candidate_model == job.model and not trial.watch:
        trials.stop(transaction, trial.trial_id, why, figures)
    model = transaction.get(MODELS, job.model) if job.model else None
    if model is not None and model.state == model_pb2.MODEL_STATE_CANDIDATE:
        registry.set_state(transaction, job.model, model_pb2.MODEL_STATE_REFUSED)


def _by_request(transaction: ReadTransaction, request_id: str) -> training_pb2.Job | None:
    if not request_id:
        return None
    return next((job for _, job in transaction.scan(JOBS) if job.request.request_id == request_id), None)


def _require(transaction: ReadTransaction, job_id: str) -> training_pb2.Job:
    job = transaction.get(JOBS, job_id)
    if job is None:
        raise errors.NotFoundError("this job does not exist")
    return job


def _step(job: training_pb2.Job, happening: Happening, step_name: str) -> None:
    job.stage = STAGES[states.step(Pipeline(_STATES[job.stage]), happening).stage]
    job.step_name, job.step, job.steps, job.seconds_left = step_name, 0, 0, 0.0
    _touch(job)


def _touch(job: training_pb2.Job) -> None:
    job.updated.GetCurrentTime()
    job.revision += 1
