"""What a candidate must show is measured as it should be, on rows that say something."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from becas.ft.v1 import example_pb2, ingest_pb2, training_pb2
from becas_ft._core import Core
from becas_ft.orchestrator import checks, rows, training_job
from becas_ft.orchestrator.training_job import Category, Settings, Work
from becas_ft.runtime.errors import InvalidModel, PromptTooLong, RuntimeUnavailable
from becas_ft.training.evaluate import Judged, heldout_rows
from becas_ft.training.rows import read_rows
from helpers import events
from helpers.datasets import scam_rows, write_rows
from helpers.fake_runtime import Behaviour, FakeRuntime, fails

if TYPE_CHECKING:
    from becas_ft.runtime.protocol import GenerateRequest

SCHEMA = {"type": "object", "properties": {"isScam": {"type": "boolean"}, "reasoning": {"type": "string"}}}
CANDIDATE, BASE = "becas-smollm2-scam_detection-v1", "smollm2"


def answers(wrong: set[str]) -> Behaviour:
    """A model that is right but for the inputs that are named."""

    async def behave(request: GenerateRequest) -> str:
        is_wrong = any(request.prompt.startswith(one) for one in wrong)
        return json.dumps({"isScam": ("You won" in request.prompt) != is_wrong})

    return behave


def says(label: object) -> Behaviour:
    """A model that says one thing."""

    async def behave(_: GenerateRequest) -> str:
        return json.dumps({"isScam": label})

    return behave


def knows_from_examples(request: GenerateRequest) -> bool:
    """Whether the prompt shows examples."""
    return request.system is not None and "\n\nExamples:\n\n" in request.system


class Checking:
    """Checks of fake models over 300 held-out rows, on which the trainer was always right."""

    def __init__(self, folder: Path, *, held_out: int = 300) -> None:
        learnt, held = scam_rows(40), scam_rows(held_out, split="test", seed=5)
        for number, row in enumerate(held):
            row["input"] = f"{row['input']} ({number})"
        self.path = write_rows(folder / "rows.jsonl", [*learnt, *held])
        self.rows = heldout_rows(read_rows(self.path, "isScam"), "test", held_out)
        self.told: list[tuple[str, int, int]] = []

    def first(self, count: int) -> set[str]:
        """The first inputs in the gate's order."""
        return {row.input for row in self.rows[:count]}

    async def run(self, candidate: Behaviour, base: Behaviour, **more: Any) -> checks.Checked:  # noqa: ANN401 - settings
        """Check."""
        return await checks.check(
            FakeRuntime({CANDIDATE: candidate, BASE: base}),  # type: ignore[arg-type]  # it is asked for answers only
            candidate=CANDIDATE,
            base=BASE,
            rows_path=self.path,
            judged=[Judged(row.example_id, row.label, row.label, 1.0) for row in self.rows],
            question=checks.question_of("isScam", SCHEMA, self.path),
            held_out=len(self.rows),
            report=lambda *told: self.told.append(told),
            **more,
        )


@pytest.mark.parametrize(("wrong", "passed"), [(6, True), (7, False)])
async def test_candidate_passes_with_98_percent_parity(tmp_path: Path, wrong: int, passed: bool) -> None:
    """With 6 of 300 other labels than the trainer's a candidate passes, with 7 it is refused, and told why."""
    checking = Checking(tmp_path)

    checked = await checking.run(answers(checking.first(wrong)), says(True))

    assert checked.checks.parity == pytest.approx(1 - wrong / 300)
    assert checked.checks.parity_inputs == 300
    if passed:
        checks.verdict(checked)
    else:
        with pytest.raises(checks.CheckFailedError, match="293 of 300 labels, below 98%"):
            checks.verdict(checked)


async def test_stricter_parity_is_kept(tmp_path: Path) -> None:
    """`training.min_parity` reaches the gate: what passes with 98 % fails where 99 % are asked for."""
    checking = Checking(tmp_path)

    checked = await checking.run(answers(checking.first(6)), says(True), min_parity=0.99)

    with pytest.raises(checks.CheckFailedError, match="below 99%"):
        checks.verdict(checked)


async def test_fewer_than_300_inputs_prove_nothing(tmp_path: Path) -> None:
    """No setting makes a gate of fewer inputs."""
    checked = await Checking(tmp_path, held_out=299).run(answers(set()), says(True))

    with pytest.raises(checks.CheckFailedError, match="only 299 held-out inputs, 300 are needed"):
        checks.verdict(checked)


async def test_candidate_must_beat_the_few_shot_base(tmp_path: Path) -> None:
    """A base that is as good once its prompt shows examples keeps the candidate back; both controls are measured."""
    checking = Checking(tmp_path)
    right = answers(set())

    async def learns_from_its_prompt(request: GenerateRequest) -> str:
        return await (right if knows_from_examples(request) else says(True))(request)

    checked = await checking.run(right, learns_from_its_prompt)

    assert (checked.checks.base_accuracy, checked.checks.few_shot_accuracy) == (0.5, 1.0)
    with pytest.raises(checks.CheckFailedError, match="must beat both"):
        checks.verdict(checked)
    assert {what for what, _, _ in checking.told} == {
        *("candidate", "candidate about rare words", "base", "base with examples in its prompt")
    }


async def test_failure_ends_all_questions(tmp_path: Path) -> None:
    """When one question fails for good, no further one is asked and no further progress is told."""
    checking = Checking(tmp_path)
    asked = 0

    async def breaks(request: GenerateRequest) -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        if asked == 20:
            raise InvalidModel(CANDIDATE, "its adapter cannot be loaded")
        return await says(True)(request)

    with pytest.raises(InvalidModel, match="cannot be loaded"):
        await checking.run(breaks, says(True))
    told = len(checking.told)
    await asyncio.sleep(0.05)

    assert asked <= 22
    assert len(checking.told) == told < 22


async def test_restart_of_the_runtime_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that is away for a moment costs no training; one that stays away ends the job with its remedy."""
    monkeypatch.setattr(checks, "_SECONDS_BETWEEN_ATTEMPTS", 0.01)
    checking = Checking(tmp_path)
    away = 5

    async def comes_back(request: GenerateRequest) -> str:
        nonlocal away
        if away:
            away -= 1
            return await fails(request)
        return await answers(set())(request)

    checked = await checking.run(comes_back, says(True), patience=30.0)
    assert checked.parity.agreed == 300
    with pytest.raises(RuntimeUnavailable, match="start it again"):
        await checking.run(fails, says(True), patience=0.1)


async def test_prompt_that_does_not_fit_has_no_label(tmp_path: Path) -> None:
    """One message that is too long for the model counts as wrong and fails no training."""
    checking = Checking(tmp_path)
    long = checking.first(1)

    async def refuses(request: GenerateRequest) -> str:
        if request.prompt in long:
            raise PromptTooLong(5000, 4096)
        return await answers(set())(request)

    checked = await checking.run(refuses, says(True))

    assert checked.parity.disagreements == (0,)
    checks.verdict(checked)


def labelled(count: int, split: str, labels: list[str], start: int = 0) -> list[dict[str, Any]]:
    """Rows with a label in turn, each with a user of its own."""
    return [
        {
            "system": "Name the violation.",
            "input": f"Message {number}: {events.message(start + number)}",
            "output": json.dumps({"violationType": labels[number % len(labels)]}),
            "metadata": {
                "split": split,
                "label": labels[number % len(labels)],
                "example_id": f"{split}-{start + number}",
                "user": f"user-{split}-{start + number}",
                "guild": "g",
            },
        }
        for number in range(count)
    ]


def test_only_learnt_labels_are_held_out(tmp_path: Path) -> None:
    """A rare label that no training row has is asked of nobody: every held-out row can be answered."""
    balanced = [*labelled(100, "train", ["none", "spam"]), *labelled(50, "test", ["none", "spam"], 1_000)]
    further = [*labelled(300, "train", ["none", "spam"], 2_000), *labelled(40, "train", ["rare"], 3_000)]
    whole = write_rows(tmp_path / "everything.jsonl", [*balanced, *further[300:], *further[:300]])

    learnt, held_out = rows.prepare(
        write_rows(tmp_path / "balanced.jsonl", balanced), whole, tmp_path / "rows.jsonl", held_out=300
    )

    held = [row for row in read_rows(tmp_path / "rows.jsonl", "violationType") if row.split == "test"]
    assert (learnt, held_out) == (100, 300)
    assert {row.label for row in held} == {"none", "spam"}
    assert len({row.example_id for row in held}) == 300


def test_every_label_counts_the_same(tmp_path: Path) -> None:
    """Always saying the frequent label is worth its share of the labels; labels of a few rows count as one."""
    path = write_rows(
        tmp_path / "rows.jsonl",
        [*labelled(80, "test", ["none"]), *labelled(20, "test", ["spam"], 100), *labelled(4, "test", ["a", "b"], 200)],
    )
    held = read_rows(path, "violationType")

    assert checks._accuracy(held, ["none"] * 104) == pytest.approx(1 / 3)
    assert checks._accuracy(held, [row.label for row in held]) == 1.0
    assert checks._accuracy([], []) == 0.0


def test_lists_are_asked_openly_of_both(tmp_path: Path) -> None:
    """Labels that are lists are no closed set, for the served model as for the trainer."""
    lines = [{**scam_rows(1)[0], "output": json.dumps({"isScam": value})} for value in (["a"], ["b"], ["a", "b"])]
    path = write_rows(tmp_path / "rows.jsonl", lines)

    assert checks.question_of("isScam", SCHEMA, path).labels == ()


def work(folder: Path, **request: Any) -> Work:  # noqa: ANN401 - fields of the request
    """A job of a category."""
    category = Category(example_pb2.CATEGORY_SCAM_DETECTION, "scam_detection", "isScam", "", "{}")
    return Work(folder / "job-1", category, BASE, 1, training_pb2.TrainRequest(**request))


def test_no_guild_and_no_user_is_loud_in_a_training(tmp_path: Path) -> None:
    """One guild that sent as much as all others gets no more than 1.5 fair shares, and one member no more than 1 %."""
    core = Core(str(tmp_path / "data"))
    sent = []
    for number in range(1200):
        event = events.scam_message(f"e-{number}", number)
        event.guild_id = str(800_000_000_000_000_000 + (0 if number % 2 else 1 + number % 40 // 2))
        event.user_id = str(700_000_000_000_000_000 + (0 if number % 5 == 0 else number))
        # A label that goes neither with guild nor with user.
        event.scam_detected.analysis.is_scam = number // 10 % 2 == 0
        sent.append(event)
    answer = ingest_pb2.IngestResponse.FromString(core.ingest(events.request(sent).SerializeToString()))
    assert {receipt.status for receipt in answer.receipts} == {ingest_pb2.STATUS_ACCEPTED}
    job = work(tmp_path)
    job.folder.mkdir()

    manifest = training_job.export(core, job, Settings())
    core.close()

    lines = (job.folder / training_job.BALANCED / training_job.DATA).read_text().splitlines()
    people = [json.loads(line)["metadata"] for line in lines]
    most = {kind: max(counts.values()) for kind in ("user", "guild") for counts in [_counts(people, kind)]}
    assert manifest.examples == len(people) > 200
    assert most["guild"] <= 1.5 / 21 * len(people) + 1
    assert most["user"] <= 0.01 * len(people) + 1


def _counts(people: list[dict[str, str]], kind: str) -> dict[str, int]:
    names = [person[kind] for person in people]
    return {name: names.count(name) for name in set(names)}


@pytest.mark.parametrize(("guilds", "share"), [(0, 0.0), (1, 0.0), (2, 0.75), (10, 0.15), (30, 0.05), (400, 0.05)])
def test_guilds_share_by_the_design(guilds: int, share: float) -> None:
    """The greater of 5 % and 1.5 / guilds; a single guild is not limited, or nothing could be learnt."""
    assert training_job.guild_share(0.05, guilds) == pytest.approx(share)


def test_too_few_to_hold_out_shows_before_the_training(tmp_path: Path) -> None:
    """A dataset that cannot pass the gate is refused with the count it lacks, before anything is trained."""
    job = work(tmp_path)
    for name in (training_job.BALANCED, training_job.EVERYTHING):
        (job.folder / name).mkdir(parents=True)
        write_rows(job.folder / name / training_job.DATA, labelled(100, "train", ["none", "spam"]))

    with pytest.raises(checks.CheckFailedError, match="0 of 300 examples can be held out"):
        training_job.prepare(job, Settings())


async def test_base_out_of_reach_is_no_refusal(tmp_path: Path) -> None:
    """A base whose file lies elsewhere fails the job, so that it is tried again; the candidate is not to blame."""

    class Elsewhere(FakeRuntime):
        async def show(self, name: str) -> Any:  # noqa: ANN401 - the part that is read
            return type("Details", (), {"name": name, "base_path": None})

    with pytest.raises(Exception, match="not on this machine") as caught:
        await training_job.train(None, Elsewhere({}), work(tmp_path), Settings(), lambda _: None)  # type: ignore[arg-type]
    assert not isinstance(caught.value, checks.CheckFailedError)


def test_job_keeps_nothing_it_does_not_need(tmp_path: Path) -> None:
    """An ended job leaves its adapter, its story and its curve: no text, no checkpoint, nothing half-written."""
    job = work(tmp_path)
    for name in (training_job.BALANCED, training_job.EVERYTHING):
        (job.folder / name).mkdir(parents=True)
        (job.folder / name / training_job.DATA).write_text("text")
    kept = {"adapter.gguf", "loss.svg", "progress.jsonl", "result.json"}
    gone = {"rows.jsonl", "checkpoint.safetensors", ".checkpoint.safetensors.77.partial"}
    for name in kept | gone:
        (job.folder / name).write_text("x")

    training_job.discard(job)

    assert {path.name for path in job.folder.iterdir()} == kept | {training_job.BALANCED}
    assert list((job.folder / training_job.BALANCED).iterdir()) == []
