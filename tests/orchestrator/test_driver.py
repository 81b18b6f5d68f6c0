"""The pipeline drives itself: ready, trained, tested, promoted or refused, and tried again after a failure."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from becas.ft.v1 import model_pb2, training_pb2
from becas_ft.errors import AlreadyExistsError, ConflictError
from becas_ft.ledger import WriteTransaction
from becas_ft.orchestrator.next_step import Rules
from becas_ft.orchestrator.readiness import Thresholds
from becas_ft.rollout import audit, registry
from helpers.served import SCAM
from helpers.world import BASE, NAME, World

SMALL = Thresholds(gold=5, total=5, mean_quality=0.5, new_gold=5, days=30)
V1 = f"becas-{BASE}-{NAME}-v1"
DAY = 86_400.0


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Promotes by itself."""
    world = World(tmp_path, thresholds=SMALL, rules=Rules(auto_promote=True), min_judged=20)
    yield world
    await world.close()


def stage(world: World) -> str:
    return training_pb2.Stage.Name(world.job().stage).removeprefix("STAGE_").lower()


def names(world: World) -> list[str]:
    return [event.name for event in world.published()]


def judge(world: World, wins: int, losses: int) -> None:
    trial = world.trial()
    assert trial is not None
    world.judge(trial.trial_id, 0, [(False, True)] * wins + [(True, False)] * losses)


async def test_from_ready_to_promoted_without_a_person(world: World) -> None:
    """Not before it is ready; then one step at each look, every one of them published."""
    world.gold(4)
    assert await world.check() == []
    world.gold(1)

    await world.check()
    assert stage(world) == "evaluating"
    await world.check()
    assert world.trial() is not None
    await world.check()
    assert stage(world) == "evaluating"
    judge(world, wins=30, losses=0)
    await world.check()
    assert stage(world) == "promoting"
    await world.check()

    assert stage(world) == "deployed"
    assert world.answering() == world.runtime.aliases["becas-scam_detection"] == V1
    assert [entry.actor for entry in world.audited()] == ["pipeline"]
    assert names(world) == [
        "fine_tuning.completed",
        "fine_tuning.ready_for_promotion",
        "fine_tuning.promoted",
        "ab_test.completed",
    ]
    watch = world.trial()
    assert watch is not None
    assert (watch.watch, watch.base_model, watch.candidate_model) == (True, V1, BASE)


async def test_with_auto_promote_off_a_person_is_asked(tmp_path: Path) -> None:
    """ready_for_promotion is published once, with the evidence; the job ends when the person has promoted."""
    world = World(tmp_path, thresholds=SMALL, rules=Rules(auto_promote=False), min_judged=20)
    world.gold(5)
    for _ in range(2):
        await world.check()
    judge(world, wins=30, losses=0)

    for _ in range(3):
        await world.check()
    asked = [event for event in world.published() if event.name == "fine_tuning.ready_for_promotion"]
    waiting = world.job()
    await world.promote(V1)
    await world.check()

    assert [(event.model, event.job_id) for event in asked] == [(V1, "scam_detection-1")]
    assert '"wins": 30' in asked[0].data
    assert waiting.step_name == f"waits for approval: `becas-ft promote {V1}`"
    assert stage(world) == "deployed"
    await world.close()


async def test_who_promotes_before_the_evidence_is_there_is_not_asked_to(world: World) -> None:
    """A forced promotion ends the job, and nothing says any more that the candidate waits for one."""
    world.gold(5)
    for _ in range(2):
        await world.check()
    await world.promoter.promote(V1, actor="operator", reason="", force=True)

    for _ in range(2):
        await world.check()

    assert stage(world) == "deployed"
    assert names(world) == ["fine_tuning.completed", "fine_tuning.promoted"]


async def test_a_worse_candidate_is_refused_and_its_trial_ends(world: World) -> None:
    """The incumbent stays; the category does not try again before it is ready anew."""
    world.gold(5)
    for _ in range(2):
        await world.check()
    trial = world.trial()
    assert trial is not None
    judge(world, wins=0, losses=30)
    world.stop(trial.trial_id, "the candidate is worse")
    await world.check()

    assert (stage(world), world.job().refused, world.answering()) == ("failed", True, BASE)
    assert world.job().error == "the candidate is worse"
    model = world.ledger.read(partial(registry.get, name=V1))
    assert model.state == model_pb2.MODEL_STATE_REFUSED
    await world.check()
    assert len(await world.jobs.journal.all()) == 1


async def test_after_a_training_the_next_waits_for_new_gold_or_thirty_days(tmp_path: Path) -> None:
    """By a simulated clock and the design's own figures: 499 new gold examples are not enough, 500 or 30 days are."""
    world = World(tmp_path, thresholds=Thresholds(), rules=Rules())
    world.jobs.outcome = "refused"
    world.gold(1_999)
    await world.check()
    assert await world.jobs.journal.all() == []
    world.gold(1)
    await world.check()
    assert (len(await world.jobs.journal.all()), stage(world)) == (1, "failed")

    world.gold(499)
    world.seconds += 29.9 * DAY
    await world.check()
    assert len(await world.jobs.journal.all()) == 1
    world.gold(1)
    await world.check()
    assert len(await world.jobs.journal.all()) == 2

    world.seconds += 29.9 * DAY
    await world.check()
    assert len(await world.jobs.journal.all()) == 2
    world.seconds += 0.1 * DAY
    await world.check()
    assert len(await world.jobs.journal.all()) == 3
    await world.close()


async def test_failures_are_tried_again_later_and_later_and_then_left_with_the_reason(world: World) -> None:
    """After 900 and 1,800 seconds; a third failure is left, and GetPipelineStats says why."""
    world.jobs.outcome = "failed"
    world.gold(5)

    begun = []
    for seconds in (0, 899, 1, 1_799, 1, 10**6):
        world.seconds += seconds
        await world.check()
        begun.append(len(await world.jobs.journal.all()))
    _, due = await world.driver.plan(world.job().category)

    assert begun == [1, 1, 2, 2, 3, 3]
    assert "3 trainings in a row failed, the last: the runtime is down" in due.why
    assert names(world) == ["fine_tuning.failed"] * 3
    # A person mends it and begins a training: the count starts anew with its success.
    world.jobs.outcome = "offered"
    await world.jobs.start(training_pb2.TrainRequest(category=world.job().category))
    await world.idle()
    assert (stage(world), await world.jobs.journal.failed_in_a_row(world.job().category)) == ("evaluating", [])


async def test_a_runtime_that_is_down_delays_a_training_and_fails_none(world: World) -> None:
    """No attempt is used up."""
    world.gold(5)
    world.runtime.healthy = False
    await world.check()
    with pytest.raises(ValueError, match="empty"):
        world.job()

    world.runtime.healthy = True
    await world.check()
    assert stage(world) == "evaluating"


async def test_cancelling_a_candidate_ends_its_trial(world: World) -> None:
    """Nothing is tested that nobody wants."""
    world.gold(5)
    for _ in range(2):
        await world.check()

    await world.jobs.cancel("scam_detection-1")

    assert world.trial() is None
    assert world.job().cancelled
    await world.check()
    assert len(await world.jobs.journal.all()) == 1


async def test_a_restart_goes_on_where_it_was(world: World) -> None:
    """At every stage."""
    world.gold(5)
    await world.jobs.start(training_pb2.TrainRequest(category=SCAM))
    await world.kill()
    # Trained by the second server.
    assert stage(world) == "evaluating"
    await world.check()
    await world.kill()
    await world.check()
    await world.kill()
    judge(world, wins=30, losses=0)
    await world.check()
    await world.kill()
    assert stage(world) == "promoting"
    await world.check()
    await world.kill()

    assert (stage(world), world.answering()) == ("deployed", V1)
    assert names(world).count("fine_tuning.promoted") == 1
    assert audit.broken_links(world.audited()) == []


async def test_an_erasure_ends_the_training_that_may_have_learned_from_it(world: World) -> None:
    """Its texts go, the job fails with the reason, and the pipeline begins anew."""
    world.gold(5)
    blocked = asyncio.Event()
    world.jobs.hold = blocked
    await world.driver.check()
    texts = world.folder / "jobs" / "scam_detection-1" / "rows.jsonl"
    while world.job().stage != training_pb2.STAGE_TRAINING:  # noqa: ASYNC110 - the stage is on the disk
        await asyncio.sleep(0.01)
    texts.write_text("a member's words")

    await world.jobs.forget()

    assert "were erased on request" in world.job().error
    assert not texts.exists()
    world.jobs.hold = None
    world.seconds += 900
    await world.check()
    assert (world.job().job_id, stage(world)) == ("scam_detection-2", "evaluating")


async def test_a_model_that_could_not_be_withdrawn_is_deleted_later(world: World) -> None:
    """The runtime died after it had made the model: once it answers again, nothing half-made is left in it."""
    world.gold(5)
    world.jobs.outcome = "failed"
    world.runtime.deletes = False
    await world.check()
    assert world.runtime.made == {V1}

    world.runtime.deletes = True
    await world.jobs.sweep()

    assert world.runtime.made == set()


async def test_the_pipeline_waits_an_hour_after_the_last_automatic_switch(world: World) -> None:
    """A rollback by the watch counts as one, and the job says what it waits for."""

    def rolled_back(transaction: WriteTransaction) -> None:
        entry = model_pb2.AuditEntry(action="rollback", actor="watch", category=SCAM)
        entry.time.GetCurrentTime()
        audit.append(transaction, entry)

    world.ledger.write(rolled_back)
    world.gold(5)
    for _ in range(2):
        await world.check()
    judge(world, wins=30, losses=0)
    for _ in range(3):
        await world.check()
    waiting, answering = world.job().step_name, world.answering()
    world.seconds += 3_600
    await world.check()

    assert (answering, world.answering()) == (BASE, V1)
    assert "the last automatic switch was too recent" in waiting


async def test_a_candidate_of_another_base_is_tested_against_what_answers(world: World) -> None:
    """The category's own base, not the one that it was trained on: its trial takes requests, and its job ends."""
    world.gold(5)
    await world.train(training_pb2.TrainRequest(category=SCAM, base_model="llama"))
    await world.check()
    trial = world.trial()
    judge(world, wins=30, losses=0)
    for _ in range(2):
        await world.check()

    assert world.job().base_model == "llama"
    assert trial is not None
    assert trial.base_model == BASE
    assert [(entry.from_model, entry.to_model) for entry in world.audited()] == [(BASE, world.job().model)]


async def test_a_trial_against_a_model_that_does_not_answer_is_set_up_anew(world: World) -> None:
    """Whatever it shows, and although it would run for ever: no request is asked of it."""
    world.gold(5)
    await world.check()
    other = world.set_up(V1, base="another")
    judge(world, wins=30, losses=0)
    await world.check()

    trial = world.trial()
    assert trial is not None
    assert (trial.base_model, trial.trial_id == other.trial_id) == (BASE, False)
    assert stage(world) == "evaluating"


async def test_a_request_id_is_for_one_training(world: World) -> None:
    """Asked again it answers with the same job; with another request it is refused."""
    world.gold(5)
    request = training_pb2.TrainRequest(category=SCAM, request_id="x")

    first = await world.jobs.start(request)
    again = await world.jobs.start(request)
    with pytest.raises(AlreadyExistsError, match="request_id was used for another training"):
        await world.jobs.start(training_pb2.TrainRequest(category=SCAM, request_id="x", epochs=2))

    assert again.job_id == first.job_id


async def test_a_category_trains_once_at_a_time(world: World) -> None:
    """Of two that begin at once one is refused, and every other while that is in flight, ready or not, by its name."""
    asked = [training_pb2.TrainRequest(category=SCAM, epochs=epochs, override_readiness=True) for epochs in (1, 2)]

    answers = await asyncio.gather(*map(world.jobs.start, asked), return_exceptions=True)

    [job] = [answer for answer in answers if isinstance(answer, training_pb2.Job)]
    [refused] = [answer for answer in answers if isinstance(answer, ConflictError)]
    assert f"job {job.job_id} is in flight" in str(refused)
    with pytest.raises(ConflictError, match=f"job {job.job_id} is in flight"):
        await world.jobs.start(training_pb2.TrainRequest(category=SCAM))
