"""Messages that were never sent: the first half of a real one with the second half of another of the same kind.

Only so can a store be filled with more examples than there are real messages and each still be of its own: a word added
to one message would make near-copies, which no export keeps.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from becas.ft.v1 import event_pb2

# Where the message of each kind stands. Lists are halved as lists. Precedents have none, only a count.
_TEXTS: dict[str, tuple[str, ...]] = {
    "violation_detected": ("evidence",),
    "scam_detected": ("text",),
    "intent_analyzed": ("message",),
    "tool_executed": ("input",),
    "trust_score_changed": ("reason",),
    "moderation_action_executed": ("reason",),
    "policy_evaluated": ("message",),
    "sentiment_analyzed": ("message",),
    "language_detected": ("text",),
    "workflow_parsed": ("workflow_text",),
    "ai_correction": ("correction", "ai_decision", "context"),
    "custom_example": ("input",),
}
_LISTS = {"network_raid_detected": "indicators", "network_bot_pattern": "indicators", "user_profile_updated": "updates"}
_COUNTS = {"rag_context_enhanced": "precedents", "rag_suspicious_similarity": "similar_violations"}
# A prime: every pass meets other halves until all have met.
_STEP = 7919
_CONSONANTS, _VOWELS = "bcdfghklmnprstvw", "aeiou"


class Variation:
    """Renews events of a list, pass after pass.

    Arguments:
        originals: the real ones; events are named by their place among them.
    """

    def __init__(self, originals: Sequence[event_pb2.Event]) -> None:
        self._originals = originals
        self._halves: dict[str, list[tuple[Any, Any]]] = collections.defaultdict(list)
        self._at: list[int] = []
        by_id: dict[str, int] = {}
        # Some kinds repeat a few messages: the halves are those of distinct ones.
        seen: dict[tuple[str, str], int] = {}
        for place, event in enumerate(originals):
            kind = event.WhichOneof("payload")
            assert kind is not None, "only usable events can be renewed"
            parts = _parts(event, kind)
            at = seen.setdefault((kind, repr(parts)), len(self._halves[kind]))
            if at == len(self._halves[kind]):
                self._halves[kind].append(_halves(parts))
            self._at.append(at)
            by_id.setdefault(event.event_id, place)
        self._corrected = {
            place: by_id[event.causation_id]
            for place, event in enumerate(originals)
            if event.WhichOneof("payload") == "ai_correction" and event.causation_id in by_id
        }

    def renewed(self, place: int, number: int) -> event_pb2.Event:
        """The event at a place as the `number`th pass sends it: what refers to an event refers to that of its pass."""
        event = type(self._originals[place])()
        event.CopyFrom(self._originals[place])
        for name in ("event_id", "causation_id", "correlation_id"):
            if named := getattr(event, name):
                setattr(event, name, f"{named}.{number}")
        if number:
            # A correction repeats the message that it corrects.
            self._replace(event, self._corrected.get(place, place), number)
        return event

    def _replace(self, event: event_pb2.Event, source: int, number: int) -> None:
        kind = event.WhichOneof("payload")
        assert kind is not None
        payload = getattr(event, kind)
        if kind in _COUNTS:
            setattr(payload, _COUNTS[kind], getattr(payload, _COUNTS[kind]) + number)
            return
        halves = self._halves[self._originals[source].WhichOneof("payload") or kind]
        at = self._at[source]
        first, second = halves[at][0], halves[(at + number * _STEP) % len(halves)][1]
        again = number // len(halves)
        if isinstance(first, list):
            del getattr(payload, _LISTS[kind])[:]
            getattr(payload, _LISTS[kind]).extend([*first, *second, *[f"seen {word(again)}"] * bool(again)])
            return
        *path, last = _TEXTS[kind]
        for name in path:
            payload = getattr(payload, name)
        setattr(payload, last, first + second + f" {word(again)}" * bool(again))


def _parts(event: event_pb2.Event, kind: str) -> Any:  # noqa: ANN401 - a text, or a list of them
    payload: Any = getattr(event, kind)
    if kind in _LISTS:
        return [*getattr(payload, _LISTS[kind])]
    for name in _TEXTS.get(kind, ()):
        payload = getattr(payload, name)
    return payload if isinstance(payload, str) else ""


def message(event: event_pb2.Event) -> str:
    """The message of an event; empty where its kind has none."""
    found = _parts(event, event.WhichOneof("payload") or "")
    return found if isinstance(found, str) else " ".join(found)


def _halves(parts: Any) -> tuple[Any, Any]:  # noqa: ANN401 - a text, or a list of texts
    """Cut at the space before the middle, where there is one."""
    middle = len(parts) // 2
    if isinstance(parts, str):
        middle = parts.rfind(" ", 0, middle) + 1 or middle
    return parts[:middle], parts[middle:]


def word(number: int) -> str:
    """A word without digits for a number."""
    made = ""
    while number:
        number, place = divmod(number, len(_CONSONANTS))
        made += _CONSONANTS[place] + _VOWELS[place % len(_VOWELS)]
    return made
