"""The journal of jobs: every step of a job, written with what follows from it, and told to whoever watches."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeAlias, TypeVar

from becas.ft.v1 import dataset_pb2, example_pb2, model_pb2, published_event_pb2, training_pb2
from becas_ft import errors
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import DOOMED, JOBS, MODELS
from becas_ft.orchestrator import readiness, states
from becas_ft.orchestrator.states import Happening, Pipeline, Stage
from becas_ft.orchestrator.training_job import Change
from becas_ft.rollout import canary_record, limits, published, registry
from becas_ft.shadow import trials

Result = TypeVar("Result")
CategoryNumber: TypeAlias = "example_pb2.Category.ValueType"

_SECONDS_PER_DAY = 86_400.0
# Numbers of the ledger, by category: gold examples ever seen (plus one, as 0 is never) and the time, when the job in
# flight began, and when the last training that came to a result did. A failed one does not count: it is tried again.
_BEGUN_GOLD, _BEGUN_MS = "gold_begun", "begun_ms"
_TRAINED_GOLD, _TRAINED_MS = "gold_ever", "trained_ms"

STAGES = {stage: getattr(training_pb2, f"STAGE_{stage.name}") for stage in Stage}
"""The proto's number of each stage."""

_BY_NUMBER = {number: stage for stage, number in STAGES.items()}
_AT_WORK = {Stage.READY_FOR_TRAINING, Stage.TRAINING, Stage.TESTING}


class Journal:
    """Jobs as the ledger has them.

    Arguments:
        ledger: where they are.
        figures: what a candidate's trial has shown, where it ends with its job.
        now: seconds since the epoch.
    """

    def __init__(self, ledger: Ledger, figures: trials.Figures, now: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._figures = figures
        self._now = now
        self._changed = asyncio.Condition()

    async def get(self, job_id: str) -> training_pb2.Job:
        """A job as it stands.

        Raises: NotFoundError.
        """
        job = await self.read(lambda transaction: transaction.get(JOBS, job_id))
        if job is None:
            raise errors.NotFoundError("this job does not exist: `becas-ft jobs` lists those that do")
        return job

    async def all(self, category: int = 0) -> list[training_pb2.Job]:
        """Jobs, newest first."""
        found = await self.read(lambda transaction: [job for _, job in transaction.scan(JOBS)])
        chosen = [job for job in found if category in {0, job.category}]
        return sorted(chosen, key=lambda job: (job.created.ToMilliseconds(), job.job_id), reverse=True)

    async def asked_for(self, request_id: str) -> training_pb2.Job | None:
        """The job of a request; None where there is none, and where it has no id."""
        if not request_id:
            return None
        return next((job for job in await self.all() if job.request.request_id == request_id), None)

    async def in_flight(self, category: int) -> training_pb2.Job | None:
        """The job of a category that has not ended; None where there is none."""
        return await self.read(partial(_in_flight, category=category))

    async def failed_in_a_row(self, category: int) -> list[training_pb2.Job]:
        """The category's newest jobs that failed, newest first, up to one that came to a result."""
        return list(itertools.takewhile(_broke, await self.all(category)))

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

    async def progress(self, row: dataset_pb2.CategoryStats) -> readiness.Progress:
        """What a category has for a training."""
        name = registry.category_name(row.category)

        def view(transaction: ReadTransaction) -> readiness.Progress:
            gold_then = transaction.number(f"{_TRAINED_GOLD}:{name}")
            trained_ms = transaction.number(f"{_TRAINED_MS}:{name}")
            job = _in_flight(transaction, row.category)
            return readiness.Progress(
                gold=row.tiers.gold,
                total=row.total,
                mean_quality=row.mean_quality,
                gold_ever=row.gold_ever,
                job_in_flight=job.job_id if job else "",
                gold_ever_at_training=gold_then - 1 if gold_then else None,
                days_since_training=(self._now() - trained_ms / 1000) / _SECONDS_PER_DAY if trained_ms else 0.0,
            )

        return await self.read(view)

    async def begin(
        self, request: training_pb2.TrainRequest, base: str, *, lacks: list[str], gold_ever: int
    ) -> training_pb2.Job:
        """A new job, waiting.

        Arguments:
            request: as it was asked for.
            base: the base model's name in the runtime.
            lacks: what the category was missing, in words.
            gold_ever: gold examples that it ever had.

        Raises: ConflictError where a job of the category is in flight.
        """
        name = registry.category_name(request.category)

        def create(transaction: WriteTransaction) -> training_pb2.Job:
            if (running := _in_flight(transaction, request.category)) is not None:
                raise in_flight_error(running)
            number = transaction.number(f"jobs:{name}") + 1
            transaction.set_number(f"jobs:{name}", number)
            transaction.set_number(f"{_BEGUN_GOLD}:{name}", gold_ever + 1)
            transaction.set_number(f"{_BEGUN_MS}:{name}", int(self._now() * 1000))
            job = training_pb2.Job(
                job_id=f"{name}-{number}",
                category=request.category,
                base_model=base,
                stage=STAGES[Stage.READY_FOR_TRAINING],
                step_name="waiting",
                overrides=[f"not ready: {one}" for one in lacks],
                request=request,
            )
            job.created.FromMilliseconds(int(self._now() * 1000))
            _touch(job)
            transaction.put(JOBS, job.job_id, job)
            return job

        return await self._write(create)

    async def change(self, job_id: str, change: Change) -> None:
        """Changes a job's record."""

        def write(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            change(job)
            _touch(job)
            transaction.put(JOBS, job_id, job)

        await self._write_and_tell(write)

    async def say(self, job_id: str, words: str) -> None:
        """Tells watchers what a job waits for."""
        if (await self.get(job_id)).step_name != words:

            def change(record: training_pb2.Job) -> None:
                record.step_name = words

            await self.change(job_id, change)

    async def move(self, job_id: str, happening: Happening, step_name: str = "") -> None:
        """Takes a job to its next stage."""

        def change(record: training_pb2.Job) -> None:
            _step(record, happening, step_name)
            if state_of(record) in states.ENDED:
                record.ended.GetCurrentTime()

        await self.change(job_id, change)

    async def offer(self, job_id: str, model: Callable[[training_pb2.Job], model_pb2.Model], words: str) -> None:
        """Registers the model that a job made as a candidate, and publishes that.

        Raises: ConflictError where the version was registered meanwhile.
        """

        def change(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            made = model(job)
            if any(one.version == made.version for one in registry.models(transaction, job.category)):
                raise errors.ConflictError(
                    f"version {made.version} was registered meanwhile: train again",
                    metadata={"version": str(made.version)},
                )
            job.model = made.name
            transaction.delete(DOOMED, made.name)
            _step(job, Happening.CHECKED, "waiting for a shadow test")
            _count_as_training(transaction, job)
            registry.register(transaction, made)
            _publish(transaction, "fine_tuning.completed", job, reason=words)
            transaction.put(JOBS, job_id, job)

        await self._write_and_tell(change)

    async def pass_gate(self, job_id: str, why: str, *, trial_id: str, evidence: str) -> None:
        """Offers the candidate for promotion, and publishes that."""

        def change(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            _step(job, Happening.GATE_PASSED, why)
            _publish(transaction, "fine_tuning.ready_for_promotion", job, reason=why, trial_id=trial_id, data=evidence)
            transaction.put(JOBS, job_id, job)

        await self._write_and_tell(change)

    async def settle(self, job_id: str) -> None:
        """Ends a job whose candidate answers."""
        await self.move(job_id, Happening.PROMOTED, "answers production")

    async def refuse(self, job_id: str, why: str) -> None:
        """Ends a job whose candidate is not wanted; its shadow test ends with it."""
        await self.end(job_id, Happening.REFUSE, why)

    async def end(self, job_id: str, happening: Happening, words: str, *, cancelled: bool = False) -> None:
        """Ends a job without a promotion, and publishes that; one that has ended stays as it is."""

        def change(transaction: WriteTransaction) -> None:
            job = _require(transaction, job_id)
            if job.HasField("ended"):
                return
            _step(job, happening, "ended")
            job.error, job.cancelled, job.refused = words, cancelled, happening is Happening.REFUSE
            job.ended.FromMilliseconds(int(self._now() * 1000))
            if happening is not Happening.FAIL:
                _count_as_training(transaction, job)
            _drop_candidate(transaction, job, words, self._figures)
            transaction.put(JOBS, job_id, job)
            _publish(transaction, "fine_tuning.failed", job, reason=words)

        await self._write_and_tell(change)

    async def doom(self, category: CategoryNumber, model: str) -> None:
        """Until it is registered, a model is one to be deleted."""
        doomed = training_pb2.Job(category=category, model=model)
        await self._write(lambda transaction: transaction.put(DOOMED, model, doomed))

    async def doomed(self, own: str = "") -> list[str]:
        """Models that no job stands behind (any more).

        Arguments:
            own: the model of a job that is about to end.
        """

        def left(transaction: ReadTransaction) -> list[str]:
            at_work = {job.category for _, job in transaction.scan(JOBS) if is_at_work(job)}
            doomed = transaction.scan(DOOMED)
            return [name for name, job in doomed if name == own or job.category not in at_work]

        return await self.read(left)

    async def spare(self, model: str) -> None:
        """A model that is gone need not be deleted."""
        await self._write(lambda transaction: transaction.delete(DOOMED, model))

    async def read(self, view: Callable[[ReadTransaction], Result]) -> Result:
        """Runs a function on a consistent view, beside the event loop."""
        return await asyncio.to_thread(self._ledger.read, view)

    async def _write(self, change: Callable[[WriteTransaction], Result]) -> Result:
        return await asyncio.to_thread(self._ledger.write, change)

    async def _write_and_tell(self, change: Callable[[WriteTransaction], None]) -> None:
        await self._write(change)
        async with self._changed:
            self._changed.notify_all()


def state_of(job: training_pb2.Job) -> Stage:
    """Where a job is."""
    return _BY_NUMBER[job.stage]


def is_at_work(job: training_pb2.Job) -> bool:
    """Whether a job trains or is about to, or its model is being checked."""
    return state_of(job) in _AT_WORK


def in_flight_error(running: training_pb2.Job) -> errors.ConflictError:
    """What whoever asks for a second job is told."""
    return errors.ConflictError(
        f"job {running.job_id} is in flight: wait for it, or cancel it", metadata={"job_id": running.job_id}
    )


def _in_flight(transaction: ReadTransaction, category: int) -> training_pb2.Job | None:
    return next(
        (job for _, job in transaction.scan(JOBS) if job.category == category and not job.HasField("ended")), None
    )


def _require(transaction: ReadTransaction, job_id: str) -> training_pb2.Job:
    job = transaction.get(JOBS, job_id)
    if job is None:
        raise errors.NotFoundError("this job does not exist")
    return job


def _step(job: training_pb2.Job, happening: Happening, step_name: str) -> None:
    job.stage = STAGES[states.step(Pipeline(state_of(job)), happening).stage]
    job.step_name, job.step, job.steps, job.seconds_left = step_name, 0, 0, 0.0
    _touch(job)


def _touch(job: training_pb2.Job) -> None:
    job.updated.GetCurrentTime()
    job.revision += 1


def _publish(
    transaction: WriteTransaction, name: str, job: training_pb2.Job, *, reason: str, trial_id: str = "", data: str = ""
) -> None:
    published.publish(
        transaction,
        published_event_pb2.PublishedEvent(
            name=name,
            category=job.category,
            model=job.model,
            job_id=job.job_id,
            trial_id=trial_id,
            reason=reason,
            data=data,
        ),
    )


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
