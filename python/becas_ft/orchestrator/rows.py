"""The rows of a training: what is learnt, and what is held out for the parity gate and the controls."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from becas_ft.files import write_atomically
from becas_ft.training.evaluate import MOST_LABELS
from becas_ft.training.leakage import near_copies

HELD_OUT = "test"
LEARNT = "train"

Row = dict[str, Any]


def prepare(balanced: Path, everything: Path, target: Path, *, held_out: int) -> tuple[int, int]:
    """Write the rows for the trainer; (learnt, held out).

    The balanced export's training side is learnt; its other sides are held out. Where they are fewer than `held_out`,
    further examples of the unbalanced export follow whose label was learnt, if labels are a closed set, and whose
    author and message no learnt row shares.

    Arguments:
        balanced: data.jsonl of a balanced export.
        everything: data.jsonl of the same request, unbalanced.
        target: the file to write, replaced whole.
        held_out: how many held-out rows are wanted.
    """
    rows = list(_read(balanced))
    learnt = [row for row in rows if _split(row) == LEARNT]
    kept = [row for row in rows if _split(row) != LEARNT]
    if len(kept) < held_out:
        kept += _further(everything, learnt, kept, held_out - len(kept))
    for row in kept:
        row["metadata"]["split"] = HELD_OUT
    lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in [*learnt, *kept])
    write_atomically(target, lines.encode())
    return len(learnt), len(kept)


def counts(path: Path) -> tuple[int, int]:
    """(learnt, held out) of a file that `prepare` wrote."""
    splits = [_split(row) for row in _read(path)]
    return splits.count(LEARNT), splits.count(HELD_OUT)


def _further(everything: Path, learnt: list[Row], kept: list[Row], wanted: int) -> list[Row]:
    users = {row["metadata"]["user"] for row in learnt if row["metadata"]["user"]}
    guilds = {row["metadata"]["guild"] for row in learnt if not row["metadata"]["user"]}
    taken = {row["metadata"]["example_id"] for row in [*learnt, *kept]}
    labels = {row["metadata"]["label"] for row in learnt}
    free = [
        row
        for row in _read(everything)
        if row["metadata"]["example_id"] not in taken
        and (row["metadata"]["label"] in labels or len(labels) > MOST_LABELS)
        and row["metadata"]["user"] not in users
        and (row["metadata"]["user"] or row["metadata"]["guild"] not in guilds)
    ]
    # A margin, since some of them turn out to be copies.
    offered = free[: wanted * 2]
    copies = set(near_copies([row["input"] for row in learnt], [row["input"] for row in offered]))
    return [row for position, row in enumerate(offered) if position not in copies][:wanted]


def _split(row: Row) -> str:
    split: str = row["metadata"]["split"]
    return split


def _read(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)
