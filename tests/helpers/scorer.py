"""What the factor table gives an event in the bots' JSON: an oracle that shares nothing with the product.

Written from the contract's table alone, in decimal arithmetic, row by row. Change it only where the contract changes,
never to make a test agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

_CATEGORIES: Final[Mapping[str, str]] = {
    "violation.detected": "violation_detection",
    "scam.detected": "scam_detection",
    "intent.analyzed": "intent_classification",
    "tool.executed": "tool_selection",
    "trust_score.changed": "trust_prediction",
    "moderation.action_executed": "moderation_decision",
    "policy.evaluated": "policy_interpretation",
    "sentiment.analyzed": "sentiment_analysis",
    "language.detected": "language_detection",
    "network.raid_detected": "network_analysis",
    "network.bot_pattern": "network_analysis",
    "user.profile_updated": "user_profiling",
    "workflow.parsed": "workflow_parsing",
    "ai.correction": "human_correction",
    "rag.context_enhanced": "rag_context_enhancement",
    "rag.suspicious_similarity": "rag_context_enhancement",
}

# The label of each category, and the other keys that its output may have.
LABELS: Final[Mapping[str, str]] = {
    "violation_detection": "violationType",
    "scam_detection": "isScam",
    "intent_classification": "primaryIntent",
    "tool_selection": "toolName",
    "trust_prediction": "direction",
    "moderation_decision": "actionType",
    "policy_interpretation": "violates",
    "sentiment_analysis": "sentiment",
    "language_detection": "detectedLanguage",
    "network_analysis": "pattern",
    "user_profiling": "riskLevel",
    "workflow_parsing": "steps",
    "human_correction": "category",
    "rag_context_enhancement": "assessment",
}

_DETAILED_FROM: Final[Mapping[str, int]] = {"moderation_decision": 20, "policy_interpretation": 30}
_YES_NO: Final = frozenset({"scam_detection", "policy_interpretation"})

# Points in 1/10,000.
_DETAILED_REASONING: Final = 1500
_CLEAR_OUTCOME: Final = 1500
_HUMAN_VALIDATION: Final = 2000
_RAG_ENHANCEMENT: Final = 1000
_MULTIPLE_PRECEDENTS: Final = 500
_CONTEXTUAL_DATA: Final = 1000
_EDGE_CASE: Final = 1000
_COMMON_PATTERN: Final = 500
_GOLD: Final = 9000
_SILVER: Final = 7500
_BRONZE: Final = 6000
_SUCCESS: Final = 8000
_PRECEDENTS_OVER: Final = 2
_USERS_OVER: Final = 3
_COMMON_DELTA: Final = 10


@dataclass(frozen=True, slots=True)
class Expected:
    """What a receipt must say.

    Attributes:
        category: the event's category.
        score: from "0.0000" to "1.0000".
        tier: gold, silver, bronze or reject.
        rejected: whether the status is REJECTED: below bronze, or an output that breaks the category's schema.
        invalid: whether the status is INVALID; the other fields are then empty.
        outcome: success, failure, corrected or uncertain.
    """

    category: str
    score: str
    tier: str
    rejected: bool
    invalid: bool
    outcome: str


_INVALID: Final = Expected(category="", score="", tier="", rejected=False, invalid=True, outcome="")


def expected(event: Mapping[str, Any]) -> Expected:
    """Score an event as the contract's table does.

    Args:
        event: an event as bots publish it: `eventName`, `metadata`, `payload`, `evidence`.

    Returns:
        What its receipt must say, whatever else the store holds.
    """
    name: str = event["eventName"]
    payload: Mapping[str, Any] = event["payload"]
    evidence: Mapping[str, Any] = event.get("evidence") or {}
    custom = name == "custom.example"
    category = payload["category"] if custom else _CATEGORIES[name]
    correction = name == "ai.correction"

    stated = evidence.get("confidence")
    confidence = _own_confidence(name, payload) if stated is None else float(stated)
    if not 0 <= confidence <= 1:
        return _INVALID
    c4 = _c4(confidence)

    outcome = _outcome(name, payload, evidence, c4)
    social = name == "scam.detected" and payload["analysis"].get("scamType") == "social_engineering"
    common = name == "trust_score.changed" and abs(payload["delta"]) <= _COMMON_DELTA
    detailed = _longest_reasoning(name, payload, evidence) >= _DETAILED_FROM.get(category, 50)
    rows: list[tuple[Any, int]] = [
        (correction or detailed, _DETAILED_REASONING),
        (outcome != "uncertain", _CLEAR_OUTCOME),
        (correction or evidence.get("humanValidated"), _HUMAN_VALIDATION),
        (name.startswith("rag.") or evidence.get("ragEnhanced"), _RAG_ENHANCEMENT),
        (_precedents(name, payload, evidence) > _PRECEDENTS_OVER, _MULTIPLE_PRECEDENTS),
        (evidence.get("context") or _is_contextual(name, payload), _CONTEXTUAL_DATA),
        (correction or social or evidence.get("edgeCase"), _EDGE_CASE),
        (common or evidence.get("commonPattern"), _COMMON_PATTERN),
    ]

    points = (c4 * 35 + 50) // 100 + sum(points for present, points in rows if present)
    points = min(points, 10_000)
    if name in {"ai.correction", "rag.context_enhanced"}:
        points = max(points, _GOLD)
    tier = _tier(points)
    broken = custom and not _keeps_schema(category, payload["output"])
    return Expected(
        category=category,
        score=str((Decimal(points) / 10_000).quantize(Decimal("0.0001"))),
        tier=tier,
        rejected=tier == "reject" or broken,
        invalid=False,
        outcome=outcome,
    )


# Where a payload says how confident it is.
_CONFIDENCES: Final[Mapping[str, tuple[str, ...]]] = {
    "violation.detected": ("confidence",),
    "scam.detected": ("analysis", "confidence"),
    "intent.analyzed": ("deepIntent", "confidence"),
    "policy.evaluated": ("evaluation", "confidence"),
    "language.detected": ("confidence",),
    "network.raid_detected": ("confidence",),
    "network.bot_pattern": ("confidence",),
    "rag.context_enhanced": ("enhancedConfidence",),
    "rag.suspicious_similarity": ("avgSimilarity",),
    "custom.example": ("confidence",),
}


def _own_confidence(name: str, payload: Mapping[str, Any]) -> float:
    """The confidence row of the table."""
    if name in _CONFIDENCES:
        found: Any = payload
        for key in _CONFIDENCES[name]:
            found = found.get(key) or 0
        return float(found)
    match name:
        case "sentiment.analyzed":
            return _sentiment(payload["sentiment"], float(payload.get("score") or 0))
        case "tool.executed":
            return float(bool(payload["success"]))
        case "workflow.parsed":
            return float(_is_parsed(payload))
        case "trust_score.changed" | "moderation.action_executed" | "user.profile_updated" | "ai.correction":
            return 1.0
        case _:
            raise ValueError(name)


def _precedents(name: str, payload: Mapping[str, Any], evidence: Mapping[str, Any]) -> int:
    stated: int | None = evidence.get("precedents")
    if stated is not None:
        return stated
    key = {"rag.context_enhanced": "precedents", "rag.suspicious_similarity": "similarViolations"}.get(name)
    return int(payload.get(key) or 0) if key else 0


def _sentiment(sentiment: str, score: float) -> float:
    if sentiment == "neutral":
        return 1.0 - abs(score)
    agrees = (sentiment == "positive" and score > 0) or (sentiment == "negative" and score < 0)
    return abs(score) if agrees else 0.0


def _is_parsed(payload: Mapping[str, Any]) -> bool:
    return bool((payload.get("parsed") or {}).get("steps"))


def _c4(confidence: float) -> int:
    """The shortest decimal form (which is what repr gives), rounded half up to four places, in 1/10,000."""
    rounded = Decimal(repr(confidence)).quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP)
    return int(rounded * 10_000)


def _outcome(name: str, payload: Mapping[str, Any], evidence: Mapping[str, Any], c4: int) -> str:
    """The first that applies."""
    stated: str | None = evidence.get("outcome")
    if stated:
        return stated
    own: str | None = payload.get("outcome") if name == "custom.example" else None
    if own:
        return own
    tool_failed = name == "tool.executed" and not payload["success"]
    nothing_parsed = name == "workflow.parsed" and not _is_parsed(payload)
    if tool_failed or nothing_parsed:
        return "failure"
    if name == "ai.correction":
        return "corrected"
    return "success" if c4 >= _SUCCESS else "uncertain"


def _longest_reasoning(name: str, payload: Mapping[str, Any], evidence: Mapping[str, Any]) -> int:
    """Code points of the payload's own reasoning, or of evidence's where that is longer."""
    own: Any
    match name:
        case "violation.detected":
            own = payload.get("reasoning")
        case "scam.detected":
            own = payload["analysis"].get("reasoning")
        case "intent.analyzed":
            own = payload["deepIntent"].get("reasoning")
        case "policy.evaluated":
            own = payload["evaluation"].get("reasoning")
        case "trust_score.changed" | "moderation.action_executed":
            own = payload.get("reason")
        case "rag.context_enhanced":
            own = payload.get("enhancedReasoning")
        case _:
            own = None
    return max(len(own or ""), len(evidence.get("reasoning") or ""))


def _is_contextual(name: str, payload: Mapping[str, Any]) -> bool:
    match name:
        case "intent.analyzed":
            return payload.get("conversationalContext") is not None
        case "network.raid_detected" | "network.bot_pattern":
            return len(payload.get("users") or ()) > _USERS_OVER
        case "tool.executed" | "trust_score.changed" | "user.profile_updated" | "rag.context_enhanced":
            return True
        case _:
            return False


def _tier(points: int) -> str:
    if points >= _GOLD:
        return "gold"
    if points >= _SILVER:
        return "silver"
    return "bronze" if points >= _BRONZE else "reject"


def _keeps_schema(category: str, output: str) -> bool:
    """Whether a custom example's output is JSON with the category's label, or a bare label."""
    key = LABELS[category]
    try:
        parsed = json.loads(output)
    except json.JSONDecodeError:
        # One bare word is a label, unless the category's label is a yes, a no or a list.
        bare = bool(output.strip()) and not any(character.isspace() or character in '{}[]"' for character in output)
        return bare and category not in _YES_NO and category != "workflow_parsing"
    label = parsed.get(key) if isinstance(parsed, dict) else parsed
    if category in _YES_NO:
        return isinstance(label, bool)
    if category == "workflow_parsing":
        return isinstance(label, list) and all(isinstance(step, str) and step for step in label)
    return isinstance(label, str) and bool(label.strip())
