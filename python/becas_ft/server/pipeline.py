"""How the pipeline is wired: settings and the core's categories into jobs, and what drives them."""

import asyncio
import time
from functools import partial
from typing import Final

import structlog

from becas.ft.v1 import training_pb2
from becas_ft._core import Core, categories, output_schema, system
from becas_ft.config import Config
from becas_ft.ledger import Ledger
from becas_ft.orchestrator.driver import Doing, Driver
from becas_ft.orchestrator.jobs import Jobs, Parts
from becas_ft.orchestrator.journal import CategoryNumber
from becas_ft.orchestrator.next_step import Rules
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.orchestrator.training_job import Category, Settings
from becas_ft.rollout import registry
from becas_ft.rollout.production import Production
from becas_ft.rollout.promotion import Promoter
from becas_ft.server import rollout
from becas_ft.server.application import Application
from becas_ft.server.runtime import ServerRuntime
from becas_ft.shadow import trials
from becas_ft.training.trainer import ProcessTrainer

JOBS_FOLDER = "jobs"

_EVIDENCE_SECONDS: Final = 5.0
"""Between two looks at candidates whose evidence is being gathered."""

_log = structlog.get_logger("becas_ft.pipeline")


def jobs(config: Config, core: Core, runtime: ServerRuntime, ledger: Ledger) -> Jobs:
    """What trains."""
    training, ready = config.training, config.readiness
    parts = Parts(
        core=core,
        ledger=ledger,
        runtime=lambda: runtime,
        trainer=ProcessTrainer(),
        folder=config.store.data_dir / JOBS_FOLDER,
        categories={int(category.number): category for category in _categories()},
        base_of=runtime.base_of,
        figures=rollout.figures(config),
    )
    settings = Settings(
        max_examples=training.max_examples,
        max_user_share=training.max_user_share,
        max_guild_share=training.max_guild_share,
        min_users=training.min_users,
        quarantine_from=training.quarantine_from,
        max_trigger_flips=training.max_trigger_flips,
        max_contradicted_labels=training.max_contradicted_labels,
        held_out=training.parity_inputs,
        min_parity=training.min_parity,
    )
    thresholds = Thresholds(
        gold=ready.gold,
        total=ready.total,
        mean_quality=ready.mean_quality,
        new_gold=ready.new_gold,
        days=ready.max_age_days,
    )
    return Jobs(parts, settings, thresholds)


def driver(config: Config, jobs: Jobs, ledger: Ledger, promoter: Promoter, production: Production) -> Driver:
    """What takes the steps that are due."""
    training, promotion, shadow = config.training, config.promotion, config.shadow

    async def promote(model: str, actor: str, reason: str) -> None:
        await promoter.promote(model, actor=actor, reason=reason)
        await asyncio.to_thread(ledger.write, partial(rollout.arrange, config=config))

    def trial(category: CategoryNumber, incumbent: str, candidate: str) -> trials.Plan:
        return trials.Plan(
            category,
            base_model=incumbent,
            candidate_model=candidate,
            sample_rate=shadow.sample_rate,
            alpha=shadow.alpha,
            horizon=shadow.horizon,
        )

    def request(category: CategoryNumber) -> training_pb2.TrainRequest:
        return training_pb2.TrainRequest(category=category, seed=training.seed)

    rules = Rules(
        auto_fine_tune=promotion.auto_fine_tune,
        auto_promote=promotion.auto_promote,
        max_attempts=training.max_attempts,
        retry_seconds=training.retry_seconds,
        cool_down_seconds=promotion.cool_down_seconds,
        canary=rollout.canary_policy(config),
    )
    judge = partial(rollout.judge, ledger, policy=rollout.policy(config))
    doing = Doing(
        judge, promote, trial, request, rollout.figures(config), base=promoter.base_of, seen=production.window
    )
    return Driver(jobs, ledger, rules, doing)


async def drive(application: Application) -> None:
    """Goes on with jobs that a crash or a stop interrupted, then looks again and again until it is cancelled."""
    await application.jobs.recover()
    interval = application.config.training.check_interval_seconds
    due = time.monotonic()
    while True:
        try:
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                await application.jobs.sweep()
                await application.driver.check()
            else:
                await application.driver.check_in_flight()
        except Exception as error:  # noqa: BLE001 - the next look may succeed
            _log.warning("look_failed", error=type(error).__name__)
        await asyncio.sleep(min(_EVIDENCE_SECONDS, max(0.0, due - time.monotonic())))


def _categories() -> list[Category]:
    return [
        Category(registry.category_number(name), name, label_key, system(name), output_schema(name))
        for name, label_key, _ in categories()
    ]
