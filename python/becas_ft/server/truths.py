"""Beside the calls: corrections become truths, and trials end when they are decided."""

import asyncio
from typing import Final

import structlog

from becas_ft.ledger import WriteTransaction
from becas_ft.rollout.gate import Policy, decide
from becas_ft.server import rollout
from becas_ft.server.application import Application
from becas_ft.shadow import judged, trials, truth

_INTERVAL: Final = 1.0
_ENDING_INTERVAL: Final = 10

_log = structlog.get_logger("becas_ft.server")


async def take_truths(application: Application) -> None:
    """Runs until it is cancelled."""
    look = 0
    while True:
        try:
            await take(application)
            if look % _ENDING_INTERVAL == 0:
                await end_trials(application)
        except Exception as error:  # noqa: BLE001 - the next look takes what this one did not
            _log.warning("truths_wait", error=type(error).__name__)
        look += 1
        await asyncio.sleep(_INTERVAL)


async def take(application: Application) -> int:
    """Consumes the core's outbox once; how many truths that gave."""
    # A correction may follow its request at once: the request must be on disk first.
    await application.tester.flush()
    async with application.both_stores:
        return await application.write(truth.consume, application.ledger, application.core)


async def end_trials(application: Application) -> list[str]:
    """Ends trials whose horizon is reached or that are given up; their ids."""
    policy = rollout.policy(application.config)
    running = await application.read(
        application.ledger.read,
        lambda transaction: [trial.trial_id for trial in trials.all_trials(transaction) if trial.running],
    )
    return [trial_id for trial_id in running if await application.read(_end, application, trial_id, policy)]


def _end(application: Application, trial_id: str, policy: Policy) -> bool:
    record = application.ledger.read(lambda transaction: judged.load(transaction, trial_id))
    evidence = judged.trial_evidence(record, judged.summarise(record))
    if record.trial.watch and evidence.judged < evidence.horizon:
        return False

    def end(transaction: WriteTransaction) -> bool:
        figures = rollout.figures(application.config)
        return trials.end_decided(transaction, trial_id, decide(evidence, policy), figures)

    return application.ledger.write(end)
