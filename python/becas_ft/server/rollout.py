"""How trials and promotions are wired: settings into limits and policy, a trial's report into a judgement."""

import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import model_pb2, shadow_pb2
from becas_ft._core import Core, categories, output_schema
from becas_ft.config import Config
from becas_ft.evidence.detector import Alarm
from becas_ft.ledger import Ledger, ReadTransaction, WriteTransaction
from becas_ft.rollout import audit, canary, canary_record, limits, registry, watch
from becas_ft.rollout.gate import Decision, Policy, Verdict, decide
from becas_ft.rollout.production import WINDOW, Observed, Production
from becas_ft.rollout.promotion import ROLL_BACK, Judgement, RefusedError, Switch
from becas_ft.runtime.errors import InvalidModel, ModelNotFound, ModelRuntimeError
from becas_ft.runtime.protocol import GenerateRequest, Runtime
from becas_ft.server.runtime import ServerRuntime
from becas_ft.shadow import judged, report, trials
from becas_ft.shadow.tester import Limits, ShadowTester

if TYPE_CHECKING:
    from becas_ft.server.application import Application

_RETRY_SECONDS: Final = 5.0

_log = structlog.get_logger("becas_ft.server")


class WatchedTester(ShadowTester):
    """Answers production requests, and notes how each of them ended.

    Attributes:
        production: the notes.
    """

    def __init__(self, core: Core, runtime: Runtime, ledger: Ledger, *, patience_ms: float, **more: Any) -> None:  # noqa: ANN401 - as of ShadowTester
        self.production = Production()
        # It has every method of the runtime that it stands before.
        observed = cast("Runtime", Observed(runtime, self.production, patience_ms))
        super().__init__(core, observed, ledger, **more)


def tester(config: Config, core: Core, runtime: ServerRuntime, ledger: Ledger) -> WatchedTester:
    """What answers production requests."""
    shadow = config.shadow
    return WatchedTester(
        core,
        runtime,
        ledger,
        patience_ms=policy(config).maximum_p95_ms,
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


def canary_policy(config: Config) -> canary.Policy | None:
    """How a promotion without a person is spread over the guilds; None for all at once."""
    promotion, limit = config.promotion, budget(config)
    if not promotion.canary:
        return None
    return canary.Policy(
        steps=promotion.canary_steps,
        minimum_answers=promotion.canary_min_answers,
        maximum_invalid_rate=limit.maximum_invalid_rate,
        maximum_p95_ms=limit.maximum_p95_ms,
        maximum_silence=limit.maximum_silence,
    )


def figures(config: Config) -> trials.Figures:
    """The figures of trials, by the policy that they are judged by."""
    return partial(report.figures_of, policy=policy(config))


def judge(ledger: Ledger, model: str, *, policy: Policy) -> Judgement | None:
    """What the newest trial of a model says; None where none was set up since it was last taken out of production.

    A rollback takes a model out, and so does a canary that went back.

    A trial against a model that does not answer any more says nothing about the one that does. What answers where
    nothing was promoted is known to the runtime only: promoter and pipeline compare it with the judgement's incumbent.
    """
    return ledger.read(lambda transaction: _judge(transaction, model, policy))


def _judge(transaction: ReadTransaction, model: str, policy: Policy) -> Judgement | None:
    trial = trials.newest_of(transaction, model)
    if trial is None or trial.created.ToNanoseconds() < _taken_out_at(transaction, model):
        return None
    record = judged.load(transaction, trial.trial_id)
    verdict = decide(judged.trial_evidence(record, judged.summarise(record)), policy)
    answers = _answers(transaction, trial)
    if verdict.decision is Decision.PROMOTE and answers not in {trial.base_model, model}:
        reason = f"it was tested against {trial.base_model}, but {answers} answers now: set up a new shadow test"
        verdict = Verdict(Decision.NEED_MORE, (reason,))
    return Judgement(verdict, report.figures(report.build(record, policy)), trial.trial_id, trial.base_model)


def _answers(transaction: ReadTransaction, trial: shadow_pb2.Trial) -> str:
    alias = registry.alias_of(transaction, trial.category)
    return alias.model if alias else trial.base_model


def _taken_out_at(transaction: ReadTransaction, model: str) -> int:
    """Nanoseconds since the epoch when the model was last taken out of production; 0 where it never was."""
    times = [entry.time.ToNanoseconds() for entry in audit.entries(transaction) if _took_out(entry, model)]
    return max(times, default=0)


def _took_out(entry: model_pb2.AuditEntry, model: str) -> bool:
    return (entry.action == ROLL_BACK and entry.from_model == model) or canary_record.took_back(entry, model)


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
    expected: str = "",
    evidence: str = "",
    request_id: str = "",
) -> Switch:
    """Rolls a category back, and ends the trial whose incumbent does not answer any more.

    Raises: as `Promoter.rollback`.
    """
    switch = await application.promoter.rollback(
        category,
        actor=actor,
        reason=reason,
        to_version=to_version,
        expected=expected,
        evidence=evidence,
        request_id=request_id,
    )
    await asyncio.to_thread(application.ledger.write, partial(arrange, config=application.config))
    return switch


async def check(application: "Application", now: float | None = None) -> dict[str, watch.Finding]:
    """Looks at every promoted model once, and rolls back what must not stay; findings by category.

    Rolls back only with `promotion.auto_rollback`; for evidence only where `promotion.cool_down_seconds` passed since
    the category's last automatic switch, of the pipeline or the watch. A trip wire does not wait: while it would,
    nobody is answered. One category that cannot be looked at keeps no other from it.

    Arguments:
        application: what is looked at.
        now: seconds since the epoch; the clock's where left out.
    """
    ledger = application.ledger
    try:
        await application.promoter.agree()
    except ModelRuntimeError as error:
        _log.warning("switches_wait", error=type(error).__name__)
    await asyncio.to_thread(ledger.write, partial(arrange, config=application.config))
    found = {}
    for alias in await asyncio.to_thread(ledger.read, registry.aliases):
        name = registry.category_name(alias.category)
        try:
            found[name] = await _look(application, alias, time.time() if now is None else now)
        except Exception as error:  # noqa: BLE001 - the others are looked at all the same
            _log.error("watch_failed", category=name, error=type(error).__name__)
    return found


async def _look(application: "Application", alias: model_pb2.Alias, now: float) -> watch.Finding:
    ledger, settings = application.ledger, application.config.promotion
    missing = await _missing(application, alias)
    seen = _seen(application, alias)
    watched = await asyncio.to_thread(ledger.read, partial(_watched, alias=alias, seen=seen, missing=missing))
    finding = watch.find(watched, budget(application.config))
    if finding.alarm is Alarm.NONE:
        return finding
    _log.warning("watch", category=registry.category_name(alias.category), alarm=finding.alarm, reasons=finding.reasons)
    if finding.alarm is not Alarm.ROLL_BACK or not settings.auto_rollback:
        return finding
    left = await asyncio.to_thread(
        ledger.read,
        partial(limits.seconds_left, category=alias.category, now=now, interval=settings.cool_down_seconds),
    )
    if (left and not finding.tripped) or not await _is_to_blame(application, alias, finding):
        return finding
    again = await asyncio.to_thread(
        ledger.read, partial(_rolled_back_since, alias=alias, since=now - settings.cool_down_seconds)
    )
    await _take_out(application, alias, finding, to_base=again)
    return finding


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


async def _take_out(
    application: "Application", alias: model_pb2.Alias, finding: watch.Finding, *, to_base: bool
) -> None:
    evidence = json.dumps({"log_e": finding.log_e, "judged": finding.pairs, "reasons": finding.reasons})
    move = partial(
        rollback,
        application,
        alias.category,
        actor=watch.ACTOR,
        reason="; ".join(finding.reasons),
        expected=alias.model,
        evidence=evidence,
    )
    try:
        try:
            await move(to_version=0 if to_base else None)
        except ModelRuntimeError:
            # The version before cannot be served either; the base is always there.
            await move(to_version=0)
    except RefusedError as error:
        # The base itself answers, with nothing behind it, or another model was promoted meanwhile.
        _log.error("watch_cannot_roll_back", category=registry.category_name(alias.category), reasons=error.reasons)


def _rolled_back_since(transaction: ReadTransaction, alias: model_pb2.Alias, since: float) -> bool:
    """Whether the watch rolled the category back since a time: a second one ends at the base."""
    return any(
        entry.category == alias.category
        and (entry.action, entry.actor) == (ROLL_BACK, watch.ACTOR)
        and entry.time.ToNanoseconds() / 1e9 >= since
        for entry in audit.entries(transaction)
    )


async def _missing(application: "Application", alias: model_pb2.Alias) -> bool:
    """Whether the runtime lacks the model, or cannot load it."""
    try:
        await application.runtime.show(alias.model)
        await application.promoter.confirm(alias.category, alias.model)
    except (ModelNotFound, InvalidModel, ValueError, TypeError):
        # The last two: its description on the disk cannot be read.
        return True
    except ModelRuntimeError:
        # Nobody answers: that says nothing of the model.
        return False
    return False


async def _is_to_blame(application: "Application", alias: model_pb2.Alias, finding: watch.Finding) -> bool:
    """Whether it is the model that does not answer, and not the whole runtime."""
    if not finding.doubtful:
        return True
    base = await application.promoter.base_of(alias.category)
    if base == alias.model or not await _answers_now(application, base):
        return False
    return not (finding.silent and await _answers_now(application, alias.model))


async def _answers_now(application: "Application", model: str) -> bool:
    seconds = application.config.shadow.answer_timeout_seconds
    request = GenerateRequest(model=model, prompt="ping", max_tokens=1, timeout=seconds, logprobs=False)
    try:
        await application.runtime.generate(request)
    except Exception:  # noqa: BLE001 - whatever it is, no answer came
        return False
    return True


def _seen(application: "Application", alias: model_pb2.Alias) -> list[records_pb2.Answer]:
    """The promoted model's last production answers since it took over, sampled or not."""
    tester = application.tester
    if not isinstance(tester, WatchedTester):
        return []
    return tester.production.window(alias.model, alias.since.ToNanoseconds() / 1e9)


def _watched(
    transaction: ReadTransaction, alias: model_pb2.Alias, seen: list[records_pb2.Answer], *, missing: bool
) -> watch.Watched:
    every = trials.all_trials(transaction)
    # All parts of the watch are one evidence: another candidate's trial in between takes nothing from it.
    parts = [judged.load(transaction, trial.trial_id) for trial in watch.watches(transaction, alias, every)]
    pairs = [pair for part in parts for pair in judged.as_pairs(part)]
    answers = seen
    running = trials.running_trial(transaction, alias.category)
    if len(seen) < WINDOW and running is not None and running.base_model == alias.model:
        # After a restart, what is on the disk tells more.
        rows = sorted(judged.load(transaction, running.trial_id).rows, key=lambda row: row.time_ms)
        stored = [row.a for row in rows[-WINDOW:]]
        answers = max(stored + seen if _fails(seen) else stored, seen, key=len)[-WINDOW:]
    return watch.watched_of(pairs, answers, missing=missing)


def _fails(seen: list[records_pb2.Answer]) -> bool:
    """Whether the last answer did not come: then it is in no pair."""
    return bool(seen) and seen[-1].failure not in {"", "unparsable"}


def arrange(transaction: WriteTransaction, config: Config) -> None:
    """Ends trials whose incumbent does not answer any more, and watches promotions that nothing watches."""
    for alias in registry.aliases(transaction):
        running = trials.running_trial(transaction, alias.category)
        if running is not None and running.base_model != alias.model:
            _stop(transaction, running, alias, config)
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
            trials.set_up(transaction, plan, figures(config))


def _stop(transaction: WriteTransaction, trial: shadow_pb2.Trial, alias: model_pb2.Alias, config: Config) -> None:
    if trial.candidate_model != alias.model:
        why = "another model answers"
    else:
        why = "the watched model was rolled back" if trial.watch else "the candidate was promoted"
    trials.stop(transaction, trial.trial_id, why, figures(config))
