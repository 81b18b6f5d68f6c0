//! What a payload says about its own quality, before evidence and weights.

use crate::category::Outcome;

/// The payload's part of the factor table.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a row of the factor table")]
pub struct Signals {
    /// 0 to 1.
    pub confidence: f64,
    /// The reasoning that may count as detailed.
    pub reasoning: Reasoning,
    /// Whether it brings contextual data.
    pub contextual: Contextual,
    /// How many precedents it names.
    pub precedents: i64,
    /// A person made the label.
    pub human_validated: bool,
    /// Retrieved precedents took part.
    pub rag_enhanced: bool,
    /// The case is rare and instructive.
    pub edge_case: bool,
    /// By how much trust changed.
    pub trust_delta: Option<f64>,
    /// The outcome that it states itself.
    pub outcome: Option<Outcome>,
    /// A tool failed, or nothing was parsed.
    pub failed: bool,
    /// It is a correction.
    pub corrected: bool,
    /// Its score is raised to the gold threshold.
    pub raised: bool,
}

/// How detailed the payload's own reasoning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reasoning {
    /// It has so many code points, untrimmed, before redaction.
    Length(usize),
    /// It counts as detailed whatever it says.
    Always,
}

/// Whether a payload brings contextual data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contextual {
    /// It does not.
    Never,
    /// It does.
    Always,
    /// It does where it names more users than the configured number.
    Users(usize),
}

impl Reasoning {
    pub(super) fn of(text: &str) -> Self {
        Self::Length(text.chars().count())
    }
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            confidence: 0.0,
            reasoning: Reasoning::Length(0),
            contextual: Contextual::Never,
            precedents: 0,
            human_validated: false,
            rag_enhanced: false,
            edge_case: false,
            trust_delta: None,
            outcome: None,
            failed: false,
            corrected: false,
            raised: false,
        }
    }
}
