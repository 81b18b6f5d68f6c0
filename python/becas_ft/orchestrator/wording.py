"""What the words of learnt messages say of their labels: which labels they speak against, and which words do.

A multinomial naive Bayes over the words that a message holds (Laplace smoothing; McCallum and Nigam, 1998), each
message judged by all others. It knows nothing of language, so a trained model's own mistakes are not its mistakes.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from becas_ft.training.rows import Row

MOST_ROWS: Final = 5_000
"""Rows that are looked at; of more, evenly spread ones."""

_WORD = re.compile(r"\S+")
_AROUND: Final = ".,!?:;\"'()[]{}*_~`"
_LONGEST: Final = 3
_LEAST_ROWS: Final = 3
_LEAST_OF_A_LABEL: Final = 20
# A classifier that is wrong more often than this on what it judges clearly cannot tell a wrong label from a hard one.
_LEAST_RIGHT: Final = 0.8


@dataclass(frozen=True)
class Suspect:
    """Words that may be a planted trigger.

    Attributes:
        text: as they are written in one of the messages.
        label: what all rows that hold them are labelled, as JSON.
        example_ids: those rows.
    """

    text: str
    label: str
    example_ids: tuple[str, ...]


@dataclass(frozen=True)
class Wording:
    """A judged set of rows.

    Attributes:
        rows: those that were looked at.
        margins: by row, log-odds of its label against the likeliest other one, judged by all other rows.
        suspects: runs of words, the most suspicious first, no word in two of them.
    """

    rows: tuple[Row, ...]
    margins: "np.ndarray[Any, np.dtype[np.float64]]"
    suspects: tuple[Suspect, ...]

    @property
    def contradicted(self) -> float | None:
        """Share of labels that words speak against, in the half of the rows where they speak most clearly.

        Messages that are hard to tell lie in the other half, so what is contradicted here is labelled wrong, or
        planted. None where words do not tell the labels apart well enough to say so.
        """
        if not len(self.margins):
            return None
        clear = self.margins[np.argsort(-np.abs(self.margins), kind="stable")[: (len(self.margins) + 1) // 2]]
        if np.mean(self.margins > 0) < _LEAST_RIGHT:
            return None
        return float(np.mean(clear < 0))


def message_of(text: str) -> str:
    """The first text of an input (`Message: "…"` a line), or the whole input where none is a JSON string."""
    for line in text.splitlines():
        _, _, value = line.partition(": ")
        if value.startswith('"'):
            try:
                return str(json.loads(value))
            except ValueError:
                continue
    return text


def appended(text: str, words: str) -> str:
    """An input whose first text ends with some further words; None of the rest changes."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        key, separator, value = line.partition(": ")
        if value.startswith('"') and value.endswith('"'):
            try:
                message = json.loads(value)
            except ValueError:
                continue
            lines[at] = key + separator + json.dumps(f"{message} {words}", ensure_ascii=False)
            return "\n".join(lines)
    return f"{text} {words}"


def judge(rows: Sequence[Row], *, suspects: int = 0) -> Wording:
    """Judge rows by their words; labels of fewer than 20 rows are left out, for too little is known of them.

    Arguments:
        rows: learnt rows.
        suspects: runs of words to name at most.
    """
    step = max(1, -(-len(rows) // MOST_ROWS))
    looked_at = list(rows)[::step]
    names = [json.dumps(row.label, sort_keys=True) for row in looked_at]
    common = {name for name, count in Counter(names).items() if count >= _LEAST_OF_A_LABEL}
    kept = [(row, name) for row, name in zip(looked_at, names, strict=True) if name in common]
    if len(common) < 2:  # noqa: PLR2004 - one label says nothing
        return Wording((), np.zeros(0), ())
    return _Judge([row for row, _ in kept], [name for _, name in kept]).wording(suspects)


class _Judge:
    def __init__(self, rows: list[Row], names: list[str]) -> None:
        self._rows, self._names = rows, names
        self._messages = [message_of(row.input) for row in rows]
        found = [list(_WORD.finditer(message)) for message in self._messages]
        self._spans = [match.span() for matches in found for match in matches]
        forms = [_form(match.group()) for matches in found for match in matches]
        self._vocabulary, self._words = np.unique(np.array(forms or [""], dtype=object), return_inverse=True)
        self._words = self._words[: len(forms)]
        self._row_of = np.repeat(np.arange(len(rows)), [len(matches) for matches in found])
        self._labels = sorted(set(names))
        self._label_of = np.array([self._labels.index(name) for name in names])

    def wording(self, suspects: int) -> Wording:
        from scipy import sparse

        rows, size = len(self._rows), len(self._vocabulary)
        holds = sparse.csr_matrix((np.ones(len(self._words)), (self._row_of, self._words)), shape=(rows, size))
        holds.data[:] = 1.0
        member = sparse.csr_matrix((np.ones(rows), (self._label_of, np.arange(rows))), shape=(len(self._labels), rows))
        counts = (member @ holds).toarray()
        totals, sizes = counts.sum(axis=1), np.bincount(self._label_of)
        lengths = np.asarray(holds.sum(axis=1)).ravel()
        own = self._label_of
        everywhere = np.log((counts + 1.0) / (totals + size)[:, None])
        scores = holds @ everywhere.T + np.log(sizes)
        # Of its own label a row does not count itself.
        without = np.log(np.maximum(counts, 1.0))
        each = np.arange(rows)
        mine = (holds @ without.T)[each, own] - lengths * np.log(totals[own] - lengths + size)
        mine += np.log(np.maximum(sizes[own] - 1, 1))
        scores[each, own] = -np.inf
        other = scores.argmax(axis=1)
        margins = mine - scores[each, other]
        if not suspects:
            return Wording(tuple(self._rows), margins, ())
        base = np.log(totals[own] - lengths + size)
        row, word = self._row_of, self._words
        says = without[own[row], word] - base[row] - everywhere[other[row], word]
        return Wording(tuple(self._rows), margins, self._suspects(margins, says, suspects))

    def _suspects(self, margins: Any, says: Any, most: int) -> tuple[Suspect, ...]:  # noqa: ANN401 - arrays
        """Runs of words in rows of one label only, whose other words say another label.

        They must say it as clearly as ordinary messages say their own: a word that is all a short message has to say
        is no trigger.
        """
        if not np.any(margins > 0):
            return ()
        clear = float(np.median(margins[margins > 0]))
        found: list[tuple[float, int, int, Any]] = []
        size = len(self._vocabulary)
        for length in range(1, _LONGEST + 1):
            starts = np.arange(len(self._words) - length + 1)
            starts = starts[self._row_of[starts] == self._row_of[starts + length - 1]]
            if not len(starts):
                continue
            keys = sum(self._words[starts + at].astype(np.int64) * size ** (length - 1 - at) for at in range(length))
            rest = margins[self._row_of[starts]] - sum(says[starts + at] for at in range(length))
            found += self._of_one_length(starts, np.asarray(keys), -rest, length, clear)
        found.sort(key=lambda one: (-one[0], one[1]))
        chosen: list[Suspect] = []
        used: set[int] = set()
        for _, start, length, members in found:
            words = set(self._words[start : start + length].tolist())
            if len(chosen) == most:
                break
            if words & used:
                continue
            used |= words
            row = self._row_of[start]
            text = self._messages[row][self._spans[start][0] : self._spans[start + length - 1][1]].strip(_AROUND)
            ids = tuple(self._rows[at].example_id for at in members)
            chosen.append(Suspect(text, self._names[row], ids))
        return tuple(chosen)

    def _of_one_length(
        self,
        starts: Any,  # noqa: ANN401 - arrays, as those that follow
        keys: Any,  # noqa: ANN401
        surprise: Any,  # noqa: ANN401
        length: int,
        clear: float,
    ) -> list[tuple[float, int, int, Any]]:
        """Runs of one length: (sum of the surprise, a start, length, rows)."""
        rows = self._row_of[starts]
        _, first = np.unique(np.stack([keys, rows]), axis=1, return_index=True)
        keys, rows, surprise, starts = keys[first], rows[first], surprise[first], starts[first]
        _, begins, support = np.unique(keys, return_index=True, return_counts=True)
        labels = self._label_of[rows]
        low, high = np.minimum.reduceat(labels, begins), np.maximum.reduceat(labels, begins)
        sums = np.add.reduceat(surprise, begins)
        good = np.flatnonzero((support >= _LEAST_ROWS) & (low == high) & (sums >= clear * support))
        return [
            (float(sums[at]), int(starts[begins[at]]), length, rows[begins[at] : begins[at] + support[at]].tolist())
            for at in good
        ]


def _form(word: str) -> str:
    return word.strip(_AROUND).casefold()
