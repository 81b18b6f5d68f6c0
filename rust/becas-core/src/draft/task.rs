//! What a category asks of a model: its instruction, and the shape of the answer.

use crate::category::Category;

/// A category's task.
#[derive(Debug)]
pub(crate) struct Task {
    /// What to decide, in a sentence.
    pub(crate) instruction: &'static str,
    /// The key of the text that is decided on; free text of a request takes its place.
    pub(crate) subject: &'static str,
    /// The answer, the label first.
    pub(crate) output: &'static [Property],
}

/// One key of an answer.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) kind: PropertyKind,
    /// What it says, in words for the instruction and the schema.
    pub(crate) meaning: &'static str,
}

/// What a key of an answer may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PropertyKind {
    Text,
    OneOf(&'static [&'static str]),
    Flag,
    Number { low: f64, high: f64 },
    Integer,
    Texts,
}

impl Property {
    pub(crate) const fn new(name: &'static str, kind: PropertyKind, meaning: &'static str) -> Self {
        Self { name, kind, meaning }
    }
}

/// Degrees that bots use for violations and scams alike.
pub(super) const SEVERITY: Property = Property::new(
    "severity",
    PropertyKind::OneOf(&["none", "low", "medium", "high", "critical"]),
    "how bad it is",
);

/// Every answer may end with it.
pub(super) const REASONING: Property =
    Property::new("reasoning", PropertyKind::Text, "why, in one sentence");

/// The task of a category.
pub(crate) const fn task(category: Category) -> &'static Task {
    match category {
        Category::ViolationDetection => &super::violation::TASK,
        Category::ScamDetection => &super::scam::TASK,
        Category::IntentClassification => &super::intent::TASK,
        Category::ToolSelection => &super::tool::TASK,
        Category::TrustPrediction => &super::trust::TASK,
        Category::ModerationDecision => &super::moderation::TASK,
        Category::PolicyInterpretation => &super::policy::TASK,
        Category::SentimentAnalysis => &super::sentiment::TASK,
        Category::LanguageDetection => &super::language::TASK,
        Category::NetworkAnalysis => &super::network::TASK,
        Category::UserProfiling => &super::profile::TASK,
        Category::WorkflowParsing => &super::workflow::TASK,
        Category::HumanCorrection => &super::correction::TASK,
        Category::RagContextEnhancement => &super::rag::TASK,
    }
}
