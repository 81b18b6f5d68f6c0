"""What a candidate must show before it is offered: parity with the trainer, and better answers than the controls."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from becas.ft.v1 import model_pb2
from becas_ft.runtime.confidence import read_answer
from becas_ft.runtime.errors import InvalidOutput
from becas_ft.runtime.protocol import GenerateRequest, Priority, Runtime
from becas_ft.training.evaluate import MOST_LABELS, Judged, heldout_rows
from becas_ft.training.heldout import choose_shots, closed_labels
from becas_ft.training.parity import Parity, compare
from becas_ft.training.rows import Row, read_rows

_LABEL_TOKENS = 64
_TIMEOUT_SECONDS = 120.0
_CONCURRENT = 2


class CheckFailedError(Exception):
    """The candidate is not offered; the message says why."""


@dataclass(frozen=True)
class Checked:
    """What the checks measured.

    Arguments:
        checks: accuracies and parity, as they are kept.
        parity: the parity gate's verdict.
    """

    checks: model_pb2.ModelChecks
    parity: Parity


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
) -> Checked:
    """Ask the served models the held-out inputs, in the trainer's order.

    Arguments:
        runtime: where they are served.
        candidate: the new model.
        base: what it was made from.
        rows_path: the trainer's rows.
        judged: the trainer's own labels of the held-out rows, in their order.
        question: how the category is asked.
        held_out: how many rows the trainer held out at most.
        report: told (what is measured, rows done, rows in all).
    """
    rows = read_rows(rows_path, question.label_key)
    held = heldout_rows(rows, "test", held_out)
    learnt = [row for row in rows if row.split == "train"]
    if [row.example_id for row in held] != [one.example_id for one in judged]:
        raise CheckFailedError("the trainer judged other rows than those that were held out: train again")
    even = _evenly(held)
    served = await _ask(runtime, candidate, held, question, report=lambda done: report("candidate", done, len(held)))
    bare = await _ask(runtime, base, even, question, report=lambda done: report("base", done, len(even)))
    shots = _shots(choose_shots(learnt))
    few = await _ask(
        runtime,
        base,
        even,
        question,
        addition=shots,
        report=lambda done: report("base with examples in its prompt", done, len(even)),
    )
    answers = {row.example_id: label for row, label in zip(held, served, strict=True)}
    parity = compare([one.candidate for one in judged], served, least_inputs=min(held_out, 300))
    checks = model_pb2.ModelChecks(
        base_accuracy=_accuracy(even, bare),
        few_shot_accuracy=_accuracy(even, few),
        candidate_accuracy=_accuracy(even, [answers[row.example_id] for row in even]),
        held_out=len(even),
        parity=parity.agreement,
        parity_inputs=parity.inputs,
    )
    return Checked(checks, parity)


def verdict(checked: Checked) -> None:
    """Passes, or says why the candidate is not offered.

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


def question_of(label_key: str, schema: dict[str, Any], rows_path: Path) -> Question:
    """How a category is asked, by the labels that were learnt."""
    labels = closed_labels([row for row in read_rows(rows_path, label_key) if row.split == "train"])
    hashable = all(isinstance(label, str | bool | int | float) for label in labels)
    return Question(label_key, schema, tuple(labels) if hashable and len(labels) <= MOST_LABELS else ())


def _evenly(rows: Sequence[Row]) -> list[Row]:
    # Equal shares of every label: else a model that always says the frequent one looks good.
    counts = Counter(json.dumps(row.label) for row in rows)
    least = min(counts.values(), default=0)
    taken: Counter[str] = Counter()
    even = []
    for row in rows:
        label = json.dumps(row.label)
        if taken[label] < least:
            taken[label] += 1
            even.append(row)
    return even


def _shots(examples: Sequence[tuple[str, str]]) -> str:
    lines = [f"Question:\n{question}\nAnswer: {answer}" for question, answer in examples]
    return "\n\nExamples:\n\n" + "\n\n".join(lines)


def _accuracy(rows: Sequence[Row], labels: Sequence[Any]) -> float:
    right = sum(type(row.label) is type(label) and row.label == label for row, label in zip(rows, labels, strict=True))
    return right / len(rows) if rows else 0.0


async def _ask(
    runtime: Runtime,
    model: str,
    rows: Sequence[Row],
    question: Question,
    *,
    addition: str = "",
    report: Callable[[int], None],
) -> list[Any]:
    schema = question.label_schema()
    slots = asyncio.Semaphore(_CONCURRENT)
    done = 0

    async def ask(row: Row) -> Any:  # noqa: ANN401 - a JSON value
        nonlocal done
        async with slots:
            generation = await runtime.generate(
                GenerateRequest(
                    model=model,
                    prompt=row.input,
                    system=row.system + addition,
                    schema=schema,
                    max_tokens=_LABEL_TOKENS,
                    timeout=_TIMEOUT_SECONDS,
                    logprobs=False,
                    priority=Priority.CANDIDATE,
                )
            )
        done += 1
        report(done)
        try:
            return read_answer(generation).label
        except InvalidOutput:
            return None

    return list(await asyncio.gather(*(ask(row) for row in rows)))
