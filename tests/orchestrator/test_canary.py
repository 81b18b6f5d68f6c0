"""The pipeline promotes over a canary: a share of the guilds at a time, and back to nobody on a broken guardrail."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.ledger import WriteTransaction
from becas_ft.orchestrator.next_step import Rules
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.rollout import audit, canary_record, registry
from becas_ft.rollout.canary import Policy
from becas_ft.rollout.production import Production
from becas_ft.rollout.promotion import RefusedError
from becas_ft.shadow import trials
from helpers.bench import FIGURES
from helpers.served import SCAM
from helpers.world import ALIAS, BASE, NAME, KilledError, World

SMALL = Thresholds(gold=5, total=5, mean_quality=0.5, new_gold=5, days=30)
RULES = Rules(auto_promote=True, canary=Policy(minimum_answers=50))
V1 = f"becas-{BASE}-{NAME}-v1"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A candidate that has passed, and is offered."""
    world = World(tmp_path, thresholds=SMALL, rules=RULES, min_judged=20)
    world.gold(5)
    for _ in range(2):
        await world.check()
    judge(world, 0, 30, b_right=True)
    await world.check()
    yield world
    await world.close()


def judge(world: World, first: int, count: int, *, b_right: bool) -> None:
    trial = world.trial()
    assert trial is not None
    world.judge(trial.trial_id, first, [(not b_right, b_right)] * count)


def answer(world: World, count: int, failure: str = "") -> None:
    """The candidate is asked in production."""
    trial = world.trial()
    assert trial is not None

    def change(transaction: WriteTransaction) -> None:
        for _ in range(count):
            canary_record.note(transaction, category=SCAM, trial_id=trial.trial_id, failure=failure)

    world.ledger.write(change)


def share(world: World) -> int:
    """Per cent of the guilds; 0 where there is no canary."""
    record = world.ledger.read(partial(canary_record.of, category=SCAM))
    return record.percent if record else 0


def shares(world: World) -> list[int]:
    """As the audit log has them."""
    return [json.loads(entry.evidence)["percent"] for entry in world.audited() if entry.action == "canary"]


async def reach(world: World, percent: int) -> None:
    """Look and answer until the canary is there."""
    while share(world) != percent:
        if share(world):
            answer(world, 50)
        await world.check()


async def why(world: World) -> str:
    _, due = await world.driver.plan(SCAM)
    return due.why


async def test_from_one_per_cent_to_everybody(world: World) -> None:
    """A step a look, each after its answers; then the alias moves as ever, and the canary is over."""
    seen, words = [], []
    for _ in range(4):
        await world.check()
        seen.append(share(world))
        answer(world, 37)
        await world.check()
        assert share(world) == seen[-1]
        words.append(world.job().step_name)
        answer(world, 13)
        assert world.answering() == BASE
    await world.check()

    assert seen == [1, 5, 25, 50]
    assert words == [f"canary: {percent} % of guilds, 37 of 50 answers" for percent in seen]
    assert (world.answering(), world.runtime.aliases[ALIAS], share(world)) == (V1, V1, 0)
    log = world.audited()
    assert [(entry.action, entry.actor, entry.to_model) for entry in log] == [
        *[("canary", "pipeline", V1)] * 4,
        ("promote", "pipeline", V1),
    ]
    assert shares(world) == [1, 5, 25, 50]
    assert all(json.loads(entry.evidence)["wins"] == 30 for entry in log)
    assert [json.loads(entry.evidence).get("answers") for entry in log] == [None, 50, 50, 50, None]
    assert audit.broken_links(log) == []
    assert training_pb2.Stage.Name(world.job().stage) == "STAGE_DEPLOYED"
    # One switch of the alias was published, and the watch began, as without a canary.
    assert [event.name for event in world.published()].count("fine_tuning.promoted") == 1
    watch = world.trial()
    assert watch is not None
    assert (watch.watch, watch.base_model) == (True, V1)


@pytest.mark.parametrize("failure", ["timeout", "unavailable", "unparsable"])
async def test_a_broken_guardrail_takes_the_share_back(world: World, failure: str) -> None:
    """To nobody, with the reason, at once; the job is refused, and without a new trial nobody promotes it."""
    await reach(world, 5)
    answer(world, 10)
    answer(world, 2, failure)
    await world.check()

    assert (share(world), world.answering(), world.job().refused) == (0, BASE, True)
    last = world.audited()[-1]
    assert (last.action, last.actor, last.from_model, last.to_model) == ("canary", "pipeline", V1, BASE)
    assert "0 % of guilds: canary: 5 % of guilds, 2 of 12 requests had no usable answer" in last.reason
    figures = json.loads(last.evidence)
    assert (figures["percent"], figures["answers"], figures["failures"]) == (0, 10, 2)
    assert last.reason.removeprefix("0 % of guilds: ") == world.job().error
    assert world.ledger.read(partial(registry.get, name=V1)).state == model_pb2.MODEL_STATE_REFUSED
    assert world.trial() is None
    with pytest.raises(RefusedError, match="has no shadow test since"):
        await world.promote(V1)
    # A version that only ever had a share of the guilds has never answered: no way round the gate.
    with pytest.raises(RefusedError, match="nothing was promoted"):
        await world.rollback(1)
    assert audit.broken_links(world.audited()) == []
    await world.check()
    assert len(await world.jobs.journal.all()) == 1

    plan = trials.Plan(SCAM, base_model=BASE, candidate_model=V1)
    world.ledger.write(partial(trials.set_up, plan=plan, figures=FIGURES))
    judge(world, 100, 40, b_right=True)
    await world.promote(V1)
    assert world.answering() == V1


async def test_a_share_is_no_answer_that_a_rollback_goes_to(world: World) -> None:
    """v2 answers; v1 was in a canary only: it is no target, and not what came before."""
    await reach(world, 5)
    await world.jobs.cancel(world.job().job_id)
    world.gold(5)
    await world.train(training_pb2.TrainRequest(category=SCAM))
    await world.promoter.promote(f"becas-{BASE}-{NAME}-v2", actor="operator", reason="r", force=True)

    with pytest.raises(RefusedError, match="version 1 never answered"):
        await world.rollback(1)
    await world.rollback()
    assert world.answering() == BASE


async def test_latency_in_production_takes_the_share_back(world: World) -> None:
    """By the last answers since the step began."""
    production = Production(now=lambda: world.seconds)
    world.tester.production = production
    await reach(world, 5)
    for _ in range(40):
        production.note(V1, 12_000.0)
    world.seconds += 1
    answer(world, 50)
    await world.check()

    assert (share(world), shares(world)) == (0, [1, 5, 0])
    assert "p95 latency 12000 ms is over 10000 ms" in world.job().error


async def test_pairs_of_the_canary_count(world: World) -> None:
    """What it loses while it answers takes it back before anybody else meets it: the gate says keep."""
    await reach(world, 25)
    judge(world, 100, 100, b_right=False)
    answer(world, 50)
    await world.check()

    assert (share(world), world.job().refused) == (0, True)
    assert shares(world) == [1, 5, 25, 0]
    assert "the candidate is worse" in world.job().error


async def test_evidence_that_does_not_suffice_any_more_holds_the_share(world: World) -> None:
    """Labels that were corrected: it waits where it is."""
    await reach(world, 5)
    judge(world, 100, 16, b_right=False)
    answer(world, 50)
    await world.check()

    assert (share(world), world.job().refused, world.job().HasField("ended")) == (5, False, False)
    assert "canary: 5 % of guilds, the evidence does not suffice any more" in await why(world)


async def test_a_person_moves_the_whole_alias_at_once(world: World) -> None:
    """The canary is over with it, and the job settles."""
    await reach(world, 5)
    await world.promote(V1)
    ended = share(world)
    await world.check()

    assert (ended, world.answering()) == (0, V1)
    assert training_pb2.Stage.Name(world.job().stage) == "STAGE_DEPLOYED"
    assert [entry.action for entry in world.audited()] == ["canary", "canary", "promote"]


async def test_another_model_that_answers_ends_the_canary(world: World) -> None:
    """Its evidence was against the one before: a new trial is set up, and nobody meets the candidate meanwhile."""

    def another(transaction: WriteTransaction) -> None:
        registry.register(transaction, model_pb2.Model(name="another", category=SCAM, version=7, base_model=BASE))

    world.ledger.write(another)
    await reach(world, 5)
    await world.promoter.promote("another", actor="operator", reason="r", force=True)
    ended = share(world)
    await world.check()
    trial = world.trial()
    await world.check()

    assert (ended, share(world)) == (0, 0)
    assert trial is not None
    assert (trial.base_model, trial.candidate_model) == ("another", V1)
    # With its new evidence it begins anew.
    judge(world, 200, 40, b_right=True)
    await world.check()
    assert shares(world) == [1, 5, 1]


async def test_a_cancelled_job_ends_its_canary(world: World) -> None:
    """By a person, and against nobody: what the trial has shown stands."""
    await reach(world, 5)
    await world.jobs.cancel(world.job().job_id)

    last = world.audited()[-1]
    assert (share(world), last.actor, last.reason) == (0, "operator", "0 % of guilds: cancelled on request")
    await world.promote(V1)
    assert world.answering() == V1


async def test_a_trial_that_a_person_stops_ends_the_canary(world: World) -> None:
    """And the job: nobody gathers its evidence any more."""
    await reach(world, 5)
    trial = world.trial()
    assert trial is not None
    world.ledger.write(partial(trials.stop, trial_id=trial.trial_id, reason="stopped by an operator", figures=FIGURES))
    await world.check()

    assert (share(world), world.job().refused) == (0, True)
    assert "its shadow test ended: stopped by an operator" in world.job().error


async def test_a_setting_that_is_turned_off_ends_the_canary(world: World) -> None:
    """At the next start: without auto_promote a person is asked, without a canary the alias moves at once."""
    await reach(world, 5)
    world._rules = replace(RULES, auto_promote=False)
    await world.kill()
    for _ in range(2):
        await world.check()
    waiting = world.job().step_name
    assert (share(world), shares(world)) == (0, [1, 5, 0])

    world._rules = replace(RULES, canary=None)
    await world.kill()
    await world.check()

    assert waiting == f"waits for approval: `becas-ft promote {V1}`"
    assert world.answering() == V1


async def test_the_hour_between_two_switches_holds_the_last_step_only(world: World) -> None:
    """A share is no switch of the alias."""

    def rolled_back(transaction: WriteTransaction) -> None:
        entry = model_pb2.AuditEntry(action="rollback", actor="watch", category=SCAM)
        entry.time.GetCurrentTime()
        audit.append(transaction, entry)

    world.ledger.write(rolled_back)
    await reach(world, 50)
    answer(world, 50)
    for _ in range(2):
        await world.check()
    waiting, answering = world.job().step_name, world.answering()
    world.seconds += 3_600
    await world.check()

    assert "the last automatic switch was too recent" in waiting
    assert (answering, world.answering()) == (BASE, V1)


@pytest.mark.parametrize("point", range(6))
async def test_a_restart_goes_on_at_the_share_where_it_was(world: World, point: int) -> None:
    """Killed around any write of a look: the step is taken once, and the next look is the same or the next."""
    for expected in (1, 5, 25, 50):
        if share(world):
            answer(world, 50)
        left = iter(range(point))

        def step(left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KilledError

        world.ledger.fault = step
        with suppress(KilledError):
            await world.check()
        await world.kill()
        await reach(world, expected)
        # Nothing is asked for twice, whatever look the kill was in.
        await world.check()
        assert share(world) == expected

    assert shares(world) == [1, 5, 25, 50]
    assert audit.broken_links(world.audited()) == []


@pytest.mark.parametrize("point", range(6))
@pytest.mark.parametrize("failure", ["", "timeout"])
async def test_a_restart_goes_on_with_the_end(world: World, point: int, failure: str) -> None:
    """Killed around any write, by the ledger or the runtime: promoted once, or taken back and refused once."""
    await reach(world, 50)
    answer(world, 50, failure)
    left = iter(range(point))

    def step() -> None:
        if next(left, None) is None:
            raise KilledError

    world.ledger.fault = world.runtime.fault = step
    with suppress(KilledError):
        await world.check()
    await world.kill()
    for _ in range(2):
        await world.check()

    assert [entry.action for entry in world.audited()] == [*["canary"] * 4, "canary" if failure else "promote"]
    assert (world.answering(), world.job().refused) == ((BASE, True) if failure else (V1, False))
    assert (share(world), audit.broken_links(world.audited())) == (0, [])
