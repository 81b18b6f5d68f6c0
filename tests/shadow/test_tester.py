"""A answers; B can neither delay, change nor fail that answer, and the same request is the same for good."""

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from scipy.stats import binom

from becas.ft.v1 import event_pb2, ingest_pb2, shadow_pb2
from becas_ft._core import Core
from becas_ft.errors import InvalidArgumentError
from becas_ft.evidence import ratio, spending
from becas_ft.ledger import Ledger, WriteTransaction
from becas_ft.ledger.schema import PAIRS, TRIAL_COUNTS
from becas_ft.rollout.gate import Policy
from becas_ft.runtime.errors import RuntimeUnavailable
from becas_ft.runtime.protocol import GenerateRequest
from becas_ft.shadow import judged, report, trials, truth
from becas_ft.shadow.tester import RequestConflictError
from helpers import canaries, fake_runtime
from helpers.bench import FIGURES, Bench, OpenBench, question
from helpers.fake_runtime import Behaviour, says


def without_trial(answer: shadow_pb2.ShadowTestResponse) -> bytes:
    """The answer's bytes, but for whether B was asked."""
    kept = shadow_pb2.ShadowTestResponse()
    kept.CopyFrom(answer)
    kept.sampled = False
    return kept.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        (fake_runtime.is_slow, ""),
        (fake_runtime.fails, "unavailable"),
        (fake_runtime.crashes, "unavailable"),
        (fake_runtime.hangs, "timeout"),
        (fake_runtime.garbage, "unparsable"),
    ],
)
async def test_whatever_b_does_a_answers_the_same_bytes(bench: OpenBench, behaviour: Behaviour, failure: str) -> None:
    """Slow, failing, crashing, hanging and garbage-answering B: A's bytes are those without a test, and as quick."""
    async with bench(behaviour) as alone:
        expected = without_trial(await alone.tester.answer(question(0)))
    async with bench(behaviour, candidate_timeout=0.2) as parts:
        trial = parts.set_up()
        started = time.monotonic()
        answers = [await parts.tester.answer(question(number)) for number in range(1, 4)]
        seconds = time.monotonic() - started
        await parts.tester.settle()
        record = parts.ledger.read(partial(judged.load, trial_id=trial.trial_id))

    assert {without_trial(answer) for answer in answers} == {expected}
    assert all(answer.sampled for answer in answers)
    assert seconds < 3 * 0.2
    assert [row.b.failure for row in record.rows] == [failure] * 3


async def test_too_many_waiting_are_dropped_and_counted(bench: OpenBench) -> None:
    """Past the limit B is not asked: no answer waits, nothing piles up, and the report can tell."""
    async with bench(fake_runtime.hangs, candidate_waiting=2, candidate_timeout=0.3) as parts:
        trial = parts.set_up()
        for number in range(7):
            await parts.tester.answer(question(number))
        await parts.tester.settle()
        counts = parts.ledger.read(lambda transaction: transaction.get(TRIAL_COUNTS, trial.trial_id))
        found = report.build(parts.ledger.read(partial(judged.load, trial_id=trial.trial_id)), Policy())

        assert counts is not None
        assert (counts.requests, counts.sampled, counts.overflow) == (7, 7, 5)
        assert "5 of 7 sampled requests made no pair" in found.reasoning


async def test_pairs_that_are_still_to_come_are_reported(bench: OpenBench) -> None:
    """A report that shows few pairs says that B was not asked yet, and no more once B is done."""
    async with bench(fake_runtime.hangs, candidate_timeout=2) as parts:
        trial = parts.set_up()
        load = partial(judged.load, trial_id=trial.trial_id)
        await parts.tester.answer(question(0))
        await parts.tester.flush()
        early = report.build(parts.ledger.read(load), Policy())
        await parts.tester.settle()
        late = report.build(parts.ledger.read(load), Policy())

    assert (early.sampled, early.pairs, late.pairs) == (1, 0, 1)
    assert "1 sampled requests have no pair yet" in early.reasoning
    assert "no pair yet" not in late.reasoning


async def test_b_that_production_leaves_no_time_is_dropped(bench: OpenBench) -> None:
    """That B is never reached says nothing about B: no wrong answer of it is stored, and the drop is counted."""
    async with bench(fake_runtime.hangs, a=fake_runtime.is_slow, candidate_timeout=0.1) as parts:
        trial = parts.set_up()
        await parts.tester.answer(question(0))

        async def keep_busy(first: int) -> None:
            for number in range(first, first + 15):
                await parts.tester.answer(question(number))

        # Two callers that overlap leave no pause, for longer than B is waited for in any case.
        await asyncio.gather(keep_busy(100), asyncio.sleep(0.05), keep_busy(200))
        await parts.tester.settle()
        record = parts.ledger.read(partial(judged.load, trial_id=trial.trial_id))

        assert record.counts.overflow > 0
        assert len(record.rows) + record.counts.overflow == record.counts.sampled


async def test_without_a_there_is_no_answer(bench: OpenBench) -> None:
    """A's failure is the caller's to know; the next try asks again."""
    async with bench(a=fake_runtime.fails) as parts:
        with pytest.raises(RuntimeUnavailable):
            await parts.tester.answer(question())
        parts.runtime.behaviours["smollm2"] = says(is_scam=True)

        assert (await parts.tester.answer(question())).label == "true"


async def test_a_repeated_request_has_one_answer_for_good(bench: OpenBench) -> None:
    """At once, later, and after a restart; another input under the same id is refused."""
    async with bench() as parts:
        first, beside = await asyncio.gather(*(parts.tester.answer(question()) for _ in range(2)))
        assert parts.runtime.asked["smollm2"] == 1
        with pytest.raises(RequestConflictError):
            await parts.tester.answer(question(text="another text"))
    async with bench(a=says(is_scam=True)) as parts:
        after = await parts.tester.answer(question())
        with pytest.raises(RequestConflictError):
            await parts.tester.answer(question(text="another text"))

    assert first == beside == after


async def test_the_share_that_is_sampled(bench: OpenBench, tmp_path: Path) -> None:
    """20 % within the sample-ratio bound at every request, and the same requests after a restart."""
    numbers = range(600)
    key = tmp_path / "data" / "becas.key"
    key.parent.mkdir()
    # Always the same: of random keys one in a hundred crosses the bound, as it promises.
    key.write_text("07" * 32 + "\n")
    key.chmod(0o600)
    async with bench() as parts:
        parts.set_up(rate=0.2)
        first = [(await parts.tester.answer(question(number))).sampled for number in numbers]
        await parts.tester.settle()
    async with bench() as parts:
        again = [(await parts.tester.answer(question(number))).sampled for number in numbers]

    assert first == again
    for seen in range(1, len(first) + 1):
        sampled = sum(first[:seen])
        assert ratio.ratio_log_e([sampled, seen - sampled], [0.2, 0.8]) < math.log(100)
    # The bound would tell: a quarter more or less of the requests lies outside it.
    low, high = binom.interval(0.999, len(first), 0.2)
    assert low <= sum(first) <= high


async def test_truth_in_any_order_corrected_once(bench: OpenBench) -> None:
    """Before the pair, after it, and corrected: the evidence is that of the labels as they stand."""
    async with bench(fake_runtime.is_slow, a=says(is_scam=True)) as parts:
        trial = parts.set_up()
        await parts.tester.answer(question(1))
        await parts.tester.flush()
        name = parts.core.pseudonym("event", "request-1")
        early = parts.ledger.write(partial(truth.record, pseudonym=name, truth="false"))
        await parts.tester.settle()
        won = _report(parts, trial.trial_id)
        corrected = parts.ledger.write(partial(truth.record, pseudonym=name, truth="true"))
        lost = _report(parts, trial.trial_id)
        parts.ledger.write(partial(truth.record, pseudonym=name, truth="true"))
        same = _report(parts, trial.trial_id)
    async with bench() as parts:
        restarted = _report(parts, trial.trial_id)

    assert (early, corrected) == ((trial.trial_id, False), (trial.trial_id, True))
    assert ((won.wins, won.losses), (lost.wins, lost.losses)) == ((1, 0), (0, 1))
    assert lost == same == restarted


def _report(parts: Bench, trial_id: str) -> shadow_pb2.ComparisonReport:
    return report.build(parts.ledger.read(partial(judged.load, trial_id=trial_id)), Policy())


async def test_a_correction_becomes_truth_exactly_once(bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two stores, before or after the ledger's commit: one truth, one place in the order."""

    class KilledError(BaseException):
        """Stands for kill -9."""

    class Outbox:
        """The core's, killed before it forgets."""

        def __init__(self, core: Core) -> None:
            self.outbox = core.outbox

        def outbox_trim(self, _: int) -> None:
            raise KilledError

    async with bench() as parts:
        trial = parts.set_up()
        await parts.tester.answer(question(1, guild=canaries.GUILD))
        await parts.tester.settle()
        correction = event_pb2.Event(event_id="c", causation_id="request-1", guild_id=canaries.GUILD)
        said = correction.ai_correction.correction
        said.category, said.corrected_label, said.lesson = "false_negative", "true", "A prize that nobody announced."
        said.ai_decision.context = "claim the prize now"
        parts.core.ingest(ingest_pb2.IngestRequest(events=[correction]).SerializeToString())

        def dies(change: Callable[[WriteTransaction], int]) -> int:
            def half_way(transaction: WriteTransaction) -> int:
                change(transaction)
                raise KilledError

            return Ledger.write(parts.ledger, half_way)

        with monkeypatch.context() as patched:
            patched.setattr(parts.ledger, "write", dies)
            with pytest.raises(KilledError):
                truth.consume(parts.ledger, parts.core)
        assert _report(parts, trial.trial_id).judged == 0
        with pytest.raises(KilledError):
            truth.consume(parts.ledger, Outbox(parts.core))
        once = _report(parts, trial.trial_id)
    async with bench() as parts:
        assert truth.consume(parts.ledger, parts.core) == 0
        again = _report(parts, trial.trial_id)
        [(_, row)] = parts.ledger.read(lambda transaction: list(transaction.scan(PAIRS)))

    assert (once.wins, once.judged) == (1, 1)
    assert once == again
    assert (row.truth, row.resolved) == ("true", 1)


async def test_the_recommendation_follows_from_the_numbers(bench: OpenBench) -> None:
    """The e-value is the closed form of its wins, the threshold π²v²/(6·.05), and the words repeat both."""
    async with bench(a=says(is_scam=False), b=says(is_scam=True)) as parts:
        trial = parts.set_up()
        for number in range(100):
            await parts.tester.answer(question(number))
        await parts.tester.settle()
        for number in range(100):
            name = parts.core.pseudonym("event", f"request-{number}")
            parts.ledger.write(partial(truth.record, pseudonym=name, truth="true"))
            if number == 4:
                few = _report(parts, trial.trial_id)
        enough = _report(parts, trial.trial_id)

    assert trial.e_threshold == pytest.approx(math.pi**2 / (6 * 0.05))
    # The mean of (2p)⁵ over win rates p uniform between ½ and 1.
    assert few.e_value_plain == pytest.approx((2**6 - 1) / 6)
    assert few.recommendation == shadow_pb2.RECOMMENDATION_NEED_MORE_DATA
    assert "5 of 100 judged pairs" in few.reasoning
    assert (enough.wins, enough.recommendation) == (100, shadow_pb2.RECOMMENDATION_PROMOTE_B)
    assert "100 judged pairs, at least 100" in enough.reasoning


async def test_garbage_of_any_size_spoils_no_report(bench: OpenBench) -> None:
    """Nested too deep to be read, or too long to be kept: B's answer is wrong, and was not sure of it either."""
    answers = ["[" * 60_000, '{"isScam":true,"reasoning":"' + "x" * 70_000 + '"}']

    async def behave(_: GenerateRequest) -> str:
        return answers.pop()

    async with bench(behave, a=says(is_scam=True)) as parts:
        trial = parts.set_up()
        for number in range(2):
            await parts.tester.answer(question(number))
            await parts.tester.settle()
            name = parts.core.pseudonym("event", f"request-{number}")
            parts.ledger.write(partial(truth.record, pseudonym=name, truth="true"))
        found = _report(parts, trial.trial_id)

    assert (found.losses, found.invalid_rate_b) == (2, 1.0)
    assert (found.calibration_a.pairs, found.calibration_b.pairs, found.quality_score) == (2, 0, 0.0)


async def test_a_time_that_there_is_not_is_refused(bench: OpenBench) -> None:
    """By its field, before anything is asked."""
    async with bench() as parts:
        request = question()
        request.time.seconds = 10**12
        with pytest.raises(InvalidArgumentError) as caught:
            await parts.tester.answer(request)

    assert caught.value.args[0] == "time"
    assert parts.runtime.asked == {}


async def test_another_test_of_a_version_is_not_free(bench: OpenBench) -> None:
    """Its e-value begins anew, so it takes the next share of α; a test in which nothing was judged cost none."""
    async with bench(a=says(is_scam=False), b=says(is_scam=True)) as parts:
        thresholds = []
        for label in (None, "true", "true", None):
            trial = parts.set_up()
            thresholds.append(trial.e_threshold)
            number = len(thresholds)
            await parts.tester.answer(question(number))
            await parts.tester.settle()
            name = parts.core.pseudonym("event", f"request-{number}")
            if label:
                parts.ledger.write(partial(truth.record, pseudonym=name, truth=label))
            parts.ledger.write(partial(trials.stop, trial_id=trial.trial_id, reason="not yet", figures=FIGURES))

    assert thresholds == [spending.threshold_of_version(share) for share in (1, 1, 2, 3)]


async def test_a_correction_of_another_guild_or_without_a_label_judges_nothing(bench: OpenBench) -> None:
    """Nobody steers a test from outside, and a word that is no label makes nobody wrong; one of no guild is taken."""
    async with bench() as parts:
        trial = parts.set_up()
        for number in range(3):
            await parts.tester.answer(question(number, guild="g"))
        await parts.tester.settle()
        corrections = []
        for number, (guild, label) in enumerate([("other", "true"), ("g", "banana"), ("g", "true")]):
            event = event_pb2.Event(event_id=f"c{number}", causation_id=f"request-{number}", guild_id=guild)
            said = event.ai_correction.correction
            said.category, said.corrected_label, said.lesson = "false_negative", label, "A prize that nobody announced."
            said.ai_decision.context = "claim the prize now"
            corrections.append(event)
        parts.core.ingest(ingest_pb2.IngestRequest(events=corrections).SerializeToString())

        assert truth.consume(parts.ledger, parts.core) == 1
        assert _report(parts, trial.trial_id).wins == 1


async def test_a_fresh_report_says_what_it_would_take(bench: OpenBench) -> None:
    """Eight wins of eight users are the least for a first version: E(7, 0) is 31.9, and 32.9 is needed."""
    async with bench() as parts:
        found = _report(parts, parts.set_up().trial_id)

    assert found.judged_disagreements_needed == 8
    assert "at least 8 disagreements, all won, of as many users" in found.reasoning
