"""Who wins when two events say the same: an oracle of receipts that shares nothing with the store but the redactor.

Written from the contract's words alone, over plain dictionaries, for stores whose categories never fill. Change it only
where the contract changes, never to make a test agree.
"""

import datetime as dt
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from becas_ft import _core
from helpers.scorer import expected

Event = Mapping[str, Any]

# Which numbers are whose is known to the event, not to a line of text: here they are all the same.
_ANY_ID: Final = re.compile(r"\[(?:USER|SNOWFLAKE|ID|GUILD|MESSAGE|EVENT)\]")
_YES_NO: Final = frozenset({"scam_detection", "policy_interpretation"})
# The reasons that speak of other events; the scorer knows the rest.
REASONS: Final = frozenset({"REPLACED", "SAME_INPUT", "CONFLICT", "SUPERSEDED", "NO_CORRECTED_LABEL"})


@dataclass(frozen=True)
class Answer:
    """What a receipt must say: the status, and those of `REASONS` that it gives."""

    status: str
    reasons: frozenset[str] = frozenset()


@dataclass
class _Stored:
    label: str
    human: bool
    points: float
    time: float
    event: str
    twin: bool = False
    superseded: bool = False


@dataclass
class Oracle:
    """Answers events in the order in which they come.

    Attributes:
        superseded: the ids of the stored events that were corrected.
    """

    superseded: set[str] = field(default_factory=set)
    _known: dict[str, Event] = field(default_factory=dict)
    _holders: dict[tuple[str, Any], _Stored] = field(default_factory=dict)
    _stored: dict[str, tuple[tuple[str, Any], _Stored]] = field(default_factory=dict)
    _waiting: dict[str, list[Event]] = field(default_factory=dict)

    @property
    def stored(self) -> set[str]:
        """The ids of the events whose examples are stored."""
        return set(self._stored)

    @property
    def twins(self) -> int:
        """How many twins are stored."""
        return sum(holder.twin for holder in self._holders.values())

    def answer(self, event: Event) -> Answer:
        """Take an event, and say what its receipt must be."""
        event_id = event["metadata"]["eventId"]
        if event_id in self._known:
            return Answer("DUPLICATE")
        self._known[event_id] = event
        status, reasons = self._offer(event)
        waiting = [one for one in self._waiting.pop(event_id, []) if _guild(one) == _guild(event)]
        if waiting and status == "ACCEPTED":
            reasons.add("SUPERSEDED")
        for correction in waiting:
            reasons |= self._correct(correction)
        original = event["metadata"].get("causationId")
        if event["eventName"] == "ai.correction" and original and original != event_id:
            if original in self._known:
                reasons |= self._correct(event)
            else:
                self._waiting.setdefault(original, []).append(event)
        return Answer(status, frozenset(reasons))

    def _offer(self, event: Event) -> tuple[str, set[str]]:
        scored = expected(event)
        if scored.rejected:
            return "REJECTED", set()
        key = (scored.category, core(event))
        new = _Stored(
            label=label(event),
            human=event["eventName"] == "ai.correction" or bool((event.get("evidence") or {}).get("humanValidated")),
            points=float(scored.score),
            time=_time(event),
            event=event["metadata"]["eventId"],
        )
        holder = self._holders.get(key)
        if holder is not None:
            # A twin's label is a person's; of a label that is known to be wrong only a person's word is better.
            wins = not holder.twin and (new.human if holder.superseded else _beats(new, holder))
            if not wins:
                return "DUPLICATE", {"SAME_INPUT" if holder.label == new.label else "CONFLICT"}
            self._leave(holder)
        self._holders[key] = new
        self._stored[new.event] = (key, new)
        return "ACCEPTED", {"REPLACED"} if holder is not None else set()

    def _leave(self, holder: _Stored) -> None:
        if not holder.twin:
            self._stored.pop(holder.event)
            self.superseded.discard(holder.event)

    def _correct(self, event: Event) -> set[str]:
        """Supersede the original, and store its twin."""
        original = self._known[event["metadata"]["causationId"]]
        original_id = original["metadata"]["eventId"]
        if _guild(original) != _guild(event):
            return set()
        category = expected(original).category
        correction = event["payload"]["correction"]
        key = (category, (normalised(correction["aiDecision"]["context"]),))
        own = None
        if original_id in self._stored:
            key, own = self._stored[original_id]
            own.superseded = True
            self.superseded.add(original_id)
        right = right_label(category, original, correction)
        if right is None:
            return {"NO_CORRECTED_LABEL"}
        points = float(expected(event).score)
        twin = _Stored(label=right, human=True, points=points, time=_time(event), event=original_id, twin=True)
        holder = self._holders.get(key)
        if holder is not None and holder.twin and not _beats(twin, holder):
            return set()
        # The original stays beside its own twin; anything else makes way.
        if holder is not None and holder is not own:
            self._leave(holder)
        self._holders[key] = twin
        return set()


@dataclass(frozen=True)
class Predicted:
    """What the oracle says of events.

    Attributes:
        answers: in their order.
        oracle: as the last event left it.
    """

    answers: list[Answer]
    oracle: Oracle

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Take events into an empty store."""
        oracle = Oracle()
        return cls([oracle.answer(event) for event in events], oracle)


def core(event: Event) -> tuple[Any, ...]:
    """What makes two inputs of a category the same: the redacted, normalised message and label-relevant fields."""
    name, payload = event["eventName"], event["payload"]
    if name in _CORES:
        return tuple(_plain(value) for value in _CORES[name](payload))
    return (normalised(payload["input"]),)


# Where each kind says what the decision is about.
_CORES: Final[Mapping[str, Callable[[Any], Sequence[Any]]]] = {
    "violation.detected": lambda payload: [payload["evidence"]],
    "scam.detected": lambda payload: [payload["text"]],
    "intent.analyzed": lambda payload: [payload["message"]],
    "tool.executed": lambda payload: [payload["input"]],
    "policy.evaluated": lambda payload: [payload["policy"]["description"], payload["message"]],
    "sentiment.analyzed": lambda payload: [payload["message"]],
    "language.detected": lambda payload: [payload["text"]],
    "workflow.parsed": lambda payload: [payload["workflowText"]],
    "moderation.action_executed": lambda payload: [payload["reason"]],
    "trust_score.changed": lambda payload: [payload["oldScore"], payload["reason"]],
    "network.raid_detected": lambda payload: [len(payload["users"]), payload["indicators"]],
    "network.bot_pattern": lambda payload: [len(payload["users"]), payload["indicators"]],
    "user.profile_updated": lambda payload: [
        *(payload["profile"][key] for key in ("activityLevel", "trustScore", "violations", "behaviorPattern")),
        payload["updates"],
    ],
    "rag.context_enhanced": lambda payload: [payload["originalConfidence"], payload["precedents"]],
    "rag.suspicious_similarity": lambda payload: [
        payload["similarViolations"],
        payload["avgSimilarity"],
        [example.get("violationType", "") for example in payload["examples"]],
    ],
    "ai.correction": lambda payload: [
        payload["correction"]["aiDecision"][key] for key in ("context", "action", "reason")
    ],
}


def _plain(value: object) -> object:
    if isinstance(value, str):
        return normalised(value)
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    return value


def normalised(text: str) -> str:
    """Redacted, NFKC, lower case, white space as one blank."""
    redacted = _ANY_ID.sub("[ID]", _core.redact_line(text)[0])
    return " ".join(unicodedata.normalize("NFKC", redacted).lower().split())


# Where each kind says what was decided.
_LABELS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "violation.detected": lambda payload: payload["violationType"],
    "scam.detected": lambda payload: payload["analysis"]["isScam"],
    "intent.analyzed": lambda payload: payload["deepIntent"]["primaryIntent"],
    "tool.executed": lambda payload: payload["toolName"],
    "trust_score.changed": lambda payload: ("unchanged", "up", "down")[(payload["delta"] > 0) - (payload["delta"] < 0)],
    "moderation.action_executed": lambda payload: payload["actionType"],
    "policy.evaluated": lambda payload: payload["evaluation"]["violates"],
    "sentiment.analyzed": lambda payload: payload["sentiment"],
    "language.detected": lambda payload: payload["detectedLanguage"],
    "network.raid_detected": lambda payload: payload["pattern"],
    "network.bot_pattern": lambda payload: payload["pattern"],
    "user.profile_updated": lambda payload: payload["profile"]["riskLevel"],
    "workflow.parsed": lambda payload: payload.get("steps") or [step["tool"] for step in payload["parsed"]["steps"]],
    "ai.correction": lambda payload: payload["correction"]["category"],
    "rag.context_enhanced": lambda payload: ("unchanged", "strengthened", "weakened")[
        (payload["enhancedConfidence"] > payload["originalConfidence"])
        - (payload["enhancedConfidence"] < payload["originalConfidence"])
    ],
    "rag.suspicious_similarity": lambda _: "suspicious",
}


def label(event: Event) -> str:
    """The label of an event, as text: what is no text is JSON."""
    name, payload = event["eventName"], event["payload"]
    if name in _LABELS:
        found = _LABELS[name](payload)
    else:
        # JSON whose first key is the label, or the label itself.
        try:
            found = json.loads(payload["output"])
        except json.JSONDecodeError:
            found = payload["output"].strip()
        if isinstance(found, dict):
            found = next(iter(found.values()))
    return found if isinstance(found, str) else json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def right_label(category: str, original: Event, correction: Mapping[str, Any]) -> str | None:
    """The label of a twin: the moderator's, else the one that the category's rule gives, else none."""
    if correction.get("correctedLabel"):
        return str(correction["correctedLabel"])
    if category in _YES_NO:
        return {"true": "false", "false": "true"}.get(label(original))
    if category == "violation_detection" and correction["category"] == "false_positive":
        return "none"
    if category == "moderation_decision":
        return str(correction["moderatorAction"]["type"])
    return None


def _guild(event: Event) -> str:
    """The envelope's guild, else the payload's."""
    payload = event["payload"]
    payload = payload.get("correction", payload)
    return str(event["metadata"].get("guildId") or payload.get("guildId") or "")


def _time(event: Event) -> float:
    return dt.datetime.fromisoformat(event["metadata"]["timestamp"]).timestamp()


def _beats(one: _Stored, other: _Stored) -> bool:
    """Validated by a person, then the higher score, then the earlier."""
    first, second = (one.human, one.points, -one.time), (other.human, other.points, -other.time)
    if first == second and one.event != other.event:
        raise AssertionError("the ids decide, and only the store knows their pseudonyms: take other events")
    return first > second
