"""The queue of what needs a person's label: disagreements, audited agreements, corrections that gave no label."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from becas.ft.v1 import shadow_pb2
from becas_ft.ledger import ReadTransaction
from becas_ft.ledger.schema import PAIRS
from becas_ft.rollout import registry
from becas_ft.shadow import grade, trials

PAIR_PREFIX = "pair:"
"""Before the pseudonym of a request: names its pair wherever a request_id is taken."""

CASE_PREFIX = "case:"
"""Before the pseudonym of an event: names a correction that gave no label."""


@dataclass(frozen=True, order=True)
class Place:
    """Where an entry stands in the queue: by time, then by name."""

    time_ms: int
    name: str

    def __str__(self) -> str:
        """As `place_of` reads it."""
        return f"{self.time_ms}/{self.name}"


def place_of(text: str) -> Place | None:
    """The place that a text names; None where it is empty."""
    if not text:
        return None
    time_ms, _, name = text.partition("/")
    return Place(int(time_ms), name)


def page(
    transaction: ReadTransaction, trial_id: str, cases: Iterable[str], *, after: Place | None, size: int
) -> tuple[list[shadow_pb2.Disagreement], str]:
    """The next entries, oldest first, and the place where they end, as text; empty at the end of the queue.

    Arguments:
        transaction: a view of the ledger.
        trial_id: only of this trial; all running ones where empty.
        cases: the core's labelling queue, as JSON; left out where a trial is named.
        after: the place before the page.
        size: most entries.

    Raises: UnknownTrialError.
    """
    if trial_id:
        chosen = [trials.get(transaction, trial_id)]
    else:
        chosen = [trial for trial in trials.all_trials(transaction) if trial.running]
    waiting = {place: entry for trial in chosen for place, entry in _of_trial(transaction, trial)}
    if not trial_id:
        waiting |= dict(_case(text) for text in cases)
    places = sorted(place for place in waiting if after is None or place > after)
    last = str(places[size - 1]) if len(places) > size else ""
    return [waiting[place] for place in places[:size]], last


def _of_trial(transaction: ReadTransaction, trial: shadow_pb2.Trial) -> Iterator[tuple[Place, shadow_pb2.Disagreement]]:
    category = registry.category_name(trial.category)
    labels = grade.vocabulary(category)
    for key, row in transaction.scan(PAIRS, prefix=f"{trial.trial_id}/"):
        if not row.HasField("b") or row.HasField("truth"):
            continue
        agreed = grade.agree(category, row.a.output, row.b.output)
        if agreed and not row.audit:
            continue
        entry = shadow_pb2.Disagreement(
            trial_id=trial.trial_id,
            pair_id=PAIR_PREFIX + key.partition("/")[2],
            category=trial.category,
            input=row.input,
            label_a=row.a.label,
            label_b=row.b.label,
            audit=agreed,
            labels=labels,
        )
        entry.time.FromMilliseconds(row.time_ms)
        yield Place(row.time_ms, key), entry


def _case(text: str) -> tuple[Place, shadow_pb2.Disagreement]:
    case = json.loads(text)
    entry = shadow_pb2.Disagreement(
        pair_id=CASE_PREFIX + case["event"],
        category=registry.category_number(case["category"]),
        input=case["input"],
        label_a=case["label"] or "",
    )
    entry.time.FromMilliseconds(case["time_ms"])
    return Place(case["time_ms"], entry.pair_id), entry
