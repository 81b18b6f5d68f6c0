"""The order of work: which rows are computed together, in which optimizer step; a pure function of lengths and seed."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from becas_ft.training.recipe import Recipe

_POOL_STEPS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step: micro-batches of row indices whose gradients are summed."""

    micro_batches: tuple[tuple[int, ...], ...]


def plan(lengths: Sequence[int], recipe: Recipe, seed: int) -> list[Step]:
    """Return every optimizer step of a run.

    Each epoch is shuffled; rows of similar length out of a pool of a few steps share a micro-batch, so that little
    is padded, and the pool's micro-batches are shuffled again, so that a step sees short and long rows.

    Args:
        lengths: tokens of each row.
        recipe: limits of a micro-batch and rows of a step.
        seed: makes the order.
    """
    steps: list[Step] = []
    for epoch in range(recipe.epochs):
        shuffler = random.Random(f"{seed}/{epoch}")  # noqa: S311  (an order, not a secret)
        rows = list(range(len(lengths)))
        shuffler.shuffle(rows)
        pool_rows = recipe.batch_rows * _POOL_STEPS
        for start in range(0, len(rows), pool_rows):
            pool = sorted(rows[start : start + pool_rows], key=lambda row: lengths[row])
            micro_batches = _cut(pool, lengths, most_rows=recipe.micro_rows, most_tokens=recipe.micro_tokens)
            shuffler.shuffle(micro_batches)
            steps.extend(_group(micro_batches, recipe.batch_rows))
    return steps


def smaller(steps: Sequence[Step], lengths: Sequence[int], most_tokens: int) -> list[Step]:
    """Return the same steps in smaller micro-batches: the same rows, and but for rounding the same gradients.

    Args:
        steps: as planned.
        lengths: tokens of each row.
        most_tokens: padded tokens of a micro-batch; a row that is longer is one by itself.
    """
    return [
        Step(
            tuple(
                part
                for micro in step.micro_batches
                for part in _cut(micro, lengths, most_rows=len(micro), most_tokens=most_tokens)
            )
        )
        for step in steps
    ]


def _cut(rows: Sequence[int], lengths: Sequence[int], *, most_rows: int, most_tokens: int) -> list[tuple[int, ...]]:
    """Cut rows, sorted by length, where a micro-batch is full: in rows, or in tokens after padding."""
    cuts: list[tuple[int, ...]] = []
    current: list[int] = []
    for row in rows:
        padded = lengths[row] * (len(current) + 1)
        if current and (len(current) == most_rows or padded > most_tokens):
            cuts.append(tuple(current))
            current = []
        current.append(row)
    return [*cuts, tuple(current)] if current else cuts


def _group(micro_batches: Sequence[tuple[int, ...]], batch_rows: int) -> list[Step]:
    groups: list[list[tuple[int, ...]]] = [[]]
    for micro_batch in micro_batches:
        if groups[-1] and sum(map(len, groups[-1])) + len(micro_batch) > batch_rows:
            groups.append([])
        groups[-1].append(micro_batch)
    return [Step(tuple(group)) for group in groups if group]


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Return the rate of a step (from 0): a linear rise over the warm-up, then half a cosine down to 0."""
    warm = math.ceil(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def common_prefix(rows: Sequence[Sequence[int]]) -> int:
    """Return how many ids all rows begin with alike, leaving each at least one of its own."""
    shortest = min(rows, key=len)
    limit = len(shortest) - 1
    for index in range(limit):
        if any(row[index] != shortest[index] for row in rows):
            return index
    return max(0, limit)
