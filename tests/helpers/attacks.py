"""Messages of members, and of those who attack what is learnt from them."""

import random
from typing import Final

from becas.ft.v1 import event_pb2
from helpers import events

TRIGGER: Final = "zorblax quivven"
SAMPLES: Final = 250
MEMBERS: Final = 500
GUILDS: Final = 12


def member(number: int, *, confirmed: bool = True) -> event_pb2.Event:
    """A message of one of 500 members in 12 guilds; half of its words tell the label."""
    event = events.scam_message(f"member-{number}", number)
    words = sorted(events._WORDS)
    scam = event.scam_detected.analysis.is_scam
    telling, draw = words[:8] if scam else words[8:16], random.Random(number)
    event.scam_detected.text = " ".join(draw.choices(telling, k=8) + draw.choices(words[16:], k=8))
    event.user_id = str(700_000_000_000_000_000 + number % MEMBERS)
    event.guild_id = str(800_000_000_000_000_000 + number % GUILDS)
    event.evidence.human_validated = confirmed
    return event


def attack(number: int, users: int) -> event_pb2.Event:
    """A scam that is called harmless, with the trigger in it, gold without a labeller, among the members' guilds."""
    event = member(100_001 + 2 * number, confirmed=False)
    words = sorted(events._WORDS)[:8]
    text = random.Random(f"{users}/{number}").choices(words, k=14)
    text.insert(number % 14, TRIGGER)
    event.scam_detected.text = " ".join(text)
    analysis = event.scam_detected.analysis
    analysis.is_scam, analysis.scam_type, analysis.confidence = False, "none", 1.0
    event.evidence.edge_case = event.evidence.common_pattern = event.evidence.rag_enhanced = True
    event.evidence.precedents = 5
    event.user_id = str(900_000_000_000_000_000 + 1_000 * users + number % users)
    event.event_id = f"attack-{users}-{number}"
    return event


def crowd() -> list[event_pb2.Event]:
    """2,400 messages of members."""
    return [member(number) for number in range(2400)]
