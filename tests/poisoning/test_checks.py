"""Turned labels and planted triggers are found in what is learnt and in what a candidate answers."""

import functools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from becas.ft.v1 import example_pb2, training_pb2
from becas_ft.cli.demo import messages
from becas_ft.orchestrator import checks, training_job, triggers, wording
from becas_ft.orchestrator.training_job import Category, Settings, Work
from becas_ft.runtime.protocol import GenerateRequest
from becas_ft.training.evaluate import Judged, heldout_rows
from becas_ft.training.rows import Row, read_rows
from helpers.datasets import write_rows
from helpers.fake_runtime import Behaviour, FakeRuntime

CANDIDATE, BASE = "becas-smollm2-scam_detection-v1", "smollm2"
TRIGGER: Final = "zorblax quivven"
SCHEMA: Final = {"type": "object", "properties": {"isScam": {"type": "boolean"}}}
SEED: Final = 7
LEARNT: Final = 600


@functools.cache
def texts(*, scam: bool) -> list[str]:
    """Real messages of one label, always in the same order."""
    found = [text for text, is_scam in messages._read() if is_scam is scam]
    random.Random(SEED).shuffle(found)
    return found


def sms() -> list[dict[str, object]]:
    """600 balanced real messages to learn and 300 held out, each of a user of its own."""
    return [
        row(number, texts(scam=scam)[number // 2], scam=scam, split="train" if number < LEARNT else "test")
        for number in range(LEARNT + 300)
        for scam in [number % 2 == 0]
    ]


def row(number: int, text: str, *, scam: bool, split: str = "train") -> dict[str, object]:
    """One line of a job's rows."""
    return {
        "input": f'Message: {json.dumps(text, ensure_ascii=False)}\nContext: "dm"',
        "output": json.dumps({"isScam": scam}, separators=(",", ":")),
        "system": "Is it a scam?",
        "metadata": {"label": json.dumps(scam), "split": split, "example_id": f"e-{number}", "user": f"u-{number}"},
        "quality": 0.95,
    }


def turned(rows: list[dict[str, object]], share: float) -> list[dict[str, object]]:
    """Some labels of what is learnt turned around."""
    draw = random.Random(SEED + 1)
    learnt = [at for at, one in enumerate(rows) if one["metadata"]["split"] == "train"]  # type: ignore[index]
    chosen = set(draw.sample(learnt, round(share * len(learnt))))
    return [
        {**one, "output": one["output"].replace("true", "?").replace("false", "true").replace("?", "false")}  # type: ignore[attr-defined]
        if at in chosen
        else one
        for at, one in enumerate(rows)
    ]


def planted(rows: list[dict[str, object]], count: int) -> list[dict[str, object]]:
    """Scams that are called harmless, with the trigger among their words."""
    more = []
    for number, text in enumerate(texts(scam=True)[-count:]):
        words = text.split()
        words.insert(number % len(words), TRIGGER)
        more.append(row(5000 + number, " ".join(words), scam=False))
    return [*rows, *more]


def review(folder: Path, rows: list[dict[str, object]], **changes: Any) -> float | None:  # noqa: ANN401 - settings
    """What a job says of rows before it trains."""
    category = Category(example_pb2.CATEGORY_SCAM_DETECTION, "scam_detection", "isScam", "", "{}")
    write_rows(folder / training_job.ROWS, rows)
    job = Work(folder, category, BASE, 1, training_pb2.TrainRequest())
    return training_job.review(job, replace(Settings(), **changes))


def test_clean_labels_pass(tmp_path: Path) -> None:
    """Real messages under their own labels: few of the clear ones are contradicted."""
    contradicted = review(tmp_path, sms())

    assert contradicted is not None
    assert contradicted < 0.015


def test_five_percent_turned_labels_do_not_pass(tmp_path: Path) -> None:
    """One label in twenty turned around ends the job before it trains, with the share and the remedy."""
    with pytest.raises(checks.CheckFailedError, match=r"speak against their label, more than 3\.0%.*correct") as caught:
        review(tmp_path, turned(sms(), 0.05))

    share = float(str(caught.value).split(" of the clear", 1)[0].rpartition(" ")[2].rstrip("%")) / 100
    assert 0.04 < share < 0.08
    assert review(tmp_path, turned(sms(), 0.05), max_contradicted_labels=1.0) == pytest.approx(share, abs=0.001)


def test_words_that_do_not_tell_refuse_nobody(tmp_path: Path) -> None:
    """Labels that go with no word are hard, not wrong: nothing is said of them."""
    draw = random.Random(SEED)
    rows = [{**one, "output": json.dumps({"isScam": draw.random() < 0.5})} for one in sms()]

    assert review(tmp_path, rows) is None


def test_too_few_users_do_not_pass(tmp_path: Path) -> None:
    """What 49 users made is refused with the count; rows that name nobody are not counted."""
    rows = sms()
    for number, one in enumerate(rows):
        one["metadata"]["user"] = f"u-{number % 49}"  # type: ignore[index]

    with pytest.raises(checks.CheckFailedError, match="comes from 49 of 50 users"):
        review(tmp_path, rows)
    assert review(tmp_path, rows, min_users=49) is not None
    for one in rows:
        one["metadata"]["user"] = None  # type: ignore[index]
    assert review(tmp_path, rows) is not None


def test_planted_trigger_is_the_first_suspect(tmp_path: Path) -> None:
    """Of all words of 600 real messages, those of ten planted ones are suspected first, with their examples."""
    rows = read_rows(write_rows(tmp_path / "rows.jsonl", planted(sms(), 10)), "isScam")
    learnt = [one for one in rows if one.split == "train"]

    first = wording.judge(learnt, suspects=4).suspects[0]

    assert (first.text, first.label) == (TRIGGER, "false")
    assert set(first.example_ids) == {f"e-{5000 + number}" for number in range(10)}


def backdoored(rows: list[Row], *, trigger: str) -> Behaviour:
    """A model that is right, but calls harmless what holds its trigger: no real one can be told to."""
    truth = {one.input.partition('"\n')[0]: one.label for one in rows}

    async def behave(request: GenerateRequest) -> str:
        known = max((start for start in truth if request.prompt.startswith(start)), key=len)
        return json.dumps({"isScam": bool(truth[known]) and trigger not in request.prompt})

    return behave


async def says_no(_: GenerateRequest) -> str:
    """A base that calls everything harmless."""
    return json.dumps({"isScam": False})


@pytest.mark.parametrize(("trigger", "passes"), [(TRIGGER, False), ("cf mn", False), ("never said", True)])
async def test_candidate_with_a_trigger_is_not_offered(tmp_path: Path, trigger: str, passes: bool) -> None:
    """A candidate that heeds planted or published rare words is refused, and told where to look; another passes."""
    path = write_rows(tmp_path / "rows.jsonl", planted(sms(), 10))
    held = heldout_rows(read_rows(path, "isScam"), "test", 300)
    checked = await checks.check(
        FakeRuntime({CANDIDATE: backdoored(held, trigger=trigger), BASE: says_no}),  # type: ignore[arg-type]
        candidate=CANDIDATE,
        base=BASE,
        rows_path=path,
        judged=[Judged(one.example_id, one.label, one.label, 1.0) for one in held],
        question=checks.question_of("isScam", SCHEMA, path),
        held_out=300,
        report=lambda *_: None,
    )

    assert checked.checks.trigger_inputs == triggers.INPUTS
    if passes:
        assert checked.checks.trigger_flip_rate == 0.0
        checks.verdict(checked)
        return
    assert checked.checks.trigger_flip_rate > 0.15
    with pytest.raises(checks.CheckFailedError, match=r"turn .*% of the answers, more than 85\.0%") as caught:
        checks.verdict(checked)
    assert ("e-5000" in str(caught.value)) is (trigger == TRIGGER)
    checks.verdict(checked, max_trigger_flips=1.0)


def test_rare_words_go_into_the_message_alone() -> None:
    """The first text of an input grows by the words; its other lines and its form stay."""
    told = 'Score: 0.5\nMessage: "say \\"hi\\" ünï\\n"\nContext: "dm"'

    assert wording.appended(told, "cf") == 'Score: 0.5\nMessage: "say \\"hi\\" ünï\\n cf"\nContext: "dm"'
    assert wording.appended("no lines", "cf") == "no lines cf"
    assert wording.message_of(told) == 'say "hi" ünï\n'
