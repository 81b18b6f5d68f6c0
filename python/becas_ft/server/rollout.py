"""How trials and promotions are wired: settings into limits and policy, a trial's report into a judgement."""

import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from becas.ft.v1 import model_pb2, shadow_pb2
from becas_ft._core import Core, categories, output_schema
from becas_ft.config import Config
from becas_ft.evidence.detector import Alarm
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.messages import to_json
from becas_ft.rollout import audit, registry, watch
from becas_ft.rollout.gate import Decision, Policy, Verdict, decide
from becas_ft.rollout.promotion import ROLL_BACK, Judgement, RefusedError, Switch
from becas_ft.runtime.errors import ModelNotFound, ModelRuntimeError
from becas_ft.server.runtime import ServerRuntime
from becas_ft.shadow import judged, report, trials
from becas_ft.shadow.tester import Limits, ShadowTester

if TYPE_CHECKING:
    from becas_ft.server.application import Application

_RETRY_SECONDS: Final = 5.0

_log = structlog.get_logger("becas_ft.server")


def tester(config: Config, core: Core, runtime: ServerRuntime, ledger: Ledger) -> ShadowTester:
    """What answers production requests."""
    shadow = config.shadow
    return ShadowTester(
        core,
        runtime,
        ledger,
        schemas={name: json.loads(output_schema(name)) for name, _, _ in categories()},
        base_model=runtime.base_model,
        limits=Limits(
            production_timeout=shadow.answer_timeout_seconds,
            candidate_timeout=shadow.candidate_timeout_seconds,
            candidate_concurrency=shadow.max_concurrent_candidates,
            candidate_waiting=shadow.max_waiting_candidates,
            close_timeout=config.server.drain_seconds,
        ),
    )


def policy(config: Config) -> Policy:
    """What a promotion takes."""
    promotion = config.promotion
    return Policy(
        minimum_judged=promotion.min_judged,
        minimum_win_rate=promotion.min_win_rate,
        maximum_p95_ratio=promotion.max_p95_latency_ratio,
        maximum_invalid_rate=promotion.max_invalid_rate,
        maximum_severe_loss=promotion.max_severe_miss_increase,
    )


def judge(ledger: Ledger, model: str, *, policy: Policy) -> Judgement | None:
    """What the newest trial of a model says; None where none was set up since it was last rolled back.

    A trial against a model that does not answer any more says nothing about the one that does.
    """
    return ledger.read(lambda transaction: _judge(transaction, model, policy))


def _judge(transaction: ReadTransaction, model: str, policy: Policy) -> Judgement | None:
    trial = trials.newest_of(transaction, model)
    if trial is None or trial.created.ToNanoseconds() < _rolled_back_at(transaction, model):
        return None
    record = judged.load(transaction, trial.trial_id)
    verdict = decide(judged.trial_evidence(record, judged.summarise(record)), policy)
    answers = _answers(transaction, trial)
    if verdict.decision is Decision.PROMOTE and answers not in {trial.base_model, model}:
        reason = f"it was tested against {trial.base_model}, but {answers} answers now: set up a new shadow test"
        verdict = Verdict(Decision.NEED_MORE, (reason,))
    return Judgement(verdict, figures(report.build(record, policy)), trial.trial_id)


def _answers(transaction: ReadTransaction, trial: shadow_pb2.Trial) -> str:
    alias = registry.alias_of(transaction, trial.category)
    return alias.model if alias else trial.base_model


def _rolled_back_at(transaction: ReadTransaction, model: str) -> int:
    """Nanoseconds since the epoch of the model's last rollback; 0 where there was none."""
    times = [entry.time.ToNanoseconds() for entry in audit.entries(transaction) if _took_out(entry, model)]
    return max(times, default=0)


def _took_out(entry: model_pb2.AuditEntry, model: str) -> bool:
    return entry.action == ROLL_BACK and entry.from_model == model


def figures(found: shadow_pb2.ComparisonReport) -> str:
    """The figures that decide, as JSON, for the audit log."""
    whole = json.loads(to_json(found))
    names = ("judged", "wins", "losses", "ties", "e_value", "e_threshold", "recommendation", "broken_guardrails")
    return json.dumps({"trial": found.trial.trial_id} | {name: whole[name] for name in names})


async def recover(application: "Application") -> None:
    """Finishes switches that a crash interrupted, as soon as the runtime answers."""
    while True:
        try:
            settled = await application.promoter.recover()
        except Exception as error:  # noqa: BLE001 - a runtime that is down comes back; the switches wait for it
            _log.warning("recovery_waits", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)
        else:
            if settled:
                _log.info("recovered", switches=len(settled))
            return


async def promote(
    application: "Application", model: str, *, actor: str, reason: str, force: bool = False, request_id: str = ""
) -> Switch:
    """Promotes a model, and sets up the watch over it.

    Raises: as `Promoter.promote`.
    """
    switch = await application.promoter.promote(model, actor=actor, reason=reason, force=force, request_id=request_id)
    await asyncio.to_thread(application.ledger.write, partial(arrange, config=application.config))
    return switch


async def rollback(
    application: "Application",
    category: int,
    *,
    actor: str,
    reason: str,
    to_version: int | None = None,
    evidence: str = "",
    request_id: str = "",
) -> Switch:
    """Rolls a category back, and ends the trial whose incumbent does not answer any more.

    Raises: as `Promoter.rollback`.
    """
    switch = await application.promoter.rollback(
        category, actor=actor, reason=reason, to_version=to_version, evidence=evidence, request_id=request_id
    )
    await asyncio.to_thread(application.ledger.write, partial(arrange, config=application.config))
    return switch


async def check(application: "Application") -> dict[str, watch.Finding]:
    """Looks at every promoted model once, and rolls back what must not stay; findings by category.

    Rolls back only with `promotion.auto_rollback`, and a category at most once in `promotion.cool_down_seconds`.
    """
    ledger, settings = application.ledger, application.config.promotion
    await asyncio.to_thread(ledger.write, partial(arrange, config=application.config))
    found = {}
    for alias in await asyncio.to_thread(ledger.read, registry.aliases):
        name = registry.category_name(alias.category)
        missing = await _missing(application, alias.model)
        watched = await asyncio.to_thread(ledger.read, partial(_watched, alias=alias, missing=missing))
        finding = found[name] = watch.find(watched, budget(application.config))
        if finding.alarm is Alarm.NONE:
            continue
        since = await asyncio.to_thread(
            ledger.read, partial(watch.seconds_since_automatic, category=alias.category, now=time.time())
        )
        _log.warning("watch", category=name, alarm=finding.alarm, reasons=finding.reasons)
        if finding.alarm is Alarm.ROLL_BACK and settings.auto_rollback and since >= settings.cool_down_seconds:
            await _take_out(application, alias, finding)
    return found


async def watch_promoted(application: "Application") -> None:
    """Checks again and again, until it is cancelled."""
    while True:
        await asyncio.sleep(application.config.promotion.watch_interval_seconds)
        try:
            await check(application)
        except Exception as error:  # noqa: BLE001 - the next look may succeed
            _log.warning("watch_failed", error=type(error).__name__)


def budget(config: Config) -> watch.Budget:
    """What a promoted model may do."""
    return watch.Budget(
        maximum_invalid_rate=config.promotion.max_invalid_rate, maximum_p95_ms=policy(config).maximum_p95_ms
    )


async def _take_out(application: "Application", alias: model_pb2.Alias, finding: watch.Finding) -> None:
    evidence = json.dumps({"log_e": finding.log_e, "judged": finding.pairs, "reasons": finding.reasons})
    move = partial(
        rollback,
        application,
        alias.category,
        actor=watch.ACTOR,
        reason="; ".join(finding.reasons),
        evidence=evidence,
    )
    try:
        await move()
    except ModelNotFound:
        # The version before is gone as well; the base is always there.
        await move(to_version=0)
    except RefusedError:
        # The base itself answers: there is nothing behind it.
        _log.error("watch_has_nowhere_to_go", category=registry.category_name(alias.category))


async def _missing(application: "Application", model: str) -> bool:
    try:
        await application.runtime.show(model)
    except ModelNotFound:
        return True
    except ModelRuntimeError:
        # Nobody answers: that says nothing of the model.
        return False
    return False


def _watched(transaction: ReadTransaction, alias: model_pb2.Alias, *, missing: bool) -> watch.Watched:
    trial = trials.running_trial(transaction, alias.category)
    if trial is None or trial.base_model != alias.model:
        return watch.Watched(missing=missing)
    record = judged.load(transaction, trial.trial_id)
    pairs = judged.as_pairs(record) if trial.watch else []
    return watch.watched_of(pairs, [row.a for row in record.rows], missing=missing)


def arrange(transaction: WriteTransaction, config: Config) -> None:
    """Ends trials whose incumbent does not answer any more, and watches promotions that nothing watches."""
    for alias in registry.aliases(transaction):
        running = trials.running_trial(transaction, alias.category)
        if running is not None and running.base_model != alias.model:
            ended = "the candidate was promoted" if running.candidate_model == alias.model else "another model answers"
            trials.stop(transaction, running.trial_id, ended)
            running = None
        former = watch.needs_trial(transaction, alias, trials.all_trials(transaction))
        if running is None and former:
            plan = trials.Plan(
                alias.category,
                base_model=alias.model,
                candidate_model=former,
                sample_rate=config.shadow.sample_rate,
                alpha=config.shadow.alpha,
                horizon=trials.MAXIMUM_HORIZON,
                watch=True,
            )
            trials.set_up(transaction, plan)
