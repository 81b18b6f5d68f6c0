"""How training jobs are wired: settings and the core's categories into jobs."""

from becas_ft._core import Core, categories, output_schema, system
from becas_ft.config import Config
from becas_ft.ledger import Ledger
from becas_ft.orchestrator.jobs import Jobs, Parts
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.orchestrator.training_job import Category, Settings
from becas_ft.rollout import registry
from becas_ft.server.application import Application
from becas_ft.server.runtime import ServerRuntime
from becas_ft.training.trainer import ProcessTrainer

JOBS_FOLDER = "jobs"


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
    )
    settings = Settings(
        max_examples=training.max_examples,
        max_user_share=training.max_user_share,
        max_guild_share=training.max_guild_share,
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


async def resume(application: Application) -> None:
    """Goes on with jobs that a crash or a stop interrupted."""
    await application.jobs.recover()


def _categories() -> list[Category]:
    return [
        Category(registry.category_number(name), name, label_key, system(name), output_schema(name))
        for name, label_key, _ in categories()
    ]
