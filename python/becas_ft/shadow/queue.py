"""The queue of what needs a person's label: disagreements, audited agreements, corrections that gave no label."""

import base64
import binascii
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


class BadTokenError(ValueError):
    """The page token was not made here."""


@dataclass(frozen=True, order=True)
class Place:
    """Where an entry stands in the queue: by time, then by name."""

    time_ms: int
    name: str

    def token(self) -> str:
        """The page token that continues after it."""
        return base64.urlsafe_b64encode(f"{self.time_ms}/{self.name}".encode()).decode()


def place_of(token: str) -> Place | None:
    """The place that a token continues after; None for the first page.

    Raises: BadTokenError.
    """
    if not token:
        return None
    try:
        time_ms, _, name = base64.urlsafe_b64decode(token.encode()).decode().partition("/")
        return Place(int(time_ms), name)
    except (ValueError, binascii.Error) as error:
        raise BadTokenError("the page_token is none of this service's") from error


def page(
    transaction: ReadTransaction, trial_id: str, cases: Iterable[str], *, after: Place | None, size: int
) -> tuple[list[shadow_pb2.Disagreement], str]:
    """The next entries, oldest first, and the token of the page after; empty at the end.

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
    token = places[size - 1].token() if len(places) > size else ""
    return [waiting[place] for place in places[:size]], token


def _of_trial(transaction: ReadTransaction, trial: shadow_pb2.Trial) -> Iterator[tuple[Place, shadow_pb2.Disagreement]]:
    category = registry.category_name(trial.category)
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
