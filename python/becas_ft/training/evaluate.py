"""The held-out part of a job: labels of base, few-shot base and candidate, in a fixed order, without any text."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from becas_ft.files import write_atomically
from becas_ft.training.heldout import Prediction, choose_shots, closed_labels, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from becas_ft.training.chat import ChatTemplate
    from becas_ft.training.rows import Row
    from becas_ft.training.tokens import Tokenizer

# More labels than this are an open set: a path for each would say little.
MOST_LABELS: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """One held-out row, labelled.

    Attributes:
        example_id: of the row.
        truth: its label.
        candidate: the adapter's label; None for an answer without one.
        confidence: the adapter's probability of its label.
        base: the base's label without adapter.
        few_shot: the base's label with a few examples in its prompt.
    """

    example_id: str
    truth: Any
    candidate: Any
    confidence: float
    base: Any = None
    few_shot: Any = None


def allowed_labels(train: Sequence[Row]) -> list[Any]:
    """Return the labels that may be answered, in a fixed order: those that were learnt; empty for an open set.

    Trainer and served model are asked alike, so both take it from here.
    """
    labels = closed_labels(train)
    single = all(isinstance(label, str | bool | int | float) for label in labels)
    return labels if single and len(labels) <= MOST_LABELS else []


def heldout_rows(rows: Sequence[Row], split: str, most: int) -> list[Row]:
    """Choose held-out rows of a split: labels take turns, each in the dataset's order; the order is the gate's.

    Args:
        rows: the dataset.
        split: test or validation.
        most: rows to take at most.
    """
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        if row.split == split:
            by_label.setdefault(json.dumps(row.label, sort_keys=True), []).append(row)
    turns = max(map(len, by_label.values()), default=0)
    return [
        by_label[label][turn] for turn in range(turns) for label in sorted(by_label) if turn < len(by_label[label])
    ][:most]


def judge(
    model: Any,  # noqa: ANN401  (peft's model)
    rows: Sequence[Row],
    train: Sequence[Row],
    *,
    template: ChatTemplate,
    tokenizer: Tokenizer,
    label_key: str,
    controls: bool,
    report: Callable[[int, int], None],
) -> list[Judged]:
    """Label held-out rows with the adapter and, as controls, without it.

    The labels of the training rows are the closed set that a served model's schema would allow.

    Args:
        model: the base with its trained LoRA layers.
        rows: held-out rows in their order.
        train: training rows: labels, and examples for the few-shot prompt.
        template: the served model's.
        tokenizer: the served model's.
        label_key: first key of an answer.
        controls: whether the base is run too, bare and with examples.
        report: called with rows done and rows in all, over all passes.
    """
    allowed = allowed_labels(train)
    only_key = all(list(json.loads(row.output)) == [label_key] for row in train)
    passes = 3 if controls else 1
    before = 0

    def label(shots: Sequence[tuple[str, str]] = ()) -> list[Prediction]:
        nonlocal before
        found = predict(
            model.base_model.model,
            rows,
            template=template,
            tokenizer=tokenizer,
            label_key=label_key,
            labels=allowed,
            shots=shots,
            only_key=only_key,
            report=lambda done, total: report(before + done, total * passes),
        )
        before += len(rows)
        return found

    model.eval()
    candidate = label()
    base = few_shot = [Prediction(None, 0.0)] * len(rows)
    if controls:
        with _bare(model):
            base, few_shot = label(), label(choose_shots(train))
    return [
        Judged(row.example_id, row.label, adapted.label, adapted.confidence, bare.label, shown.label)
        for row, adapted, bare, shown in zip(rows, candidate, base, few_shot, strict=True)
    ]


def _bare(model: Any) -> contextlib.AbstractContextManager[None]:  # noqa: ANN401  (peft's model)
    context: contextlib.AbstractContextManager[None] = model.disable_adapter()
    return context


def write_judged(path: Path, judged: Sequence[Judged]) -> None:
    """Write one JSON line a row."""
    write_atomically(path, "".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in judged).encode())


def read_judged(path: Path) -> list[Judged]:
    """Read what `write_judged` wrote."""
    return [Judged(**json.loads(line)) for line in path.read_bytes().splitlines()]
