"""The watch over promoted models, as the server takes its looks: what it takes out, when, and what it leaves."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from becas.ft.v1 import example_pb2, training_pb2
from becas_ft.config import Config
from becas_ft.ledger import WriteTransaction
from becas_ft.orchestrator.next_step import Rules
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.rollout import registry
from becas_ft.rollout.promotion import RefusedError
from helpers.served import SCAM
from helpers.world import ALIAS, BASE, NAME, World

V1, V2 = (f"becas-{BASE}-{NAME}-v{version}" for version in (1, 2))
# ln(6·10⁴)/ln 1.6, see test_watch.
ENOUGH = 24
# Pairs between two looks, and the delay of STATISTICS.md A4 for seven of ten decisive pairs.
LOOK, DELAY = 25, 503


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """v1 answers, promoted by the pipeline, and is watched; v2 is made."""
    thresholds = Thresholds(gold=1, total=1, mean_quality=0.5, new_gold=1, days=30)
    world = World(tmp_path, thresholds=thresholds, rules=Rules(auto_fine_tune=False), min_judged=20)
    for _ in range(2):
        world.gold(1)
        await world.train(training_pb2.TrainRequest(category=SCAM))
        await world.jobs.cancel(world.job().job_id)
    await world.promoter.promote(V1, actor="pipeline", reason="r", force=True)
    await world.watch()
    yield world
    await world.close()


def judge(world: World, first: int, count: int) -> None:
    """Only the former model was right."""
    trial = world.trial()
    assert trial is not None
    assert trial.watch
    world.judge(trial.trial_id, first, [(False, True)] * count)


def see(world: World, count: int, failure: str = "", latency_ms: float = 100.0) -> None:
    """Production asked the model that answers."""
    for _ in range(count):
        world.tester.production.note(world.answering(), latency_ms, failure)


async def test_the_watch_outlives_the_trial_of_a_newer_candidate(world: World) -> None:
    """It is set up again when that trial ends, and what it had shown before still counts."""
    world.seconds += 3_600
    judge(world, 0, ENOUGH - 4)
    newer = world.set_up(V2).trial_id
    await world.watch()
    tested = world.trial()
    world.stop(newer, "the candidate is worse")
    await world.watch()
    judge(world, ENOUGH, 4)
    await world.watch()

    assert tested is not None
    assert (tested.trial_id, tested.watch) == (newer, False)
    assert world.answering() == world.runtime.aliases[ALIAS] == BASE
    assert world.audited()[-1].actor == "watch"
    ended = world.published()[-1]
    assert (ended.name, ended.reason) == ("ab_test.completed", "the watched model was rolled back")
    assert '"wins": 4' in ended.data


@pytest.mark.parametrize("seed", range(3))
async def test_a_promotion_that_turns_bad_is_rolled_back_in_time(world: World, seed: int) -> None:
    """From 90 % right, as before, to 80 %: not while it is as good; then within the median delay of the page and half.

    A fifth of the pairs is decisive, as on the page, and the former model wins three of four.
    """
    source = random.Random(seed)
    trial = world.trial()
    assert trial is not None
    judged = 0

    async def look(*, former: float, promoted: float) -> bool:
        nonlocal judged
        draws = [source.random() for _ in range(LOOK)]
        right = [(draw >= former, not former <= draw < former + promoted) for draw in draws]
        world.judge(trial.trial_id, judged, right)
        judged += LOOK
        await world.watch()
        return world.answering() == BASE

    world.seconds += 3_600
    assert not any([await look(former=0.1, promoted=0.1) for _ in range(12)])
    turned = judged
    while not await look(former=0.15, promoted=0.05):
        assert judged - turned < 1.5 * DELAY

    log = world.audited()
    assert (log[-1].action, log[-1].actor, log[-1].to_model) == ("rollback", "watch", BASE)
    assert world.runtime.aliases[ALIAS] == BASE


async def test_a_version_that_was_rolled_back_needs_a_new_trial(world: World) -> None:
    """What it had shown before does not count, for a person nor the pipeline, also after a restart; new pairs do."""
    tested = world.set_up(V2)
    world.judge(tested.trial_id, 0, [(False, True)] * 40)
    await world.promote(V2)
    judge(world, 0, ENOUGH)
    world.seconds += 3_600
    await world.watch()
    assert world.answering() == V1
    with pytest.raises(RefusedError, match="has no shadow test since"):
        await world.promote(V2)
    await world.kill()
    with pytest.raises(RefusedError, match="has no shadow test since"):
        await world.promote(V2)

    again = world.set_up(V2)
    world.judge(again.trial_id, 0, [(False, True)] * 40)
    await world.promote(V2)
    assert world.answering() == V2


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize(("failure", "latency_ms"), [("unparsable", 100.0), ("timeout", 30_000.0)])
async def test_the_last_answers_trip_whatever_was_before(
    world: World, failure: str, latency_ms: float, newer: bool
) -> None:
    """20,000 good answers hide no 5 of the last 200; while another candidate is tested, too. No hour is waited."""
    if newer:
        world.set_up(V2)
    see(world, 20_000)
    await world.watch()
    before = world.answering()
    see(world, 4, failure, latency_ms)
    see(world, 1)
    await world.watch()
    four = world.answering()
    see(world, 1, failure, latency_ms)
    await world.watch()

    assert (before, four, world.answering()) == (V1, V1, BASE)
    assert "2.5% of 200 answers" in world.audited()[-1].reason


async def test_a_model_that_does_not_answer_goes_at_once(world: World) -> None:
    """Five requests in a row, none of which makes a pair."""
    world.runtime.silent = {V1}
    see(world, 4, "unavailable")
    await world.watch()
    four = world.answering()
    see(world, 1, "down")
    await world.watch()

    assert (four, world.answering()) == (V1, BASE)
    assert world.audited()[-1].reason == "the last 5 requests had no answer"


@pytest.mark.parametrize("silent", [{V1, BASE}, set()])
async def test_a_runtime_that_is_or_was_down_is_no_reason(world: World, silent: set[str]) -> None:
    """Where the base does not answer either, or the model answers again, the model stays."""
    world.runtime.silent = silent
    see(world, 50, "down")
    await world.watch()

    assert world.answering() == V1


@pytest.mark.parametrize("how", ["gone", "damaged"])
async def test_a_model_that_cannot_be_served_goes_at_once(world: World, how: str) -> None:
    """Without a request: it is not there, or it does not load."""
    setattr(world.runtime, how, {V1})
    await world.watch()

    assert world.answering() == world.runtime.aliases[ALIAS] == BASE


async def test_evidence_waits_until_an_hour_has_passed_since_the_last_automatic_switch(world: World) -> None:
    """The pipeline's promotion counts as one."""
    judge(world, 0, ENOUGH)
    world.seconds = world.audited()[-1].time.seconds + 3_590.0
    await world.watch()
    early = world.answering()
    world.seconds += 20
    await world.watch()

    assert (early, world.answering()) == (V1, BASE)


async def test_without_auto_rollback_nothing_moves(world: World) -> None:
    """The finding is told all the same."""
    world.config = Config.model_validate({"promotion": {"auto_rollback": False}})
    world.runtime.gone = {V1}

    found = await world.watch()

    assert found[NAME].alarm == "roll_back"
    assert world.answering() == V1


async def test_a_category_that_cannot_be_looked_at_keeps_no_other_from_it(world: World) -> None:
    """Its error is logged; the next category's damaged model goes."""

    def point(transaction: WriteTransaction) -> None:
        registry.point(transaction, example_pb2.CATEGORY_VIOLATION_DETECTION, "broken")

    show = world.runtime.show

    async def breaks(name: str) -> None:
        if name == "broken":
            raise ZeroDivisionError
        await show(name)

    world.ledger.write(point)
    world.runtime.show = breaks  # type: ignore[method-assign]
    world.runtime.damaged = {V1}
    found = await world.watch()

    assert list(found) == [NAME]
    assert world.answering() == BASE


async def test_what_a_failure_left_apart_is_mended_at_the_next_look(world: World) -> None:
    """A rollback whose answer was lost and could not be undone: no restart is needed."""

    def fail() -> None:
        if world.runtime.aliases[ALIAS] == BASE:
            raise ConnectionError

    world.runtime.fault = fail
    with pytest.raises(ConnectionError):
        await world.rollback()
    apart = world.runtime.aliases[ALIAS]
    world.runtime.fault = lambda: None
    await world.watch()

    assert (apart, world.runtime.aliases[ALIAS], world.answering()) == (BASE, V1, V1)
