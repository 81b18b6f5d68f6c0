"""Invented events, as bots publish them."""

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

from becas.ft.v1 import event_pb2, ingest_pb2

_WORDS: Final = (
    *(
        "amber",
        "bridge",
        "candle",
        "drift",
        "ember",
        "fjord",
        "garden",
        "harbour",
        "island",
        "jungle",
        "kettle",
    ),
    *("lantern", "meadow", "needle", "orchard", "pepper", "quarry", "ribbon", "saddle", "timber", "umbrella"),
    *("velvet", "willow", "yonder", "zephyr", "anchor", "basket", "copper", "dagger", "engine"),
)
_REASON: Final = "The wording asks for a payment and promises a prize that nobody announced in the guild."


def message(seed: int) -> str:
    """Twelve words, another text for each seed."""
    return " ".join(random.Random(seed).choices(_WORDS, k=12))


def scam(number: int, *, gold: bool = True, is_scam: bool | None = None, user: int | None = None) -> dict[str, Any]:
    """A scam.detected: gold (.9150), or bronze (.6150) without evidence."""
    evidence = {"humanValidated": True, "ragEnhanced": True} if gold else {}
    return {
        "eventName": "scam.detected",
        "metadata": {
            "eventId": f"evt-scam-{number}",
            "timestamp": f"2026-09-{1 + number % 28:02}T10:{number // 60 % 60:02}:{number % 60:02}.000Z",
            "userId": str(700_000_000_000_000_000 + (number if user is None else user)),
            "guildId": str(800_000_000_000_000_000 + number % 7),
        },
        "payload": {
            "text": message(number),
            "analysis": {
                "isScam": number % 2 == 0 if is_scam is None else is_scam,
                "scamType": "prize" if number % 2 == 0 else "none",
                "severity": "high",
                "confidence": 0.9,
                "indicators": ["prize"],
                "reasoning": _REASON,
                "shouldBanPermanently": False,
            },
        },
        "evidence": evidence,
    }


def language(number: int) -> dict[str, Any]:
    """A language.detected: success alone is not enough for the lowest tier (.4650)."""
    return {
        "eventName": "language.detected",
        "metadata": {"eventId": f"evt-language-{number}"},
        "payload": {"text": message(number), "detectedLanguage": "en", "confidence": 0.9},
    }


def lines(events: Iterable[dict[str, Any]]) -> str:
    """JSON lines."""
    return "".join(json.dumps(event) + "\n" for event in events)


def scam_message(event_id: str, seed: int) -> event_pb2.Event:
    """The same gold event as a message."""
    event = event_pb2.Event(
        event_id=event_id,
        user_id=str(700_000_000_000_000_000 + seed % 1000),
        guild_id=str(800_000_000_000_000_000 + seed % 7),
        evidence=event_pb2.Evidence(human_validated=True, rag_enhanced=True),
        scam_detected=event_pb2.ScamDetected(
            text=message(seed),
            analysis=event_pb2.ScamAnalysis(
                is_scam=seed % 2 == 0, scam_type="prize", severity="high", confidence=0.9, reasoning=_REASON
            ),
        ),
    )
    event.time.FromMilliseconds(1_789_000_000_000 + seed)
    return event


def correction(event_id: str, original: str, seed: int, *, label: str = "false", message_: str = "") -> event_pb2.Event:
    """A moderator's word about the event `original` of the same seed; its message is that event's where empty."""
    event = event_pb2.Event(
        event_id=event_id,
        causation_id=original,
        user_id=str(600_000_000_000_000_000 + seed % 10),
        guild_id=str(800_000_000_000_000_000 + seed % 7),
        ai_correction=event_pb2.AiCorrection(
            correction=event_pb2.Correction(
                ai_decision=event_pb2.AiDecision(action="ban", confidence=0.9, context=message_ or message(seed)),
                category="false_positive",
                lesson="The message only quotes what a scammer wrote, to warn the others.",
                corrected_label=label,
            )
        ),
    )
    event.time.FromMilliseconds(1_789_500_000_000 + seed)
    return event


def violation_message(event_id: str, seed: int) -> event_pb2.Event:
    """A violation.detected, gold, silver or bronze by its seed."""
    detected = event_pb2.ViolationDetected(
        violation_type=("none", "spam", "harassment")[seed % 3],
        severity="low",
        confidence=0.6 + seed % 5 * 0.08,
        evidence=message(seed),
        reasoning=_REASON if seed % 2 else "",
    )
    evidence = event_pb2.Evidence(human_validated=seed % 3 == 0, rag_enhanced=True, context=message(seed + 1))
    return event_pb2.Event(
        event_id=event_id,
        user_id=str(700_000_000_000_000_000 + seed),
        guild_id=str(800_000_000_000_000_000 + seed % 7),
        evidence=evidence,
        violation_detected=detected,
    )


def sentiment_message(event_id: str, seed: int) -> event_pb2.Event:
    """A sentiment.analyzed that is kept by every other seed."""
    score = (seed % 10) / 10 + 0.05
    analyzed = event_pb2.SentimentAnalyzed(message=message(seed), sentiment="positive", score=score)
    evidence = event_pb2.Evidence(reasoning=_REASON, rag_enhanced=seed % 2 == 0)
    return event_pb2.Event(event_id=event_id, evidence=evidence, sentiment_analyzed=analyzed)


def request(events: Sequence[event_pb2.Event]) -> ingest_pb2.IngestRequest:
    """A batch."""
    return ingest_pb2.IngestRequest(events=events)
