"""The peer's drafts: what each payload asks, what was decided, and what speaks for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from becas.ft.v1 import event_pb2

Lines = dict[str, Any]


@dataclass
class Draft:
    """An event as a question and an answer.

    Attributes:
        core: what the label depends on.
        output: the answer, the label first.
        confidence: 0 to 1.
        reasoning: code points.
    """

    category: str
    core: Lines
    output: Lines
    confidence: float
    explanation: str = ""
    reasoning: int = 0
    contextual: bool = False
    edge_case: bool = False
    common: bool = False
    human: bool = False
    rag: bool = False
    raised: bool = False
    failed: bool = False
    corrected: bool = False
    precedents: int = 0
    outcome: int = 0
    context: Lines = field(default_factory=dict)


def draft(event: event_pb2.Event) -> Draft:
    """The draft of an event of any kind."""
    kind = event.WhichOneof("payload")
    if kind is None:
        raise ValueError("payload: required")
    return _KINDS[kind](getattr(event, kind))


def _violation(payload: Any) -> Draft:  # noqa: ANN401 - a payload, as all below
    return Draft(
        "violation_detection",
        {"Message": payload.evidence},
        {"violationType": payload.violation_type, "severity": payload.severity},
        payload.confidence,
        payload.reasoning,
        len(payload.reasoning),
    )


def _scam(payload: Any) -> Draft:  # noqa: ANN401
    said = payload.analysis
    return Draft(
        "scam_detection",
        {"Message": payload.text},
        {"isScam": said.is_scam, "scamType": said.scam_type, "severity": said.severity},
        said.confidence,
        said.reasoning,
        len(said.reasoning),
        edge_case=said.scam_type == "social_engineering",
    )


def _intent(payload: Any) -> Draft:  # noqa: ANN401
    said = payload.deep_intent
    contextual = payload.HasField("conversational_context")
    return Draft(
        "intent_classification",
        {"Message": payload.message},
        {
            "primaryIntent": said.primary_intent,
            "secondaryIntent": said.secondary_intent,
            "emotionalState": said.emotional_state,
            "suggestedAction": said.suggested_action,
        },
        said.confidence,
        said.reasoning,
        len(said.reasoning),
        contextual=contextual,
        context={"Recent messages": payload.conversational_context.recent_messages} if contextual else {},
    )


def _tool(payload: Any) -> Draft:  # noqa: ANN401
    return Draft(
        "tool_selection",
        {"Request": payload.input},
        {"toolName": payload.tool_name, "toolCategory": payload.tool_category},
        float(payload.success),
        contextual=True,
        failed=not payload.success,
    )


def _trust(payload: Any) -> Draft:  # noqa: ANN401
    delta = payload.delta or payload.new_score - payload.old_score
    return Draft(
        "trust_prediction",
        {"Trust": payload.old_score, "Occurrence": payload.reason},
        {"direction": "up" if delta > 0 else "down" if delta < 0 else "unchanged", "delta": delta},
        1.0,
        reasoning=len(payload.reason),
        contextual=True,
        common=abs(delta) <= 10,  # noqa: PLR2004 - the factor table's
    )


def _moderation(payload: Any) -> Draft:  # noqa: ANN401
    output: Lines = {"actionType": payload.action_type}
    if payload.HasField("duration"):
        output["duration"] = payload.duration
    return Draft("moderation_decision", {"Case": payload.reason}, output, 1.0, reasoning=len(payload.reason))


def _policy(payload: Any) -> Draft:  # noqa: ANN401
    said = payload.evaluation
    return Draft(
        "policy_interpretation",
        {"Policy": payload.policy.description, "Message": payload.message},
        {"violates": said.violates},
        said.confidence,
        said.reasoning,
        len(said.reasoning),
    )


def _sentiment(payload: Any) -> Draft:  # noqa: ANN401
    score = payload.score
    if payload.sentiment == "neutral":
        confidence = 1 - abs(score)
    else:
        agrees = (payload.sentiment == "positive") == (score > 0) and score != 0
        confidence = abs(score) if agrees else 0.0
    output = {"sentiment": payload.sentiment, "score": score, "emotion": payload.emotion}
    return Draft("sentiment_analysis", {"Message": payload.message}, output, confidence)


def _language(payload: Any) -> Draft:  # noqa: ANN401
    output = {"detectedLanguage": payload.detected_language}
    return Draft("language_detection", {"Text": payload.text}, output, payload.confidence)


def _network(payload: Any) -> Draft:  # noqa: ANN401
    return Draft(
        "network_analysis",
        {"Accounts": len(payload.users), "Indicators": [*payload.indicators]},
        {"pattern": payload.pattern},
        payload.confidence,
        contextual=len(payload.users) > 3,  # noqa: PLR2004 - the factor table's
    )


def _profile(payload: Any) -> Draft:  # noqa: ANN401
    profile = payload.profile
    core = {
        "Activity": profile.activity_level,
        "Trust": profile.trust_score,
        "Violations": profile.violations,
        "Behavior": profile.behavior_pattern,
        "Updates": [*payload.updates],
    }
    return Draft("user_profiling", core, {"riskLevel": profile.risk_level}, 1.0, contextual=True)


def _workflow(payload: Any) -> Draft:  # noqa: ANN401
    planned = [step.tool for step in payload.parsed.steps]
    output = {"steps": [*payload.steps] or planned}
    core = {"Request": payload.workflow_text}
    return Draft("workflow_parsing", core, output, float(bool(planned)), failed=not planned)


def _correction(payload: Any) -> Draft:  # noqa: ANN401
    said = payload.correction
    decision = said.ai_decision
    return Draft(
        "human_correction",
        {"Message": decision.context, "Decision": decision.action, "Decision reason": decision.reason},
        {
            "category": said.category,
            "aiMistake": said.ai_mistake,
            "moderatorAction": said.moderator_action.type,
            "correctedLabel": said.corrected_label,
        },
        1.0,
        said.lesson,
        reasoning=1 << 20,
        edge_case=True,
        human=True,
        raised=True,
        corrected=True,
    )


def _enhanced(payload: Any) -> Draft:  # noqa: ANN401
    before, after = payload.original_confidence, payload.enhanced_confidence
    assessment = "strengthened" if after > before else "weakened" if after < before else "unchanged"
    return Draft(
        "rag_context_enhancement",
        {"Original confidence": before, "Precedents": payload.precedents},
        {"assessment": assessment},
        after,
        payload.enhanced_reasoning,
        len(payload.enhanced_reasoning),
        contextual=True,
        rag=True,
        raised=True,
        precedents=payload.precedents,
    )


def _similarity(payload: Any) -> Draft:  # noqa: ANN401
    core = {
        "Similar violations": payload.similar_violations,
        "Average similarity": payload.avg_similarity,
        "Violation types": [example.violation_type for example in payload.examples],
    }
    output = {"assessment": "suspicious"}
    count = payload.similar_violations
    return Draft("rag_context_enhancement", core, output, payload.avg_similarity, rag=True, precedents=count)


def _custom(payload: Any) -> Draft:  # noqa: ANN401
    try:
        output = json.loads(payload.output)
    except ValueError:
        output = payload.output
    if not isinstance(output, dict):
        output = {"label": output}
    core = {"Message": payload.input}
    return Draft(payload.category, core, output, payload.confidence, outcome=payload.outcome)


_KINDS: dict[str, Callable[[Any], Draft]] = {
    "violation_detected": _violation,
    "scam_detected": _scam,
    "intent_analyzed": _intent,
    "tool_executed": _tool,
    "trust_score_changed": _trust,
    "moderation_action_executed": _moderation,
    "policy_evaluated": _policy,
    "sentiment_analyzed": _sentiment,
    "language_detected": _language,
    "network_raid_detected": _network,
    "network_bot_pattern": _network,
    "user_profile_updated": _profile,
    "workflow_parsed": _workflow,
    "ai_correction": _correction,
    "rag_context_enhanced": _enhanced,
    "rag_suspicious_similarity": _similarity,
    "custom_example": _custom,
}
