"""Parity, accuracy and leakage are counted right."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from becas_ft.training.errors import LeakageError
from becas_ft.training.evaluate import Judged, heldout_rows, read_judged, write_judged
from becas_ft.training.heldout import Accuracy, accuracy, choose_shots, closed_labels
from becas_ft.training.leakage import check_leakage, near_copies
from becas_ft.training.parity import compare
from becas_ft.training.rows import Row, read_rows
from helpers.datasets import scam_rows, write_rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("inputs", "different", "passed"),
    [(300, 6, True), (300, 7, False), (299, 0, False), (1000, 20, True), (1000, 21, False), (0, 0, False)],
)
def test_gate_needs_98_percent_of_300(inputs: int, different: int, passed: bool) -> None:
    """Six of 300 labels may differ, seven may not; fewer than 300 inputs prove nothing."""
    parity = compare([True] * inputs, [False] * different + [True] * (inputs - different))

    assert parity.passed is passed
    assert parity.disagreements == tuple(range(different))
    assert parity.agreed == inputs - different


@pytest.mark.parametrize(("left", "right"), [(None, None), (True, 1), (1, 1.0), ("a", "A"), (["a", "b"], ["b", "a"])])
def test_only_equal_labels_agree(left: Any, right: Any) -> None:  # noqa: ANN401  (JSON values)
    """Missing answers never agree, nor do values that merely compare equal in Python."""
    assert compare([left], [right]).agreed == 0


def test_gate_refuses_lists_of_different_inputs() -> None:
    """Lists of different lengths are no comparison."""
    with pytest.raises(ValueError, match="zip"):
        compare([True], [])


def rows_of(tmp_path: Path, rows: list[dict[str, object]]) -> list[Row]:
    return read_rows(write_rows(tmp_path / "rows.jsonl", rows), "isScam")


def test_accuracy_counts_missing_labels_as_wrong(tmp_path: Path) -> None:
    """Right labels are equal in type and value; answers without a label are wrong, and counted."""
    rows = rows_of(tmp_path, scam_rows(4))

    assert accuracy(rows, [True, True, None, 0]) == Accuracy(right=1, rows=4, invalid=1)
    assert accuracy(rows, [True, False, True, False]).share == 1.0


def test_heldout_order_takes_turns_and_is_fixed(tmp_path: Path) -> None:
    """Held-out rows come label by label in turns, in the dataset's order, none from training."""
    rows = rows_of(tmp_path, [*scam_rows(6), *scam_rows(7, split="test")])

    chosen = heldout_rows(rows, "test", 5)

    assert [row.example_id for row in chosen] == ["test-1", "test-0", "test-3", "test-2", "test-5"]
    assert heldout_rows(rows, "validation", 5) == []


def test_shots_are_balanced_and_fixed(tmp_path: Path) -> None:
    """A few-shot prompt shows each label equally often, whatever the order of the rows."""
    rows = rows_of(tmp_path, scam_rows(20))

    shots = choose_shots(rows)

    assert shots == choose_shots(list(reversed(rows)))
    assert ['"isScam":true' in answer for _, answer in shots] == [False, True, False, True]
    assert closed_labels(rows) == [False, True]


def test_judged_rows_survive_their_file(tmp_path: Path) -> None:
    """Labels of any JSON kind read back equal."""
    judged = [Judged("a", True, None, 0.0), Judged("b", "up", "down", 0.25, base=["x"], few_shot=3)]

    write_judged(tmp_path / "heldout.jsonl", judged)

    assert read_judged(tmp_path / "heldout.jsonl") == judged


def test_shared_users_and_copies_are_leaks(tmp_path: Path) -> None:
    """A user on both sides and a message that differs in one letter are found and counted; strangers are not."""
    train, heldout = scam_rows(30), scam_rows(12, split="test", seed=77)
    long = "Message: your parcel waits at the harbour office, pay the customs fee of 12 euros by tonight"
    train[3]["input"], heldout[2]["input"] = long, long.replace("tonight", "tonighT!")
    heldout[5]["metadata"] = train[0]["metadata"]
    clean = rows_of(tmp_path, [*scam_rows(30)])

    check_leakage(clean, [])
    with pytest.raises(LeakageError) as caught:
        check_leakage(rows_of(tmp_path, train), rows_of(tmp_path, heldout))
    assert caught.value.shared_users == 1
    assert caught.value.near_copies >= 1


def test_guild_of_rows_without_a_user_is_a_leak(tmp_path: Path) -> None:
    """Where nobody is named the guild stands for them: on both sides it fails, beside rows with a user it does not."""

    def of(split: str, *, user: str) -> list[Row]:
        row = scam_rows(1, split=split, seed=len(split))[0]
        return rows_of(tmp_path, [{**row, "metadata": {"split": split, "guild": "g-1", "user": user}}])

    check_leakage(of("train", user=""), of("test", user="u-1"))
    check_leakage(of("train", user="u-2"), of("test", user="u-1"))
    with pytest.raises(LeakageError, match="1 shared guilds") as caught:
        check_leakage(of("train", user=""), of("test", user=""))
    assert (caught.value.shared_guilds, caught.value.shared_users) == (1, 0)


def test_short_messages_in_the_same_wording_are_no_copies() -> None:
    """What all inputs have in common does not make two short messages copies of each other."""
    frame = "Server: a long fixed wording that every input of this category begins with. Message: "
    words = ["".join(letters) for letters in itertools.product("abc", "xyz", "klm")]
    train, heldout = [frame + word for word in words[:20]], [frame + word for word in words[20:]]

    assert near_copies(train, heldout) == []
    assert near_copies(train, [*heldout, train[4].upper()]) == [len(heldout)]


@given(some.integers(0, 10_000))
def test_join_finds_what_comparing_all_pairs_finds(seed: int) -> None:
    """Prefix filtering loses no pair: it equals the comparison of all pairs."""
    draw = random.Random(seed)
    base = ["".join(draw.choice("abcd ") for _ in range(draw.randrange(5, 60))) for _ in range(6)]
    texts = [
        "".join(draw.choice("abcd ") if draw.random() < 0.03 else letter for letter in draw.choice(base))
        for _ in range(16)
    ]
    train, heldout = texts[:8], texts[8:]

    def shingles(text: str) -> set[str]:
        words = " ".join(text.split())
        return {words[at : at + 5] for at in range(max(1, len(words) - 4))}

    expected = [
        at
        for at, text in enumerate(heldout)
        if any(len(shingles(text) & shingles(other)) >= 0.7 * len(shingles(text) | shingles(other)) for other in train)
    ]
    assert near_copies(train, heldout, 0.7) == expected
