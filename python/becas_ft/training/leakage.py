"""Proof that nobody and no copied message stands on both sides of a split."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from becas_ft.training.errors import LeakageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from becas_ft.training.rows import Row

# Above the similarity at which the export joins messages: its sketch of a long text may miss a pair at the border.
NEAR_COPY: Final = 0.9
_SHINGLE: Final = 5
_BOILERPLATE: Final = 0.2
_FEW_ROWS: Final = 20


def check_leakage(train: Sequence[Row], heldout: Sequence[Row], *, near_copy: float = NEAR_COPY) -> None:
    """Compare users and messages of both sides, exactly; rows without a user by their guild.

    Messages are near-copies when the Jaccard similarity of their 5-character shingles reaches `near_copy`. Shingles
    that more than a fifth of all rows have are the input's fixed wording and do not count.

    Raises:
        LeakageError: someone or something stands on both sides; it carries the counts.
    """
    users = {row.user for row in train if row.user} & {row.user for row in heldout if row.user}
    guilds = _guilds_without_user(train) & _guilds_without_user(heldout)
    copies = near_copies([row.input for row in train], [row.input for row in heldout], near_copy)
    if users or guilds or copies:
        raise LeakageError(shared_users=len(users), shared_guilds=len(guilds), near_copies=len(copies))


def _guilds_without_user(rows: Sequence[Row]) -> set[str]:
    return {row.guild for row in rows if row.guild and not row.user}


def near_copies(train: Sequence[str], heldout: Sequence[str], near_copy: float = NEAR_COPY) -> list[int]:
    """Return the positions of held-out messages with a near-copy in `train`.

    An exact similarity join by prefix filtering: two sets that are similar enough share one of their few rarest
    shingles (Chaudhuri, Ganti, Kaushik: A Primitive Operator for Similarity Joins, 2006).
    """
    exact = {_normal(text) for text in train}
    train_sets, heldout_sets = [_shingles(text) for text in train], [_shingles(text) for text in heldout]
    rarity = Counter(shingle for shingles in (*train_sets, *heldout_sets) for shingle in shingles)
    rows = len(train) + len(heldout)
    common = {shingle for shingle, count in rarity.items() if rows >= _FEW_ROWS and count > _BOILERPLATE * rows}
    index: dict[str, list[int]] = defaultdict(list)
    kept_sets = [shingles - common for shingles in train_sets]
    for position, shingles in enumerate(kept_sets):
        for shingle in _rarest(shingles, rarity, near_copy):
            index[shingle].append(position)
    found = []
    for position, (text, whole) in enumerate(zip(heldout, heldout_sets, strict=True)):
        shingles = whole - common
        candidates = {other for shingle in _rarest(shingles, rarity, near_copy) for other in index.get(shingle, ())}
        if _normal(text) in exact or any(_similar(shingles, kept_sets[other], near_copy) for other in candidates):
            found.append(position)
    return found


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _shingles(text: str) -> frozenset[str]:
    normal = _normal(text)
    return frozenset(normal[start : start + _SHINGLE] for start in range(max(1, len(normal) - _SHINGLE + 1)))


def _rarest(shingles: frozenset[str], rarity: Counter[str], near_copy: float) -> list[str]:
    ordered = sorted(shingles, key=lambda shingle: (rarity[shingle], shingle))
    return ordered[: len(ordered) - math.ceil(near_copy * len(ordered)) + 1]


def _similar(left: frozenset[str], right: frozenset[str], near_copy: float) -> bool:
    union = len(left | right)
    return union > 0 and len(left & right) >= near_copy * union
