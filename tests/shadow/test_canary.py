"""In a canary the candidate answers its share of the guilds, the incumbent everybody else; nobody loses an answer."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from becas.ft.ledger.v1 import records_pb2
from becas.ft.v1 import shadow_pb2
from becas_ft.ledger import WriteTransaction
from becas_ft.ledger.schema import TRIAL_COUNTS
from becas_ft.rollout import canary, canary_record, limits, registry
from becas_ft.rollout.gate import Decision, Policy, Verdict
from becas_ft.runtime.errors import RuntimeUnavailable
from becas_ft.runtime.protocol import Priority
from becas_ft.shadow import judged, report, trials, truth
from helpers import canaries, fake_runtime
from helpers.bench import FIGURES, A, B, Bench, OpenBench
from helpers.fake_runtime import Behaviour, says
from helpers.served import SCAM

GUILDS = [f"guild {number}" for number in range(60)]


def question(name: str, *, user: str = "", guild: str = "") -> shadow_pb2.ShadowTestRequest:
    return shadow_pb2.ShadowTestRequest(
        category=SCAM, input="claim the prize now", request_id=name, user_id=user, guild_id=guild
    )


def widen(parts: Bench, trial: shadow_pb2.Trial, percent: int) -> None:
    change = partial(canary_record.move, trial_id=trial.trial_id, percent=percent, now_ms=0, reason="r", evidence="")
    assert parts.ledger.write(change)


def begin(parts: Bench, percent: int = 50) -> tuple[shadow_pb2.Trial, str, str]:
    """A trial with a canary; it, a guild that is in, and one that is not."""
    trial = parts.set_up()
    widen(parts, trial, percent)

    def is_in(guild: str) -> bool:
        return canary.is_member(parts.core.pseudonym, trial.trial_id, parts.core.pseudonym("guild", guild), percent)

    return trial, next(filter(is_in, GUILDS)), next(guild for guild in GUILDS if not is_in(guild))


def state(parts: Bench) -> records_pb2.Canary:
    found = parts.ledger.read(partial(canary_record.of, category=SCAM))
    assert found is not None
    return found


def rows(parts: Bench, trial: shadow_pb2.Trial) -> tuple[records_pb2.Pair, ...]:
    return parts.ledger.read(partial(judged.load, trial_id=trial.trial_id)).rows


async def candidates_guilds(parts: Bench, turn: str, guilds: Iterable[str] = GUILDS) -> set[str]:
    """The guilds that the candidate answers, each asked twice by different members: always alike."""
    answers = {
        guild: {
            (await parts.tester.answer(question(f"{turn}/{guild}/{user}", user=user, guild=guild))).model
            for user in ("1", "2")
        }
        for guild in guilds
    }
    assert all(len(models) == 1 for models in answers.values())
    return {guild for guild, models in answers.items() if models == {B}}


async def test_a_share_of_the_guilds_meets_the_candidate_for_good(bench: OpenBench) -> None:
    """The same guilds after a restart, these and others at the next step, and the response says who answered."""
    async with bench() as parts:
        trial = parts.set_up()
        assert await candidates_guilds(parts, "before") == set()
        widen(parts, trial, 25)
        narrow = await candidates_guilds(parts, "narrow")
    async with bench() as parts:
        assert await candidates_guilds(parts, "again") == narrow
        widen(parts, trial, 50)
        wide = await candidates_guilds(parts, "wide")

    assert set() < narrow < wide < set(GUILDS)


async def test_without_a_guild_the_user_decides_and_without_both_the_request(bench: OpenBench) -> None:
    """All that a user asks goes one way; requests of nobody are spread."""
    async with bench() as parts:
        begin(parts)
        by_user = [
            {(await parts.tester.answer(question(f"{user}-{number}", user=user))).model for number in range(3)}
            for user in map(str, range(30))
        ]
        by_request = {(await parts.tester.answer(question(f"r-{number}"))).model for number in range(30)}

    assert all(len(models) == 1 for models in by_user)
    assert {model for models in by_user for model in models} == by_request == {A, B}


async def test_pairs_keep_their_meaning(bench: OpenBench) -> None:
    """A is the incumbent and B the candidate whoever answered; what B alone had right is a win."""
    async with bench(a=says(is_scam=False), b=says(is_scam=True)) as parts:
        trial, inside, outside = begin(parts)
        for guild in (inside, outside):
            answer = await parts.tester.answer(question(guild, user="1", guild=guild))
            assert (answer.model, answer.sampled) == (B if guild == inside else A, True)
        await parts.tester.settle()
        found = rows(parts, trial)
        for guild in (inside, outside):
            pseudonym = parts.core.pseudonym("event", guild)
            parts.ledger.write(partial(truth.record, pseudonym=pseudonym, truth="true"))
        report_ = report.build(parts.ledger.read(partial(judged.load, trial_id=trial.trial_id)), Policy())

    assert [(row.a.model, row.b.model, row.a.label, row.b.label) for row in found] == [(A, B, "false", "true")] * 2
    # Production's process against the one beside it: these latencies are not compared.
    assert [row.quiet for row in found].count(True) == 1
    assert (report_.wins, report_.losses, report_.requests, report_.sampled) == (2, 0, 2, 2)


async def test_the_candidate_has_productions_priority(bench: OpenBench) -> None:
    """And the incumbent runs beside it, as the candidate does before."""
    async with bench() as parts:
        _, inside, _ = begin(parts)
        await parts.tester.answer(question("1", guild=inside))
        await parts.tester.settle()

    assert [(heard.model, heard.priority) for heard in parts.runtime.heard] == [
        (B, Priority.PRODUCTION),
        (A, Priority.CANDIDATE),
    ]


@pytest.mark.parametrize(
    ("behaviour", "failure", "silence"),
    [
        (fake_runtime.fails, "unavailable", 2),
        (fake_runtime.crashes, "unavailable", 2),
        (fake_runtime.hangs, "timeout", 2),
        (fake_runtime.garbage, "unparsable", 0),
    ],
)
async def test_a_candidate_that_fails_costs_nobody_an_answer(
    bench: OpenBench, behaviour: Behaviour, failure: str, silence: int
) -> None:
    """The incumbent answers in its place and in its time; the pair has B's failure, and the canary counts it."""
    async with bench(behaviour, production_timeout=0.4) as parts:
        trial, inside, _ = begin(parts)
        answers = [await parts.tester.answer(question(str(number), guild=inside)) for number in range(2)]
        await parts.tester.settle()
        found, counted = rows(parts, trial), state(parts)

    assert [(answer.model, answer.label, answer.sampled) for answer in answers] == [(A, "false", True)] * 2
    assert [(row.a.model, row.a.label, row.b.model, row.b.failure) for row in found] == [(A, "false", B, failure)] * 2
    # A was asked once for each, and not beside once more.
    assert parts.runtime.asked == {A: 2, B: 2}
    assert (counted.answers, counted.failures, counted.silence) == (0, 2, silence)


async def test_answers_are_counted_and_end_a_silence(bench: OpenBench) -> None:
    """By the candidate's own share only."""
    async with bench(fake_runtime.fails) as parts:
        _, inside, outside = begin(parts)
        await parts.tester.answer(question("1", guild=inside))
        parts.runtime.behaviours[B] = says(is_scam=True)
        for number in (2, 3):
            await parts.tester.answer(question(str(number), guild=inside))
            await parts.tester.answer(question(f"o{number}", guild=outside))
        await parts.tester.settle()
        counted = state(parts)

    assert (counted.answers, counted.failures, counted.silence) == (2, 1, 0)


async def test_where_nobody_answers_the_candidate_is_not_to_blame(bench: OpenBench) -> None:
    """A runtime that is down is the caller's to know, as without a canary; nothing is counted."""
    async with bench(fake_runtime.fails, a=fake_runtime.fails) as parts:
        trial, inside, _ = begin(parts)
        with pytest.raises(RuntimeUnavailable):
            await parts.tester.answer(question("1", guild=inside))
        await parts.tester.settle()
        counted, found = state(parts), rows(parts, trial)

    assert (counted.answers, counted.failures, found) == (0, 0, ())


async def test_an_incumbent_that_fails_beside_makes_no_pair(bench: OpenBench) -> None:
    """Its failure is nothing that the candidate has won; the caller has the candidate's answer."""
    async with bench(a=fake_runtime.fails) as parts:
        trial, inside, _ = begin(parts)
        answer = await parts.tester.answer(question("1", guild=inside))
        await parts.tester.settle()
        counts = parts.ledger.read(lambda transaction: transaction.get(TRIAL_COUNTS, trial.trial_id))
        found = rows(parts, trial)

    assert (answer.model, found) == (B, ())
    assert counts is not None
    assert (counts.sampled, counts.overflow) == (1, 1)


async def test_an_answer_stays_what_it_was(bench: OpenBench) -> None:
    """A repeated request has the candidate's answer after the canary has gone back, and is not counted twice."""
    async with bench() as parts:
        _, inside, _ = begin(parts)
        first = await parts.tester.answer(question("1", guild=inside))
        again = await parts.tester.answer(question("1", guild=inside))
        await parts.tester.settle()
        answers = state(parts).answers
        parts.ledger.write(partial(canary_record.end, category=SCAM, why="w", actor=limits.PIPELINE))
    async with bench() as parts:
        later = await parts.tester.answer(question("1", guild=inside))
        other = await parts.tester.answer(question("2", guild=inside))

    assert first == again == later
    assert (first.model, other.model, answers) == (B, A, 1)


async def test_the_candidate_stops_at_once_with_its_trial_and_its_incumbent(bench: OpenBench) -> None:
    """A trial that was stopped, and an alias that moved, end the share before the pipeline has looked."""
    async with bench() as parts:
        trial, inside, _ = begin(parts)
        parts.ledger.write(partial(trials.stop, trial_id=trial.trial_id, reason="stopped", figures=FIGURES))
        stopped = await parts.tester.answer(question("1", guild=inside))
        _, inside, _ = begin(parts)
        parts.runtime.behaviours["other"] = says(is_scam=True)

        def point(transaction: WriteTransaction) -> None:
            registry.point(transaction, SCAM, "other")

        parts.ledger.write(point)
        moved = await parts.tester.answer(question("2", guild=inside))

    assert (stopped.model, moved.model) == (A, "other")


async def test_a_trial_that_passed_goes_on_for_its_canary(bench: OpenBench) -> None:
    """Its horizon ends it only where no step needs its evidence, or where it was lost."""
    passed = Verdict(Decision.PROMOTE, ("all conditions hold",), final=True)
    async with bench() as parts:
        trial, _, _ = begin(parts)

        def ends(verdict: Verdict) -> bool:
            return parts.ledger.write(
                partial(trials.end_decided, trial_id=trial.trial_id, verdict=verdict, figures=FIGURES)
            )

        assert not ends(passed)
        assert ends(Verdict(Decision.KEEP, ("worse",), final=True))
        trial = parts.set_up()
        assert ends(passed)


async def test_what_may_not_be_kept_is_in_no_canary(bench: OpenBench, tmp_path: Path) -> None:
    """A guild without consent has the incumbent; of the others only pseudonyms are on the disk."""
    async with bench() as parts:
        trial, inside, _ = begin(parts)
        parts.core.set_consent(inside, granted=False)
        refused = await parts.tester.answer(question("1", guild=inside))
        for number in range(20):
            request = question(f"{canaries.EVENT_PREFIX}{number}", user=canaries.USER, guild=canaries.GUILD)
            await parts.tester.answer(request)
        for number in range(20):
            await parts.tester.answer(question(f"{canaries.EVENT_PREFIX}n{number}"))
        await parts.tester.settle()
        counted, found = state(parts), rows(parts, trial)

    assert refused.model == A
    assert 0 < counted.answers <= 40
    assert len(found) == 40
    assert canaries.search(tmp_path) == []
