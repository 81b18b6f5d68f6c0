"""What a bot decides, as events for becas-ft. The rules stand in for your models; the events are what you keep."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from becas_ft_client import event_id
from becas_ft_client.v1 import (
    AiCorrection,
    AiDecision,
    ConversationalContext,
    Correction,
    CustomExample,
    DeepIntent,
    Event,
    Evidence,
    IntentAnalyzed,
    LanguageDetected,
    ModerationActionExecuted,
    ModeratorAction,
    NetworkPattern,
    ParsedWorkflow,
    Policy,
    PolicyEvaluated,
    PolicyEvaluation,
    Profile,
    RagContextEnhanced,
    RagSuspiciousSimilarity,
    ScamAnalysis,
    ScamDetected,
    SentimentAnalyzed,
    SimilarViolation,
    ToolExecuted,
    TrustScoreChanged,
    UserProfileUpdated,
    ViolationDetected,
    WorkflowParsed,
    WorkflowStep,
)

SCAM_SIGNS = ("seed words", "vault closes", "free nitro")
INSULTS = ("idiot",)
GERMAN = {"der", "die", "das", "ist", "und", "auf"}
POSITIVE = {"lovely", "thanks", "schön"}
NEGATIVE = {"idiot", "nothing", "broken"}
POLICY = Policy(description="No links to banks, shops or wallets.", threshold=0.8)
FIRST_TRUST = 50.0
LOST_TRUST = 15.0
SIMILAR = 0.6
RAID_MEMBERS = 4
RAID_TIME = timedelta(minutes=1)
YOUNG = timedelta(days=1)
COPIES = 3


@dataclass(frozen=True)
class Said:
    """A message, whatever the library."""

    message_id: str
    user_id: str
    guild_id: str
    channel: str
    text: str
    time: datetime
    to_bot: bool


class Moderation:
    """Decides, and remembers what later decisions and corrections need."""

    def __init__(self) -> None:
        self._trust: dict[str, float] = {}
        self._violations: dict[str, int] = {}
        self._flagged: dict[str, tuple[Said, Event]] = {}
        self._said: dict[tuple[str, str], list[Said]] = {}
        self._joined: deque[tuple[datetime, str]] = deque()
        self._messages = 0

    def message(self, said: Said) -> list[Event]:
        """Everything that is decided about a message, harmless or not: models learn from both."""
        self._messages += 1
        scam, violation = self._scam(said), self._violation(said)
        events = [self._language(said), self._sentiment(said), scam, violation, self._policy(said)]
        if said.to_bot:
            events.append(self._intent(said))
        if scam.scam_detected.analysis.is_scam:
            events += self._precedents(said, scam) + self._consequences(said, "phishing")
            self._flagged[said.message_id] = (said, scam)
        elif violation.violation_detected.violation_type != "none":
            events += self._consequences(said, "harassment")
            self._flagged[said.message_id] = (said, violation)
        return events + self._copies(said)

    def joined(self, user_id: str, guild_id: str, time: datetime, account_since: datetime) -> list[Event]:
        """A raid: several young accounts within a minute."""
        if time - account_since > YOUNG:
            return []
        self._joined.append((time, user_id))
        while time - self._joined[0][0] > RAID_TIME:
            self._joined.popleft()
        if len(self._joined) != RAID_MEMBERS:
            return []
        users = [user for _, user in self._joined]
        raid = NetworkPattern(
            pattern="mass_join",
            users=users,
            confidence=0.92,
            indicators=[f"{len(users)} accounts younger than a day joined within a minute"],
        )
        # Evidence is what the payload has no field for; this one lifts the event over the lowest tier.
        why = Evidence(reasoning="Four accounts that are younger than a day came within one minute of each other.")
        return [_event("network.raid_detected", users[0], time, "", guild_id, evidence=why, network_raid_detected=raid)]

    def dismissed(self, message_id: str, moderator_id: str) -> list[Event]:
        """A moderator says that a flagged message is fine: the correction names the event that was wrong."""
        if message_id not in self._flagged:
            return []
        said, decision = self._flagged.pop(message_id)
        scam, violation = decision.scam_detected.analysis, decision.violation_detected
        what = scam.scam_type or violation.violation_type
        correction = Correction(
            ai_decision=AiDecision(
                action=what,
                target=said.user_id,
                reason=scam.reasoning or violation.reasoning,
                confidence=scam.confidence or violation.confidence,
                context=said.text,
            ),
            category="false_positive",
            ai_mistake=f"Took a harmless message for {what}",
            lesson="Friends tease each other; a rude word alone is no harassment",
            moderator_action=ModeratorAction(type="dismiss", reason="They are friends and were joking"),
            guild_id=said.guild_id,
        )
        made = _event(
            "ai.correction",
            message_id,
            None,
            moderator_id,
            said.guild_id,
            ai_correction=AiCorrection(correction=correction),
        )
        made.causation_id = decision.event_id
        return [made]

    def acted(self, entry_id: str, done: ModerationActionExecuted) -> list[Event]:
        """A moderator acted; without a reason there is nothing to learn."""
        if not done.reason:
            return []
        kind, about = "moderation.action_executed", done.target_user_id
        return [_event(kind, entry_id, None, about, done.guild_id, moderation_action_executed=done)]

    def remind(self, command_id: str, user_id: str, guild_id: str, text: str) -> list[Event]:
        """The command `/remind`: a tool was chosen for a request, and ran."""
        ran = ToolExecuted(tool_name="reminder", tool_category="productivity", input=text, success=True)
        return [_event("tool.executed", command_id, None, user_id, guild_id, tool_executed=ran)]

    def plan(self, command_id: str, user_id: str, guild_id: str, text: str) -> list[Event]:
        """The command `/plan`: a request was split into steps, each a tool."""
        tools = [part.split()[0] for part in text.split(" then ")]
        steps = [
            WorkflowStep(id=number, tool=tool, depends_on=[number - 1] if number > 1 else [])
            for number, tool in enumerate(tools, 1)
        ]
        parsed = WorkflowParsed(workflow_text=text, parsed=ParsedWorkflow(steps=steps), steps=tools)
        return [_event("workflow.parsed", command_id, None, user_id, guild_id, workflow_parsed=parsed)]

    def taught(self, command_id: str, user_id: str, guild_id: str, text: str) -> list[Event]:
        """The message command `Teach: positive`: a moderator gives a ready example."""
        example = CustomExample(category="sentiment_analysis", input=text, output="positive", confidence=1.0)
        return [_event("custom.example", command_id, None, user_id, guild_id, custom_example=example)]

    def _scam(self, said: Said) -> Event:
        signs = [sign for sign in SCAM_SIGNS if sign in said.text.lower()]
        analysis = ScamAnalysis(
            is_scam=bool(signs),
            scam_type="phishing" if signs else "none",
            severity="high" if signs else "none",
            confidence=0.97 if signs else 0.88,
            indicators=signs,
            reasoning="It presses for haste and asks for what no bank ever asks its customers for."
            if signs
            else "Nothing in it asks for money or secrets, and nothing presses for haste.",
            should_ban_permanently=bool(signs),
        )
        return _of(said, "scam.detected", scam_detected=ScamDetected(text=said.text, analysis=analysis))

    def _violation(self, said: Said) -> Event:
        rude = any(word in said.text.lower() for word in INSULTS)
        decided = ViolationDetected(
            violation_type="harassment" if rude else "none",
            severity="medium" if rude else "none",
            confidence=0.86 if rude else 0.9,
            evidence=said.text,
            reasoning="It calls another member names, which the first rule of this server forbids."
            if rude
            else "It insults nobody, threatens nobody and advertises nothing to the members.",
            message_id=said.message_id,
        )
        return _of(said, "violation.detected", violation_detected=decided)

    def _policy(self, said: Said) -> Event:
        linked = ".example" in said.text
        evaluation = PolicyEvaluation(
            violates=linked,
            confidence=0.9,
            reasoning="It names the site of a bank." if linked else "It names no site and links to nothing at all.",
        )
        evaluated = PolicyEvaluated(policy=POLICY, evaluation=evaluation, message=said.text)
        return _of(said, "policy.evaluated", policy_evaluated=evaluated)

    def _language(self, said: Said) -> Event:
        german = len(GERMAN & _words(said.text)) > 1
        found = LanguageDetected(text=said.text, detected_language="de" if german else "en", confidence=0.95)
        return _of(said, "language.detected", language_detected=found)

    def _sentiment(self, said: Said) -> Event:
        words = _words(said.text)
        good, bad = len(POSITIVE & words), len(NEGATIVE & words)
        mood = "positive" if good > bad else "negative" if bad > good else "neutral"
        found = SentimentAnalyzed(
            message=said.text,
            sentiment=mood,
            score={"positive": 0.8, "negative": -0.8, "neutral": 0.0}[mood],
            emotion={"positive": "joy", "negative": "anger", "neutral": "none"}[mood],
        )
        return _of(said, "sentiment.analyzed", sentiment_analyzed=found)

    def _intent(self, said: Said) -> Event:
        helped = "help" in _words(said.text)
        intent = DeepIntent(
            primary_intent="ask_for_help" if helped else "talk",
            emotional_state="annoyed" if helped else "calm",
            suggested_action="answer",
            confidence=0.92,
            reasoning="The member speaks to the bot, names something that fails, and wants it mended.",
        )
        analysed = IntentAnalyzed(
            message=said.text,
            surface_intent="statement",
            deep_intent=intent,
            conversational_context=ConversationalContext(recent_messages=self._messages),
        )
        return _of(said, "intent.analyzed", intent_analyzed=analysed)

    def _precedents(self, said: Said, decision: Event) -> list[Event]:
        """Earlier scams that read alike make the bot surer."""
        earlier = [
            _overlap(said.text, other.text) for other, made in self._flagged.values() if made.HasField("scam_detected")
        ]
        alike = [share for share in earlier if share >= SIMILAR]
        if not alike:
            return []
        similar = RagSuspiciousSimilarity(
            message_id=said.message_id,
            guild_id=said.guild_id,
            similar_violations=len(alike),
            avg_similarity=sum(alike) / len(alike),
            examples=[SimilarViolation(violation_type="phishing")] * len(alike),
        )
        enhanced = RagContextEnhanced(
            message_id=said.message_id,
            guild_id=said.guild_id,
            original_confidence=decision.scam_detected.analysis.confidence,
            enhanced_confidence=0.99,
            precedents=len(alike),
            enhanced_reasoning="A message that reads almost the same was found to be phishing before.",
        )
        return [
            _of(said, "rag.suspicious_similarity", rag_suspicious_similarity=similar),
            _of(said, "rag.context_enhanced", rag_context_enhanced=enhanced),
        ]

    def _consequences(self, said: Said, what: str) -> list[Event]:
        """What a violation does to its author's standing."""
        old = self._trust.get(said.user_id, FIRST_TRUST)
        new = self._trust[said.user_id] = max(0.0, old - LOST_TRUST)
        count = self._violations[said.user_id] = self._violations.get(said.user_id, 0) + 1
        changed = TrustScoreChanged(
            user_id=said.user_id,
            guild_id=said.guild_id,
            old_score=old,
            new_score=new,
            delta=new - old,
            reason=f"a message was found to be {what}",
        )
        profile = Profile(
            activity_level="low",
            trust_score=new,
            violations=count,
            behavior_pattern=f"writes little, {what} among it",
            risk_level="high" if count > 1 else "medium",
        )
        updated = UserProfileUpdated(user_id=said.user_id, profile=profile, updates=["trust_score", "violations"])
        return [
            _of(said, "trust_score.changed", trust_score_changed=changed),
            _of(said, "user.profile_updated", user_profile_updated=updated),
        ]

    def _copies(self, said: Said) -> list[Event]:
        """Accounts that say the same, word for word."""
        same = self._said.setdefault((said.guild_id, said.text), [])
        if any(other.user_id == said.user_id for other in same):
            return []
        same.append(said)
        if len(same) != COPIES:
            return []
        pattern = NetworkPattern(
            pattern="identical_message_burst",
            users=[other.user_id for other in same],
            confidence=0.9,
            indicators=[f"{len(same)} accounts posted the same text"],
        )
        return [_of(said, "network.bot_pattern", network_bot_pattern=pattern)]


def _words(text: str) -> set[str]:
    return {word.strip(".,:;!?").lower() for word in text.split()}


def _overlap(left: str, right: str) -> float:
    """Shared words among all words."""
    one, other = _words(left), _words(right)
    return len(one & other) / len(one | other)


def _of(said: Said, kind: str, **payload: object) -> Event:
    made = _event(kind, said.message_id, said.time, said.user_id, said.guild_id, **payload)
    made.evidence.CopyFrom(Evidence(context=f"channel: {said.channel}"))
    return made


def _event(kind: str, about: str, time: datetime | None, user_id: str, guild_id: str, **payload: object) -> Event:
    """The envelope; its id says what happened, so that the same happening never has two."""
    made = Event(event_id=event_id(kind, about), user_id=user_id, guild_id=guild_id, **payload)  # type: ignore[arg-type]
    if time is not None:
        made.time.FromDatetime(time)
    return made
