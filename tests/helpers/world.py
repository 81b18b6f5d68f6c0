"""The pipeline over a real core and a real ledger; trainings and the runtime's aliases are fakes that take no time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import ingest_pb2, model_pb2, published_event_pb2, shadow_pb2, training_pb2
from becas_ft._core import Core
from becas_ft.config import Config
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.ledger.schema import JOBS, PAIRS, REQUESTS
from becas_ft.orchestrator.driver import Doing, Driver
from becas_ft.orchestrator.jobs import Jobs, Parts
from becas_ft.orchestrator.journal import state_of
from becas_ft.orchestrator.next_step import Rules
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.orchestrator.states import Happening, Stage
from becas_ft.orchestrator.training_job import Category, Settings, Work
from becas_ft.rollout import audit, published, registry
from becas_ft.rollout.gate import decide
from becas_ft.rollout.promotion import Promoter, Switch
from becas_ft.rollout.watch import Finding
from becas_ft.runtime.errors import GenerationTimeout, InvalidModel, ModelNotFound, RuntimeUnavailable
from becas_ft.runtime.protocol import GenerateRequest, Generation, Health
from becas_ft.server import rollout
from becas_ft.shadow import judged, trials, truth
from helpers import events
from helpers.served import SCAM, json_label

BASE = "smollm2"
NAME = "scam_detection"
ALIAS = f"becas-{NAME}"


class KilledError(BaseException):
    """Stands for kill -9: nothing catches it."""


@dataclass
class FakeAliases:
    """Stands for a runtime: it keeps models and aliases as a real one does, but can be told to die at a point."""

    aliases: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    deletes: bool = True
    healthy: bool = True
    fault: Callable[[], None] = lambda: None

    async def copy(self, source: str, alias: str) -> None:
        """Sets the alias, and may die before or after."""
        if not self.healthy:
            raise RuntimeUnavailable("the runtime is down", remedy="start it")
        if source in self.gone:
            raise ModelNotFound(source)
        if source in self.damaged:
            raise InvalidModel(source, "its adapter cannot be loaded")
        self.fault()
        self.aliases[alias] = source
        self.fault()

    async def base_model(self, category: str) -> str:
        """One base for all."""
        del category
        return BASE

    async def show(self, name: str) -> None:
        """Whether it has it; what is in it shows only when it is loaded."""
        if name in self.gone:
            raise ModelNotFound(name)

    async def generate(self, request: GenerateRequest) -> Generation:
        """An answer, unless the model is silent."""
        if request.model in self.silent or not self.healthy:
            raise GenerationTimeout(request.model, request.timeout)
        return Generation(model=request.model, text="{}")

    async def health(self) -> Health:
        """Whether it answers."""
        return Health(runtime="fake", healthy=self.healthy, detail="" if self.healthy else "down")

    async def delete(self, name: str) -> None:
        """Deletes a model, where it does."""
        if not self.deletes:
            raise RuntimeUnavailable("the runtime is down", remedy="start it")
        if name not in self.made:
            raise ModelNotFound(name)
        self.made.remove(name)


class InstantJobs(Jobs):
    """Jobs whose trainings take no time and end as they are told: everything around them is the real thing.

    Attributes:
        outcome: of trainings: `offered`, `refused`, or `failed`.
        hold: trainings wait for it, where there is one.
    """

    outcome = "offered"
    hold: asyncio.Event | None = None

    async def _steps(self, job_id: str, work: Work, started: float, notes: object) -> None:
        del notes
        if state_of(await self.journal.get(job_id)) is Stage.READY_FOR_TRAINING:
            await self.journal.move(job_id, Happening.START, "exporting")
        if self.hold is not None:
            await self.hold.wait()
        if state_of(await self.journal.get(job_id)) is Stage.TRAINING:
            await self.journal.move(job_id, Happening.TRAINED, "making the model")
        await self.journal.doom(SCAM, work.model)
        cast("FakeAliases", self._parts.runtime()).made.add(work.model)
        if self.outcome == "failed":
            raise RuntimeUnavailable("the runtime is down", remedy="start it")
        if self.outcome == "refused":
            await self._fail(job_id, work, "it does not beat the base", started, Happening.REFUSE)
            return
        await self._offered(job_id, work)

    async def _offered(self, job_id: str, work: Work) -> None:
        def model(_: training_pb2.Job) -> model_pb2.Model:
            return model_pb2.Model(
                name=work.model,
                category=work.category.number,
                version=work.version,
                base_model=work.base,
                state=model_pb2.MODEL_STATE_CANDIDATE,
                job_id=job_id,
            )

        await self._offer(job_id, work, model, "parity 300 of 300")


class DyingLedger(Ledger):
    """A ledger whose process is killed before or after one of its writes."""

    fault: Callable[[], None] = staticmethod(lambda: None)

    def write(self, change: Callable[[WriteTransaction], Any]) -> Any:  # noqa: ANN401 - whatever the change gives
        """As ever, between two points at which everything may end."""
        self.fault()
        result = super().write(change)
        self.fault()
        return result


class World:
    """Everything that decides, opened over a folder as often as a test wants: as a restart does.

    Arguments:
        folder: holds the stores.
        thresholds: of readiness.
        rules: of the pipeline.
        min_judged: of the gate.
    """

    def __init__(self, folder: Path, *, thresholds: Thresholds, rules: Rules, min_judged: int = 100) -> None:
        self.folder = folder
        self.runtime = FakeAliases()
        # The audit log has the real clock's time: whatever a test does is in the past.
        self.seconds = time.time() + 600
        self._thresholds = thresholds
        self._rules = rules
        self._sent = 0
        self.config = Config.model_validate({"promotion": {"min_judged": min_judged}, "shadow": {"sample_rate": 1.0}})
        self.open()

    def open(self) -> None:
        """Open the stores, and make the parts anew."""
        self.core = Core(str(self.folder / "data"))
        self.ledger = DyingLedger(self.folder / "data" / "ledger")
        self.ledger.write(_register_base)
        category = Category(SCAM, NAME, "isScam", "", "{}")
        parts = Parts(
            core=self.core,
            ledger=self.ledger,
            runtime=lambda: self.runtime,  # type: ignore[arg-type, return-value]  # health and delete are all that is asked
            trainer=None,  # type: ignore[arg-type]  # InstantJobs asks none
            folder=self.folder / "jobs",
            categories={int(SCAM): category},
            base_of=lambda _, name: name or BASE,
            figures=rollout.figures(self.config),
        )
        self.jobs = InstantJobs(parts, Settings(), self._thresholds, now=lambda: self.seconds)
        judge = partial(rollout.judge, self.ledger, policy=rollout.policy(self.config))
        self.promoter = Promoter(self.ledger, self.runtime, judge)
        doing = Doing(
            judge=judge,
            promote=self._promote,
            trial=lambda category, incumbent, candidate: trials.Plan(category, incumbent, candidate, sample_rate=1.0),
            request=lambda category: training_pb2.TrainRequest(category=category),
            figures=rollout.figures(self.config),
            now=lambda: self.seconds,
            base=self.promoter.base_of,
            seen=self._seen,
        )
        self.tester = rollout.WatchedTester(
            self.core,
            self.runtime,  # type: ignore[arg-type]  # it is asked for answers only
            self.ledger,
            patience_ms=10_000.0,
            schemas={},
            base_model=self.runtime.base_model,
        )
        self.driver = Driver(self.jobs, self.ledger, self._rules, doing)

    async def recover(self) -> None:
        """What a server does at its start."""
        await self.promoter.recover()
        self.ledger.write(partial(rollout.arrange, config=self.config))
        await self.jobs.recover()
        await self.idle()

    async def close(self) -> None:
        """End in order."""
        await self.jobs.close()
        self.ledger.close()
        self.core.close()

    async def kill(self) -> None:
        """Drop everything as it stands, and start again."""
        self.ledger.fault = self.runtime.fault = lambda: None
        with suppress(KilledError):
            await self.jobs.close()
        self.ledger.close()
        self.core.close()
        self.open()
        await self.recover()

    async def idle(self) -> None:
        """Wait for the trainings that were begun."""
        while tasks := list(self.jobs._tasks.values()):
            for task in tasks:
                await task

    async def check(self) -> list[training_pb2.Job]:
        """One look of the pipeline, and the trainings that it began."""
        moved = await self.driver.check()
        await self.idle()
        return moved

    async def train(self, request: training_pb2.TrainRequest) -> None:
        """As a person asks for it, to its end."""
        await self.jobs.start(request)
        await self.idle()

    def gold(self, count: int) -> None:
        """Gold examples arrive."""
        batch = [events.scam_message(f"gold-{number}", number) for number in range(self._sent, self._sent + count)]
        self._sent += count
        answer = ingest_pb2.IngestResponse.FromString(self.core.ingest(events.request(batch).SerializeToString()))
        assert {receipt.status for receipt in answer.receipts} == {ingest_pb2.STATUS_ACCEPTED}

    def judge(self, trial_id: str, first: int, right: Sequence[tuple[bool, bool]]) -> None:
        """Pairs with their truth, each of another user: whether A was right, and whether B was."""

        def change(transaction: WriteTransaction) -> None:
            trial = trials.get(transaction, trial_id)
            for number, (a, b) in enumerate(right, start=first):
                key = f"{trial_id}-{number}"
                pair = records_pb2.Pair(
                    a=records_pb2.Answer(model=trial.base_model, output=json_label(a), label=str(a)),
                    b=records_pb2.Answer(model=trial.candidate_model, output=json_label(b), label=str(b)),
                    user=f"user-{number}",
                    time_ms=1_790_000_000_000 + number * 3_600_000,
                )
                request = records_pb2.ShadowRequest(category=SCAM, trial_id=trial_id, answer=pair.a)
                transaction.put(REQUESTS, key, request)
                transaction.put(PAIRS, f"{trial_id}/{key}", pair)
                truth.record(transaction, key, "true")

        self.ledger.write(change)

    def end_trials(self) -> None:
        """As the server does from time to time."""
        policy = rollout.policy(self.config)
        trial = self.trial()
        if trial is None or trial.watch:
            return
        record = self.ledger.read(partial(judged.load, trial_id=trial.trial_id))
        evidence = judged.trial_evidence(record, judged.summarise(record))
        verdict = decide(evidence, policy)
        figures = rollout.figures(self.config)
        self.ledger.write(partial(trials.end_decided, trial_id=trial.trial_id, verdict=verdict, figures=figures))

    def set_up(self, candidate: str, base: str = "") -> shadow_pb2.Trial:
        """Begins a trial, as a person does; against what answers where no base is named."""
        plan = trials.Plan(SCAM, base or self.answering(), candidate, sample_rate=1.0)
        return self.ledger.write(partial(trials.set_up, plan=plan, figures=rollout.figures(self.config)))  # type: ignore[no-any-return]  # partial loses the type

    def stop(self, trial_id: str, reason: str) -> None:
        """Ends a trial, as a person does."""
        figures = rollout.figures(self.config)
        self.ledger.write(partial(trials.stop, trial_id=trial_id, reason=reason, figures=figures))

    def job(self) -> training_pb2.Job:
        """The newest job."""
        return self.ledger.read(_newest)

    def trial(self) -> shadow_pb2.Trial | None:
        """The running trial."""
        return self.ledger.read(partial(trials.running_trial, category=SCAM))

    def answering(self) -> str:
        """The model that answers, by the registry."""
        alias = self.ledger.read(partial(registry.alias_of, category=SCAM))
        return alias.model if alias else BASE

    def audited(self) -> list[model_pb2.AuditEntry]:
        """The audit log."""
        return self.ledger.read(lambda transaction: list(audit.entries(transaction)))

    def published(self) -> list[published_event_pb2.PublishedEvent]:
        """Published events."""
        return published.read(self.ledger, after=0, limit=10_000)

    async def promote(self, model: str, **more: Any) -> Switch:  # noqa: ANN401 - as of Promoter.promote
        """As the service does."""
        switch = await self.promoter.promote(model, actor="operator", reason="r", **more)
        self.ledger.write(partial(rollout.arrange, config=self.config))
        return switch

    async def rollback(self, to_version: int | None = None) -> Switch:
        """As the service does."""
        switch = await self.promoter.rollback(SCAM, actor="operator", reason="r", to_version=to_version)
        self.ledger.write(partial(rollout.arrange, config=self.config))
        return switch

    async def watch(self) -> dict[str, Finding]:
        """One look of the watch, as the server takes it."""
        application: Any = SimpleNamespace(
            ledger=self.ledger,
            config=self.config,
            promoter=self.promoter,
            runtime=self.runtime,
            tester=self.tester,
        )
        return await rollout.check(application, now=self.seconds)

    def _seen(self, model: str, since: float) -> list[records_pb2.Answer]:
        return self.tester.production.window(model, since)

    async def _promote(self, model: str, actor: str, reason: str) -> None:
        await self.promoter.promote(model, actor=actor, reason=reason)
        self.ledger.write(partial(rollout.arrange, config=self.config))


def _register_base(transaction: WriteTransaction) -> None:
    registry.register(transaction, model_pb2.Model(name=BASE, base_model=BASE, state=model_pb2.MODEL_STATE_BASE))


def _newest(transaction: ReadTransaction) -> training_pb2.Job:
    return max((job for _, job in transaction.scan(JOBS)), key=lambda job: int(job.job_id.rpartition("-")[2]))
