"""Recipes are checked, the order of work is complete and bounded, and the rate follows its curve."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from becas_ft.training.batches import common_prefix, learning_rate, plan, smaller
from becas_ft.training.errors import JobError
from becas_ft.training.recipe import RECIPES, Recipe, recipe_for

LENGTHS = some.lists(some.integers(1, 500), min_size=1, max_size=120)
RECIPE = Recipe(batch_rows=8, micro_rows=4, micro_tokens=1000, max_tokens=500, epochs=2)


@given(LENGTHS, some.integers(0, 5))
def test_every_row_is_trained_once_an_epoch(lengths: list[int], seed: int) -> None:
    """No row is lost or doubled, whatever the lengths and the seed."""
    rows = Counter(row for step in plan(lengths, RECIPE, seed) for micro in step.micro_batches for row in micro)

    assert rows == Counter(dict.fromkeys(range(len(lengths)), 2))


@given(LENGTHS, some.integers(0, 5))
def test_micro_batches_stay_within_their_limits(lengths: list[int], seed: int) -> None:
    """Rows, padded tokens and rows a step are bounded: so is the memory."""
    for step in plan(lengths, RECIPE, seed):
        assert 1 <= sum(map(len, step.micro_batches)) <= 8
        for micro in step.micro_batches:
            assert 1 <= len(micro) <= 4
            assert max(lengths[row] for row in micro) * len(micro) <= 1000


@given(LENGTHS, some.integers(1, 1200))
def test_smaller_micro_batches_hold_the_same_rows_in_the_same_steps(lengths: list[int], most: int) -> None:
    """So a checkpoint goes on with them; what is longer than the limit stands alone."""
    steps = plan(lengths, RECIPE, 0)

    cut = smaller(steps, lengths, most)

    assert [[row for micro in step.micro_batches for row in micro] for step in cut] == [
        [row for micro in step.micro_batches for row in micro] for step in steps
    ]
    for micro in (micro for step in cut for micro in step.micro_batches):
        assert len(micro) == 1 or max(lengths[row] for row in micro) * len(micro) <= most


def test_order_follows_from_the_seed_and_padding_is_little() -> None:
    """The same seed gives the same order, another one another; rows of a micro-batch have similar lengths."""
    lengths = [20 + 7 * (number % 40) for number in range(400)]

    steps = plan(lengths, RECIPE, 1)

    assert steps == plan(lengths, RECIPE, 1)
    assert steps != plan(lengths, RECIPE, 2)
    padded = sum(max(lengths[row] for row in micro) * len(micro) for step in steps for micro in step.micro_batches)
    assert padded < 1.1 * 2 * sum(lengths)


def test_rate_rises_and_falls() -> None:
    """A linear warm-up to the peak, then half a cosine: half the peak in the middle of the fall, near zero last."""
    recipe = Recipe(learning_rate=1e-3, warmup=0.1)

    rates = [learning_rate(step, 100, recipe) for step in range(100)]

    assert rates[:10] == pytest.approx([1e-4 * step for step in range(1, 11)])
    assert rates[10] == pytest.approx(1e-3)
    assert rates[55] == pytest.approx(5e-4)
    assert rates[99] == pytest.approx(0.5e-3 * (1 - math.cos(math.pi / 90)))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([[1, 2, 3], [1, 2, 4]], 2), ([[1, 2], [1, 2]], 1), ([[1], [2, 3]], 0), ([[5]], 0), ([[1, 2, 3], [1, 2]], 1)],
)
def test_shared_beginning_leaves_every_row_a_token(rows: list[list[int]], expected: int) -> None:
    """The beginning that is computed once never swallows a whole row."""
    assert common_prefix(rows) == expected


def test_shipped_recipes_survive_their_file() -> None:
    """Each recipe reads back from its JSON form; names find the recipe of their family."""
    for recipe in RECIPES.values():
        assert Recipe().but(recipe.to_json()) == recipe
    assert recipe_for("Qwen3:1.7b") is RECIPES["qwen"]
    assert recipe_for("smollm2-135m") is RECIPES["smollm2"]
    assert recipe_for("unheard-of") == Recipe()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"rank": 0, "epochs": 0}, "rank must be at least 1; epochs must be at least 1"),
        ({"rnak": 4}, "unknown recipe fields: rnak"),
        ({"rank": "8"}, "recipe field rank must be of type int"),
        ({"rank": True}, "recipe field rank must be of type int"),
        ({"learning_rate": float("nan")}, "learning_rate must be in"),
        ({"targets": ["lm_head"]}, "targets must be some of"),
        ({"micro_tokens": 10}, "micro_tokens must be at least max_tokens"),
    ],
)
def test_wrong_recipes_are_refused_with_all_their_problems(overrides: dict[str, object], message: str) -> None:
    """A field that is unknown, of a wrong type or out of range is named."""
    with pytest.raises(JobError, match=message):
        Recipe().but(overrides)
