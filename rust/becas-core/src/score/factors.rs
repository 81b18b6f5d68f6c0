//! The factor table: what speaks for a decision, in points.

use super::{Reason, Score, Tier, ten_thousandths};
use crate::{
    category::{Category, Outcome},
    config::Scoring,
    draft::{Contextual, Draft, Reasoning, Signals},
    proto,
};

/// Raised whenever the same event would get another score under the default configuration.
pub const SCORER_VERSION: &str = "1";

/// How good a draft is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// The score.
    pub score: Score,
    /// Its tier.
    pub tier: Tier,
    /// How the decision turned out.
    pub outcome: Outcome,
    /// A person confirmed or made the label, and may say so.
    pub human_validated: bool,
    /// Retrieved precedents took part.
    pub rag_enhanced: bool,
    /// Why it is below the lowest tier; empty where it is not.
    pub reasons: Vec<Reason>,
}

/// Scores what a payload and its evidence say.
///
/// `labeller` is whether the sender may validate for people; always so without access control. Where it may not, a
/// claim of human validation (evidence's or an ai.correction) gives no points, no raise, and no gold: a score that
/// would reach it stops one point short, so that score and tier agree.
pub fn assess(draft: &Draft<'_>, scoring: &Scoring, labeller: bool) -> Quality {
    let none = proto::Evidence::default();
    let signals = &draft.signals;
    let evidence = draft.evidence.unwrap_or(&none);
    let confidence = ten_thousandths(evidence.confidence.unwrap_or(signals.confidence));
    let outcome = outcome(signals, evidence, confidence, scoring);
    let claimed = signals.human_validated || evidence.human_validated;
    let human_validated = claimed && labeller;
    let rag_enhanced = signals.rag_enhanced || evidence.rag_enhanced;
    let detailed = is_detailed(draft.category, signals.reasoning, scoring);
    let clear = outcome != Outcome::Uncertain;
    let points = confidence.saturating_mul(scoring.confidence_percent).saturating_add(50) / 100;
    let sum = [
        (detailed, scoring.detailed_reasoning),
        (clear, scoring.clear_outcome),
        (human_validated, scoring.human_validation),
        (rag_enhanced, scoring.rag_enhancement),
        (
            evidence.precedents.unwrap_or(signals.precedents) > scoring.precedents_over,
            scoring.multiple_precedents,
        ),
        (is_contextual(signals, evidence, scoring), scoring.contextual_data),
        (signals.edge_case || evidence.edge_case, scoring.edge_case),
        (is_common(signals, evidence, scoring), scoring.common_pattern),
    ]
    .into_iter()
    .filter(|(present, _)| *present)
    .fold(points, |sum, (_, points)| sum.saturating_add(points));
    let score = bounded(Score::from_points(sum), signals.raised, claimed, labeller, scoring);
    let tier = Tier::of(score, scoring);
    let mut reasons = Vec::new();
    if tier == Tier::Reject {
        let lacking = [
            (true, Reason::ScoreBelowBronze),
            (confidence < scoring.success_confidence, Reason::LowConfidence),
            (!detailed, Reason::ShortReasoning),
            (!clear, Reason::UncertainOutcome),
        ];
        reasons.extend(lacking.into_iter().filter(|(lacks, _)| *lacks).map(|(_, reason)| reason));
    }
    Quality { score, tier, outcome, human_validated, rag_enhanced, reasons }
}

/// The first that applies: stated by evidence, stated by the event, failed, corrected, confident, uncertain.
fn outcome(
    signals: &Signals,
    evidence: &proto::Evidence,
    confidence: u32,
    scoring: &Scoring,
) -> Outcome {
    let stated = evidence.outcome.and_then(Outcome::from_number).or(signals.outcome);
    stated.unwrap_or(if signals.failed {
        Outcome::Failure
    } else if signals.corrected {
        Outcome::Corrected
    } else if confidence >= scoring.success_confidence {
        Outcome::Success
    } else {
        Outcome::Uncertain
    })
}

fn is_detailed(category: Category, reasoning: Reasoning, scoring: &Scoring) -> bool {
    let limit = match category {
        Category::ModerationDecision => scoring.reasoning_length_moderation,
        Category::PolicyInterpretation => scoring.reasoning_length_policy,
        Category::ViolationDetection
        | Category::ScamDetection
        | Category::IntentClassification
        | Category::ToolSelection
        | Category::TrustPrediction
        | Category::SentimentAnalysis
        | Category::LanguageDetection
        | Category::NetworkAnalysis
        | Category::UserProfiling
        | Category::WorkflowParsing
        | Category::HumanCorrection
        | Category::RagContextEnhancement => scoring.reasoning_length,
    };
    match reasoning {
        Reasoning::Always => true,
        Reasoning::Length(length) => length >= limit as usize,
    }
}

fn is_contextual(signals: &Signals, evidence: &proto::Evidence, scoring: &Scoring) -> bool {
    let own = match signals.contextual {
        Contextual::Always => true,
        Contextual::Never => false,
        Contextual::Users(users) => users > scoring.network_users_over,
    };
    own || !evidence.context.is_empty()
}

fn is_common(signals: &Signals, evidence: &proto::Evidence, scoring: &Scoring) -> bool {
    let small = signals.trust_delta.is_some_and(|delta| delta.abs() <= scoring.common_trust_delta);
    evidence.common_pattern || small
}

fn bounded(score: Score, raised: bool, claimed: bool, labeller: bool, scoring: &Scoring) -> Score {
    let gold = Score::from_points(u32::from(scoring.gold));
    if claimed && !labeller {
        return score.min(Score::from_points(u32::from(scoring.gold.saturating_sub(1))));
    }
    if raised { score.max(gold) } else { score }
}
