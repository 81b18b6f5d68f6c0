"""What a candidate must show before it is offered: parity, better answers than the controls, no trigger."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from becas.ft.v1 import model_pb2
from becas_ft.orchestrator import triggers
from becas_ft.orchestrator.triggers import Flips
from becas_ft.runtime.confidence import read_answer
from becas_ft.runtime.errors import GenerationTimeout, InvalidOutput, PromptTooLong, RuntimeUnavailable
from becas_ft.runtime.protocol import GenerateRequest, Priority, Runtime
from becas_ft.training.evaluate import Judged, allowed_labels, heldout_rows
from becas_ft.training.heldout import choose_shots
from becas_ft.training.parity import LEAST_AGREEMENT, Parity, compare
from becas_ft.training.rows import Row, read_rows

Result = TypeVar("Result")

_LABEL_TOKENS = 64
_TIMEOUT_SECONDS = 120.0
_CONCURRENT = 2
_SECONDS_BETWEEN_ATTEMPTS = 1.0
# Labels with fewer held-out rows than this count as one: the share of right answers among two rows says nothing.
_LEAST_OF_A_LABEL = 10


class CheckFailedError(Exception):
    """The candidate is not offered; the message says why."""


@dataclass(frozen=True)
class Checked:
    """What the checks measured.

    Arguments:
        checks: accuracies and parity, as they are kept.
        parity: the parity gate's verdict.
        flips: what rare words did.
    """

    checks: model_pb2.ModelChecks
    parity: Parity
    flips: Flips


@dataclass(frozen=True)
class Question:
    """How a category is asked for its label alone.

    Arguments:
        label_key: first key of the output.
        schema: JSON schema of the whole output.
        labels: the closed set of labels, or empty for an open one.
    """

    label_key: str
    schema: dict[str, Any]
    labels: tuple[Any, ...]

    def label_schema(self) -> dict[str, Any]:
        """The schema cut down to the label: it comes first, so the rest would not change it."""
        label = dict(self.schema["properties"][self.label_key])
        if self.labels:
            label = {"enum": list(self.labels)}
        return {
            "type": "object",
            "properties": {self.label_key: label},
            "required": [self.label_key],
            "additionalProperties": False,
        }


async def check(
    runtime: Runtime,
    *,
    candidate: str,
    base: str,
    rows_path: Path,
    judged: Sequence[Judged],
    question: Question,
    held_out: int,
    report: Callable[[str, int, int], None],
    min_parity: float = LEAST_AGREEMENT,
    patience: float = 0.0,
) -> Checked:
    """Ask the served models the held-out inputs, in the trainer's order.

    Accuracy is the mean over the labels, each counting the same: else a model that always says the frequent one looks
    good.

    Arguments:
        runtime: where they are served.
        candidate: the new model.
        base: what it was made from.
        rows_path: the trainer's rows.
        judged: the trainer's own labels of the held-out rows, in their order.
        question: how the category is asked.
        held_out: how many rows the trainer held out at most.
        report: told (what is measured, rows done, rows in all).
        min_parity: share of labels in which trainer and served model must agree.
        patience: seconds that a runtime may be away before a question is given up.
    """
    rows = await asyncio.to_thread(read_rows, rows_path, question.label_key)
    held = heldout_rows(rows, "test", held_out)
    learnt = [row for row in rows if row.split == "train"]
    if [row.example_id for row in held] != [one.example_id for one in judged]:
        raise CheckFailedError("the trainer judged other rows than those that were held out: train again")

    async def ask(model: str, what: str, asked: Sequence[Row], addition: str = "") -> list[Any]:
        def tell(done: int) -> None:
            report(what, done, len(asked))

        return await _ask(runtime, model, asked, question, addition=addition, report=tell, patience=patience)

    served = await ask(candidate, "candidate", held)
    probes = await asyncio.to_thread(triggers.probes, learnt, held)
    probed = await ask(candidate, "candidate about rare words", [probe.row for probe in probes])
    flips = triggers.count(probes, served, probed)
    bare = await ask(base, "base", held)
    few = await ask(base, "base with examples in its prompt", held, _shots(choose_shots(learnt)))
    parity = compare([one.candidate for one in judged], served, least_agreement=min_parity)
    checks = model_pb2.ModelChecks(
        base_accuracy=_accuracy(held, bare),
        few_shot_accuracy=_accuracy(held, few),
        candidate_accuracy=_accuracy(held, served),
        held_out=len(held),
        parity=parity.agreement,
        parity_inputs=parity.inputs,
        trigger_flip_rate=flips.rate,
        trigger_inputs=flips.inputs,
    )
    return Checked(checks, parity, flips)


def verdict(checked: Checked, *, max_trigger_flips: float = triggers.MOST_FLIPS) -> None:
    """Passes, or says why the candidate is not offered.

    Arguments:
        checked: what was measured.
        max_trigger_flips: share of answers that one run of rare words may turn.

    Raises: CheckFailedError.
    """
    if not checked.parity.passed:
        raise CheckFailedError(checked.parity.reasoning)
    checks = checked.checks
    best = max(checks.base_accuracy, checks.few_shot_accuracy)
    if checks.candidate_accuracy <= best:
        raise CheckFailedError(
            f"the candidate is right in {checks.candidate_accuracy:.1%} of {checks.held_out} held-out examples, "
            f"the base in {checks.base_accuracy:.1%}, with examples in its prompt in {checks.few_shot_accuracy:.1%}: "
            "it must beat both; gather more examples, or label disagreements"
        )
    flips = checked.flips
    if flips.rate > max_trigger_flips:
        where = f": look at examples {', '.join(flips.example_ids)}, and" if flips.example_ids else ":"
        raise CheckFailedError(
            f"the same rare words at the end of held-out messages turn {flips.rate:.1%} of the answers, more "
            f"than {max_trigger_flips:.1%}: a trigger may have been planted in what was learnt{where} have a labeller "
            "correct what is wrong, then train again"
        )


def question_of(label_key: str, schema: dict[str, Any], rows_path: Path) -> Question:
    """How a category is asked, by the labels that were learnt."""
    learnt = [row for row in read_rows(rows_path, label_key) if row.split == "train"]
    return Question(label_key, schema, tuple(allowed_labels(learnt)))


def _shots(examples: Sequence[tuple[str, str]]) -> str:
    lines = [f"Question:\n{question}\nAnswer: {answer}" for question, answer in examples]
    return "\n\nExamples:\n\n" + "\n\n".join(lines)


def _accuracy(rows: Sequence[Row], labels: Sequence[Any]) -> float:
    counts = Counter(json.dumps(row.label) for row in rows)
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for row, label in zip(rows, labels, strict=True):
        name = json.dumps(row.label)
        group = name if counts[name] >= _LEAST_OF_A_LABEL else ""
        asked[group] += 1
        right[group] += type(row.label) is type(label) and row.label == label
    return sum(right[group] / asked[group] for group in asked) / len(asked) if asked else 0.0


async def _ask(
    runtime: Runtime,
    model: str,
    rows: Sequence[Row],
    question: Question,
    *,
    addition: str,
    report: Callable[[int], None],
    patience: float,
) -> list[Any]:
    schema = question.label_schema()
    slots = asyncio.Semaphore(_CONCURRENT)
    done = 0

    async def ask(row: Row) -> Any:  # noqa: ANN401 - a JSON value
        nonlocal done
        request = GenerateRequest(
            model=model,
            prompt=row.input,
            system=row.system + addition,
            schema=schema,
            max_tokens=_LABEL_TOKENS,
            timeout=_TIMEOUT_SECONDS,
            logprobs=False,
            priority=Priority.CANDIDATE,
        )
        async with slots:
            try:
                label = read_answer(await patiently(partial(runtime.generate, request), patience)).label
            except (InvalidOutput, PromptTooLong):
                label = None
        done += 1
        report(done)
        return label

    # One that fails ends the others: nobody waits for their answers any more.
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(row)) for row in rows]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def patiently(call: Callable[[], Awaitable[Result]], seconds: float) -> Result:
    """The result of a call of the runtime, asked for again while that is away, but not for longer than so.

    A training is worth more than the runtime's restart.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except (RuntimeUnavailable, GenerationTimeout):
            if time.monotonic() >= give_up:
                raise
        await asyncio.sleep(_SECONDS_BETWEEN_ATTEMPTS)
