"""What requests and answers leave of members and guilds: pseudonyms, placeholders, and after an erasure nothing."""

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest

from becas.ft.v1 import shadow_pb2
from becas_ft.ledger import ReadTransaction
from becas_ft.ledger.schema import PAIRS, REQUESTS
from becas_ft.runtime.protocol import GenerateRequest
from becas_ft.shadow import judged, truth
from helpers import canaries, fake_runtime
from helpers.bench import OpenBench, question
from helpers.fake_runtime import says
from helpers.served import SCAM


async def test_no_raw_id_and_no_secret_reaches_the_ledger(bench: OpenBench, tmp_path: Path) -> None:
    """Requests full of secrets leave pseudonyms and placeholders, and a guild without consent leaves nothing."""

    async def repeats(_: GenerateRequest) -> str:
        return '{"isScam":true,"scamType":"prize","reasoning":"' + canaries.TEXT + '"}'

    async with bench(repeats, a=repeats) as parts:
        trial = parts.set_up()
        request = shadow_pb2.ShadowTestRequest(
            category=SCAM,
            input=canaries.TEXT,
            context=canaries.TEXT,
            user_id=canaries.USER,
            guild_id=canaries.GUILD,
            request_id=canaries.EVENT_PREFIX,
        )
        await parts.tester.answer(request)
        parts.core.set_consent("the guild that said no", granted=False)
        answer = await parts.tester.answer(question(9, guild="the guild that said no"))
        await parts.tester.settle()
        record = parts.ledger.read(partial(judged.load, trial_id=trial.trial_id))

    assert answer.label == "true"
    assert not answer.sampled
    assert len(record.rows) == 1
    assert "prize" in record.rows[0].input
    assert canaries.search(tmp_path) == []


async def test_erasure_reaches_what_is_still_asked(bench: OpenBench, tmp_path: Path) -> None:
    """A's caller is answered as ever; neither the request nor its pair, nor a pair that only has its truth, is kept."""
    going, done = asyncio.Event(), asyncio.Event()

    async def waits(_: GenerateRequest) -> str:
        going.set()
        await done.wait()
        return await says(is_scam=True)(_)

    async with bench(fake_runtime.hangs, a=waits) as parts:
        trial = parts.set_up()
        asked = asyncio.create_task(parts.tester.answer(question(1, text="the marmalade prize")))
        await going.wait()
        await parts.tester.erase(user=parts.core.pseudonym("user", "1"))
        done.set()
        assert (await asked).label == "true"
        await parts.tester.answer(question(2, text="another marmalade prize"))
        await parts.tester.flush()
        name = parts.core.pseudonym("event", "request-2")
        # Its B never answers: all that there is of the pair is its truth.
        parts.ledger.write(partial(truth.record, pseudonym=name, truth="true"))
        await parts.tester.erase(user=parts.core.pseudonym("user", "2"))
        left = parts.ledger.read(
            lambda transaction: [*transaction.scan(REQUESTS), *transaction.scan(PAIRS, prefix=trial.trial_id)]
        )

    assert left == []
    assert b"marmalade" not in (tmp_path / "data" / "ledger" / "data.mdb").read_bytes()


async def test_a_rewrite_of_the_ledger_holds_up_its_own_request_only(bench: OpenBench) -> None:
    """The event loop goes on while a request waits for the file that an erasure rewrites."""
    reading, over = threading.Event(), threading.Event()

    def reads(_: ReadTransaction) -> None:
        reading.set()
        over.wait(30.0)

    async with bench() as parts:
        reader = asyncio.create_task(asyncio.to_thread(parts.ledger.read, reads))
        await asyncio.to_thread(reading.wait)
        rewrite = asyncio.create_task(asyncio.to_thread(parts.ledger.compact))
        # A loop that stands still could not end this by itself.
        latest = threading.Timer(5.0, over.set)
        latest.start()
        while parts.ledger.read_at_once(lambda _: True):  # noqa: ASYNC110 - the thread that waits says so nowhere else
            await asyncio.sleep(0.01)
        asked = asyncio.create_task(parts.tester.answer(question(1)))
        await asyncio.sleep(0.1)

        assert not over.is_set(), "the event loop stood still"
        assert not asked.done()
        latest.cancel()
        over.set()
        assert (await asked).label == "false"
        await asyncio.gather(reader, rewrite)


async def test_a_guild_that_withdraws_while_it_is_answered(bench: OpenBench) -> None:
    """Its request is answered and not kept, though it had consent when it was asked."""
    going, done = asyncio.Event(), asyncio.Event()

    async def waits(_: GenerateRequest) -> str:
        going.set()
        await done.wait()
        return await says(is_scam=True)(_)

    async with bench(a=waits) as parts:
        asked = asyncio.create_task(parts.tester.answer(question(1, guild="g")))
        await going.wait()
        parts.core.set_consent("g", granted=False)
        await parts.tester.erase(guild=parts.core.pseudonym("guild", "g"))
        done.set()
        assert (await asked).label == "true"
        await parts.tester.settle()

        assert parts.ledger.read(lambda transaction: transaction.count(REQUESTS)) == 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            r'{"isScam":true,"scamType":"prize","reasoning":"write to\njoe@example.com now"}',
            '{"isScam":true,"scamType":"prize","reasoning":"write to\\n[EMAIL] now"}',
        ),
        (r'{"isScam":true, "reasoning":"j\u006fe\u0040example.com"}', '{"isScam":true,"reasoning":"[EMAIL]"}'),
        (r'{"isScam":true,"reasoning":"half \ud83d"}', '{"isScam":true,"reasoning":"half \ufffd"}'),
        ('{"isScam":true,"delta":212345678901234567}', '{"isScam":true,"delta":"[SNOWFLAKE]"}'),
        ('{"isScam":true,"score":0.4155552671}', '{"isScam":true,"score":0.4155552671}'),
    ],
)
async def test_a_redacted_answer_is_still_an_answer(bench: OpenBench, said: str, told: str) -> None:
    """Addresses are found as they read, behind escapes too, and what is left is JSON with its label."""

    async def behave(_: GenerateRequest) -> str:
        return said

    async with bench(behave, a=behave) as parts:
        trial = parts.set_up()
        answer = await parts.tester.answer(question())
        await parts.tester.settle()
        [row] = parts.ledger.read(partial(judged.load, trial_id=trial.trial_id)).rows

    assert answer.output == row.a.output == row.b.output == told
    assert (answer.label, row.b.failure) == ("true", "")


async def test_a_member_is_erased_for_good(bench: OpenBench, tmp_path: Path) -> None:
    """Requests and pairs go, on disk down to the free pages and in memory; others' stay."""
    async with bench() as parts:
        trial = parts.set_up()
        for number in (1, 2):
            await parts.tester.answer(question(number, text=f"claim the marmalade{number} prize"))
        await parts.tester.settle()
        on_disk = (tmp_path / "data" / "ledger" / "data.mdb").read_bytes
        assert b"marmalade1" in on_disk()

        erased = await parts.tester.erase(user=parts.core.pseudonym("user", "1"))

        record = parts.ledger.read(partial(judged.load, trial_id=trial.trial_id))
        assert (erased, len(record.rows)) == (1, 1)
        assert b"marmalade1" not in on_disk()
        assert b"marmalade2" in on_disk()
        assert (await parts.tester.answer(question(1, text="another text"))).label == "false"
