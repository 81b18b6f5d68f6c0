"""Drives every category's pipeline: reads the journal, takes the one step that is due, writes the journal."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import structlog

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.orchestrator import journal, next_step
from becas_ft.orchestrator.jobs import Jobs
from becas_ft.orchestrator.journal import CategoryNumber
from becas_ft.orchestrator.next_step import Action, Next, Rules, View
from becas_ft.orchestrator.states import Happening, Stage
from becas_ft.rollout import canary, canary_record, limits, registry
from becas_ft.rollout.promotion import Judgement
from becas_ft.shadow import trials

Result = TypeVar("Result")

ACTOR = limits.PIPELINE
"""Who promotes, in the audit log."""

_log = structlog.get_logger("becas_ft.pipeline")


@dataclass(frozen=True)
class Doing:
    """How steps are taken.

    Arguments:
        judge: what the newest trial of a model says; None where there is none that counts.
        promote: promotes a model as an actor, for a reason.
        trial: the plan of a shadow test of a candidate against a base model.
        request: what the pipeline asks of a training that it starts by itself.
        figures: what a trial that makes way for another one has shown.
        now: seconds since the epoch.
        base: what answers for a category before anything is promoted; None where nobody can tell.
        seen: a model's last answers in production since a time (seconds since the epoch), oldest first.
    """

    judge: Callable[[str], Judgement | None]
    promote: Callable[[str, str, str], Awaitable[object]]
    trial: Callable[[CategoryNumber, str, str], trials.Plan]
    request: Callable[[CategoryNumber], training_pb2.TrainRequest]
    figures: trials.Figures
    now: Callable[[], float] = time.time
    base: Callable[[CategoryNumber], Awaitable[str]] | None = None
    seen: Callable[[str, float], Sequence[records_pb2.Answer]] = lambda _, __: ()


class Driver:
    """Takes steps; one look at a time.

    Arguments:
        jobs: trains.
        ledger: where trials, aliases and canaries are.
        rules: what may be done without a person.
        doing: how.
    """

    def __init__(self, jobs: Jobs, ledger: Ledger, rules: Rules, doing: Doing) -> None:
        self._jobs = jobs
        self._journal = jobs.journal
        self._ledger = ledger
        self._rules = rules
        self._doing = doing
        self._looking = asyncio.Lock()

    async def check(self) -> list[training_pb2.Job]:
        """One step of every category that is due for one; the jobs that began or moved on."""
        return await self._look(sorted(self._jobs.categories))

    async def check_in_flight(self) -> list[training_pb2.Job]:
        """One step of every category whose candidate is with its evidence; cheap where there is none."""
        known = await self._journal.all()
        return await self._look(
            [
                job.category
                for job in known
                if not job.HasField("ended") and journal.state_of(job) in {Stage.EVALUATING, Stage.PROMOTING}
            ]
        )

    async def plan(self, category: int) -> tuple[View, Next]:
        """What a category is like, and what it does next."""
        view = await self._view(category)
        return view, next_step.decide(view, self._rules)

    async def _look(self, categories: list[int]) -> list[training_pb2.Job]:
        moved = []
        async with self._looking:
            for category in categories:
                try:
                    job = await self._step(category)
                except Exception as error:  # noqa: BLE001 - one category keeps no other from its step
                    # What stands in the way may be gone at the next look.
                    _log.warning(
                        "step_waits",
                        category=self._jobs.categories[category].name,
                        error=str(error) or type(error).__name__,
                    )
                    continue
                if job is not None:
                    moved.append(job)
        return moved

    async def _step(self, category: int) -> training_pb2.Job | None:
        view, due = await self.plan(category)
        job = await self._journal.in_flight(category)
        if due.action is Action.TRAIN:
            begun = await self._jobs.start(self._doing.request(self._jobs.categories[category].number))
            _log.info("training_begins", job=begun.job_id)
            return begun
        if job is None:
            return None
        if due.action is Action.WAIT:
            if view.stage in {Stage.EVALUATING, Stage.PROMOTING}:
                await self._journal.say(job.job_id, due.why)
            return None
        _log.info("step", job=job.job_id, action=due.action)
        await self._take(job, view, due)
        return await self._journal.get(job.job_id)

    async def _take(self, job: training_pb2.Job, view: View, due: Next) -> None:
        match due.action:
            case Action.SET_UP_TRIAL:
                plan = self._doing.trial(job.category, view.answering or job.base_model, job.model)
                await self._write(partial(_set_up, plan=plan, figures=self._doing.figures))
            case Action.OFFER if view.answering == job.model:
                # Somebody promoted it first: nobody is asked to approve it any more.
                await self._journal.move(job.job_id, Happening.GATE_PASSED, due.why)
            case Action.OFFER:
                judgement = await asyncio.to_thread(self._doing.judge, job.model)
                await self._journal.pass_gate(
                    job.job_id,
                    due.why,
                    trial_id=judgement.trial_id if judgement else "",
                    evidence=judgement.evidence if judgement else "",
                )
            case Action.WIDEN_CANARY:
                await self._widen_canary(job.model, due)
            case Action.END_CANARY:
                ended = partial(canary_record.end, category=job.category, why=due.why, actor=canary_record.OPERATOR)
                await self._write(ended)
            case Action.PROMOTE:
                await self._doing.promote(job.model, ACTOR, due.why)
                await self._journal.settle(job.job_id)
            case Action.SETTLE:
                await self._journal.settle(job.job_id)
            case Action.REFUSE:
                await self._journal.refuse(job.job_id, due.why)
            case Action.TRAIN | Action.WAIT:
                pass

    async def _widen_canary(self, candidate: str, due: Next) -> None:
        judgement = await asyncio.to_thread(self._doing.judge, candidate)
        if judgement is not None:
            await self._write(
                partial(
                    canary_record.move,
                    trial_id=judgement.trial_id,
                    percent=due.percent,
                    now_ms=int(self._doing.now() * 1000),
                    reason=due.why,
                    evidence=judgement.evidence,
                )
            )

    async def _view(self, category: int) -> View:
        job = await self._journal.in_flight(category)
        if job is None:
            failed = await self._journal.failed_in_a_row(category)
            return View(
                lacks=tuple(await self._jobs.lacks(category)),
                failures=len(failed),
                last_error=failed[0].error if failed else "",
                seconds_since_failure=self._doing.now() - failed[0].ended.ToNanoseconds() / 1e9 if failed else 0.0,
            )
        stage = journal.state_of(job)
        if stage not in {Stage.EVALUATING, Stage.PROMOTING}:
            return View(stage=stage)
        judgement = await asyncio.to_thread(self._doing.judge, job.model)
        base = await self._doing.base(self._jobs.categories[category].number) if self._doing.base else ""
        view = await self._read(partial(_with_evidence, job=job, stage=stage, judgement=judgement, base=base))
        cooling = partial(
            limits.seconds_left, category=category, now=self._doing.now(), interval=self._rules.cool_down_seconds
        )
        running = await self._read(partial(canary_record.of, category=category))
        return replace(view, cooling=await self._read(cooling), canary=running and self._progress(running))

    def _progress(self, running: records_pb2.Canary) -> canary.Progress:
        return canary.progress(running, self._doing.seen(running.candidate_model, running.since_ms / 1000))

    async def _read(self, view: Callable[[ReadTransaction], Result]) -> Result:
        return await asyncio.to_thread(self._ledger.read, view)

    async def _write(self, change: Callable[[WriteTransaction], Result]) -> Result:
        return await asyncio.to_thread(self._ledger.write, change)


def _with_evidence(
    transaction: ReadTransaction, job: training_pb2.Job, stage: Stage, judgement: Judgement | None, base: str
) -> View:
    alias = registry.alias_of(transaction, job.category)
    answering = alias.model if alias else base
    trial = trials.newest_of(transaction, job.model)
    running = trials.running_trial(transaction, job.category)
    other = running is not None and not running.watch and running.candidate_model != job.model
    # A trial against a model that does not answer takes no requests: it is waited for in vain.
    other = other and (running is None or answering in {"", running.base_model})
    return View(
        stage=stage,
        candidate=job.model,
        rolled_back=registry.get(transaction, job.model).state == model_pb2.MODEL_STATE_ROLLED_BACK,
        answering=answering,
        trial=next_step.Trial(trial.trial_id, trial.running, trial.base_model, trial.ended_reason) if trial else None,
        other_trial=running.trial_id if running is not None and other else "",
        decision=judgement.verdict.decision if judgement else None,
        reasons=judgement.verdict.reasons if judgement else (),
    )


def _set_up(transaction: WriteTransaction, plan: trials.Plan, figures: trials.Figures) -> None:
    running = trials.running_trial(transaction, plan.category)
    if running is not None and not running.watch and running.base_model != plan.base_model:
        trials.stop(transaction, running.trial_id, "another model answers", figures)
    trials.set_up(transaction, plan, figures)
