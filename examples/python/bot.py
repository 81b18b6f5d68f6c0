"""A bot that publishes what it decided about seven invented messages, and prints a receipt a line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from publisher import Publisher

from becas.ft.v1.event_pb2 import (
    AiCorrection,
    AiDecision,
    ConversationalContext,
    Correction,
    DeepIntent,
    Event,
    Evidence,
    IntentAnalyzed,
    LanguageDetected,
    ScamAnalysis,
    ScamDetected,
    ToolExecuted,
    ViolationDetected,
)
from becas.ft.v1.example_pb2 import Category, Tier
from becas.ft.v1.ingest_pb2 import STATUS_INVALID, Receipt, Status

MEMBER = "700000000000000001"
GUILD = "800000000000000001"


def scam() -> Event:
    """A phishing message; a moderator agreed, and retrieved precedents took part: gold."""
    return event(
        "scam-1001",
        evidence=Evidence(human_validated=True, rag_enhanced=True),
        scam_detected=ScamDetected(
            text="Moonbeam Bank: your vault closes at noon, send the seed words to moonbeam-vault.example",
            analysis=ScamAnalysis(
                is_scam=True,
                scam_type="phishing",
                severity="high",
                confidence=0.97,
                indicators=["seed words", "closes at noon"],
                reasoning="It asks for seed words on a look-alike domain and presses for haste.",
            ),
        ),
    )


def everyday() -> list[Event]:
    """What comes in on a quiet day: one that is too thin, one with a bug, one that is delivered twice."""
    return [
        event(
            "language-1002",
            language_detected=LanguageDetected(
                text="Der Kater schläft auf der Fensterbank.", detected_language="de", confidence=0.99
            ),
        ),
        event(
            "tool-1003",
            tool_executed=ToolExecuted(
                tool_name="reminder",
                tool_category="productivity",
                input="remind me to water the ferns on Friday",
                success=True,
            ),
        ),
        event(
            "intent-1004",
            intent_analyzed=IntentAnalyzed(
                message="my drawbridge command does nothing since the update",
                surface_intent="statement",
                deep_intent=DeepIntent(
                    primary_intent="complain",
                    emotional_state="annoyed",
                    suggested_action="answer",
                    confidence=0.92,
                    reasoning="The member reports that a command stopped working and sounds annoyed.",
                ),
                conversational_context=ConversationalContext(recent_messages=4),
            ),
        ),
        # The bug: confidences are shares, not per cent.
        event(
            "violation-1005",
            violation_detected=ViolationDetected(
                violation_type="spam", severity="low", confidence=97, evidence="FERNS FERNS FERNS cheap ferns"
            ),
        ),
        # A gateway that reconnects delivers messages again; the id makes it harmless.
        scam(),
        event(
            "correction-1006",
            causation_id="intent-1004",
            ai_correction=AiCorrection(
                correction=Correction(
                    ai_decision=AiDecision(
                        action="none",
                        reason="complaint",
                        confidence=0.92,
                        context="my drawbridge command does nothing since the update",
                    ),
                    category="wrong_intent",
                    ai_mistake="Took a call for help for a complaint",
                    lesson="A broken command is a call for help",
                    corrected_label="ask_for_help",
                )
            ),
        ),
    ]


def event(event_id: str, **fields: object) -> Event:
    """The envelope: the id says what happened, so that the same happening never has two."""
    made = Event(event_id=event_id, user_id=MEMBER, guild_id=GUILD, **fields)  # type: ignore[arg-type]  # payloads by name
    made.time.GetCurrentTime()
    return made


def show(sent: Event, receipt: Receipt) -> None:
    """One line of JSON on standard output; bugs of this bot also go to standard error."""
    line = {
        "eventId": receipt.event_id,
        "status": Status.Name(receipt.status).removeprefix("STATUS_"),
        "category": name(Category.Name(receipt.category), "CATEGORY_"),
        "tier": name(Tier.Name(receipt.tier), "TIER_"),
        "score": receipt.score,
        "reasons": list(receipt.reasons),
    }
    print(json.dumps(line), flush=True)
    if receipt.status == STATUS_INVALID:
        # Sending it again would not help: mend the bot. The reason says which field, and what it takes.
        for reason in receipt.reasons:
            print(f"bug in this bot, event {sent.event_id}: {reason}", file=sys.stderr)


def name(value: str, prefix: str) -> str:
    """`CATEGORY_SCAM_DETECTION` as `scam_detection`; empty where it is not set."""
    short = value.removeprefix(prefix).lower()
    return "" if short == "unspecified" else short


def content(variable: str) -> bytes:
    """What stands in the file that a variable names; empty where it names none."""
    path = os.environ.get(variable)
    return Path(path).read_bytes() if path else b""


def token() -> str:
    """The bot's token; servers beyond this machine want one."""
    return content("BECAS_FT_TOKEN_FILE").decode().strip() or os.environ.get("BECAS_FT_TOKEN", "")


async def main() -> None:
    """Publish everything; leaving the block waits for the last receipt."""
    server = os.environ.get("BECAS_FT_SERVER", "127.0.0.1:50051")
    # Seconds between two messages; a chat takes its time.
    pace = float(os.environ.get("BOT_PACE_SECONDS", "0"))
    async with Publisher(server, show, ca=content("BECAS_FT_CA"), token=token()) as publisher:
        urgent = scam()
        show(urgent, await publisher.publish_now(urgent))
        for decided in everyday():
            await asyncio.sleep(pace)
            await publisher.publish(decided)


if __name__ == "__main__":
    asyncio.run(main())
