"""However a trial ends, `ab_test.completed` says why, and carries what the trial has shown."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from becas.ft.v1 import shadow_pb2, training_pb2
from becas_ft.orchestrator.next_step import Rules
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.server import truths
from becas_ft.shadow.trials import TrialRunningError
from helpers.served import SCAM
from helpers.world import BASE, NAME, World

V1, V2 = (f"becas-{BASE}-{NAME}-v{version}" for version in (1, 2))
WINS, LOSSES = 2, 1


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """v1 is made, and nothing promoted: the pipeline waits for v1's evidence."""
    thresholds = Thresholds(gold=1, total=1, mean_quality=0.5, new_gold=1, days=30)
    world = World(tmp_path, thresholds=thresholds, rules=Rules(auto_fine_tune=False), min_judged=20)
    world.gold(1)
    await world.train(training_pb2.TrainRequest(category=SCAM))
    yield world
    await world.close()


def judge(world: World, trial: shadow_pb2.Trial, wins: int = WINS, losses: int = LOSSES) -> None:
    world.judge(trial.trial_id, 0, [(False, True)] * wins + [(True, False)] * losses)


def running(world: World) -> shadow_pb2.Trial:
    trial = world.trial()
    assert trial is not None
    return trial


async def by_an_operator(world: World) -> tuple[str, str]:
    """StopShadowTest does the same: see test_shadow_service."""
    trial = world.set_up(V1)
    judge(world, trial)
    world.stop(trial.trial_id, "enough")
    return trial.trial_id, "enough"


async def by_the_pipeline(world: World) -> tuple[str, str]:
    """Its candidate must be tested against what answers."""
    trial = world.set_up(V1, base="another")
    judge(world, trial)
    await world.check()
    return trial.trial_id, "another model answers"


async def with_its_job(world: World) -> tuple[str, str]:
    """Nobody wants the candidate any more."""
    await world.check()
    trial = running(world)
    judge(world, trial)
    await world.jobs.cancel(world.job().job_id)
    return trial.trial_id, "cancelled on request"


async def by_the_promotion_of_its_candidate(world: World) -> tuple[str, str]:
    """As the service does, a person having forced it."""
    trial = world.set_up(V1)
    judge(world, trial)
    await world.promote(V1, force=True)
    return trial.trial_id, "the candidate was promoted"


async def as_a_watch_by_a_rollback(world: World) -> tuple[str, str]:
    """What it watched does not answer any more."""
    await world.promote(V1, force=True)
    trial = running(world)
    judge(world, trial)
    await world.rollback()
    return trial.trial_id, "the watched model was rolled back"


async def as_a_watch_by_a_newer_candidate(world: World) -> tuple[str, str]:
    """The watch goes on afterwards, in another trial."""
    await world.promote(V1, force=True)
    await world.check()
    watch = running(world)
    judge(world, watch)
    world.gold(1)
    await world.jobs.journal.settle(world.job().job_id)
    await world.train(training_pb2.TrainRequest(category=SCAM))
    world.set_up(V2)
    return watch.trial_id, "a new candidate is tested"


@pytest.mark.parametrize(
    "end",
    [
        by_an_operator,
        by_the_pipeline,
        with_its_job,
        by_the_promotion_of_its_candidate,
        as_a_watch_by_a_rollback,
        as_a_watch_by_a_newer_candidate,
    ],
)
async def test_an_ended_trial_is_published_with_its_figures(
    world: World, end: Callable[[World], Awaitable[tuple[str, str]]]
) -> None:
    """Two wins and a loss: by whomever, and whatever ends it."""
    trial_id, why = await end(world)

    assert ended(world, trial_id) == (why, trial_id, WINS + LOSSES, WINS, LOSSES)


async def test_a_decided_trial_is_published_with_its_figures(world: World) -> None:
    """Thirty losses: the server gives it up at its next look."""
    trial = world.set_up(V1)
    judge(world, trial, wins=0, losses=30)

    async def read(call: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - whatever the call gives
        return call(*arguments)

    application: Any = SimpleNamespace(config=world.config, ledger=world.ledger, read=read)
    await truths.end_trials(application)

    why, *figures = ended(world, trial.trial_id)
    assert "the candidate is worse" in str(why)
    assert figures == [trial.trial_id, 30, 0, 30]


async def test_a_trial_without_pairs_makes_way_for_another_plan_of_its_candidate(world: World) -> None:
    """The pipeline was quicker than the person who wanted other settings; what has a pair stays."""
    await world.check()
    first = running(world)
    second = world.set_up(V1)
    judge(world, second, wins=1, losses=0)
    with pytest.raises(TrialRunningError):
        world.set_up(V1)
    await world.check()

    assert running(world).trial_id == second.trial_id
    # Nothing of it was judged: it used up no share of the error level.
    assert second.e_threshold == first.e_threshold
    assert ended(world, first.trial_id) == ("set up anew before its first pair", first.trial_id, 0, 0, 0)


async def test_a_trial_without_pairs_stays_for_another_candidate(world: World) -> None:
    """Whose turn it is decides who asked first."""
    world.set_up(V1)
    await world.jobs.cancel(world.job().job_id)
    first = world.set_up(V1)
    world.gold(1)
    await world.train(training_pb2.TrainRequest(category=SCAM))

    with pytest.raises(TrialRunningError):
        world.set_up(V2)

    assert running(world).trial_id == first.trial_id


def ended(world: World, trial_id: str) -> tuple[object, ...]:
    """(why, trial, judged, wins, losses) of a trial's one event."""
    [event] = [event for event in world.published() if event.trial_id == trial_id and event.name == "ab_test.completed"]
    data = json.loads(event.data)
    assert {"e_value", "e_threshold", "recommendation", "broken_guardrails"} <= data.keys()
    return event.reason, data["trial"], data["judged"], data["wins"], data["losses"]
