"""The peer's scores: the factor table in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from becas.ft.v1 import example_pb2

if TYPE_CHECKING:
    from becas.ft.v1 import event_pb2
    from peers.drafts import Draft

SUCCESS, UNCERTAIN = example_pb2.OUTCOME_SUCCESS, example_pb2.OUTCOME_UNCERTAIN
FAILURE, CORRECTED = example_pb2.OUTCOME_FAILURE, example_pb2.OUTCOME_CORRECTED
_DETAILED_FROM = {"moderation_decision": 20, "policy_interpretation": 30}
GOLD, SILVER, BRONZE = 9000, 7500, 6000


def score(draft: Draft, evidence: event_pb2.Evidence) -> tuple[int, int, int]:
    """Points in 1/10,000, the tier's number, the outcome's number."""
    confidence = evidence.confidence if evidence.HasField("confidence") else draft.confidence
    c4 = int(confidence * 10_000 + 0.5)
    outcome = _outcome(draft, evidence, c4)
    precedents = evidence.precedents if evidence.HasField("precedents") else draft.precedents
    points = (c4 * 35 + 50) // 100
    if max(draft.reasoning, len(evidence.reasoning)) >= _DETAILED_FROM.get(draft.category, 50):
        points += 1500
    if outcome != UNCERTAIN:
        points += 1500
    if draft.human or evidence.human_validated:
        points += 2000
    if draft.rag or evidence.rag_enhanced:
        points += 1000
    if precedents > 2:  # noqa: PLR2004 - the factor table's
        points += 500
    if draft.contextual or evidence.context:
        points += 1000
    if draft.edge_case or evidence.edge_case:
        points += 1000
    if draft.common or evidence.common_pattern:
        points += 500
    points = min(points, 10_000)
    if draft.raised:
        points = max(points, GOLD)
    return points, _tier(points), outcome


def _outcome(draft: Draft, evidence: event_pb2.Evidence, c4: int) -> int:
    if evidence.HasField("outcome"):
        return evidence.outcome
    if draft.outcome:
        return draft.outcome
    if draft.failed:
        return FAILURE
    if draft.corrected:
        return CORRECTED
    return SUCCESS if c4 >= 8000 else UNCERTAIN  # noqa: PLR2004 - the factor table's


def _tier(points: int) -> int:
    if points >= GOLD:
        return example_pb2.TIER_GOLD
    if points >= SILVER:
        return example_pb2.TIER_SILVER
    return example_pb2.TIER_BRONZE if points >= BRONZE else example_pb2.TIER_REJECT
