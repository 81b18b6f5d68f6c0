//! Why an event is scored but no example: the closed vocabulary of REJECTED receipts.

/// A reason of a REJECTED receipt, counted in statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The score is below the lowest tier; the factors that lacked follow.
    ScoreBelowBronze,
    /// The confidence is below the one that makes a success.
    LowConfidence,
    /// No reasoning long enough to be detailed.
    ShortReasoning,
    /// Nobody knows how the decision turned out.
    UncertainOutcome,
    /// The output breaks the category's schema.
    OutputSchema,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::ScoreBelowBronze,
        Self::LowConfidence,
        Self::ShortReasoning,
        Self::UncertainOutcome,
        Self::OutputSchema,
    ];

    /// The name in receipts and statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScoreBelowBronze => "SCORE_BELOW_BRONZE",
            Self::LowConfidence => "LOW_CONFIDENCE",
            Self::ShortReasoning => "SHORT_REASONING",
            Self::UncertainOutcome => "UNCERTAIN_OUTCOME",
            Self::OutputSchema => "OUTPUT_SCHEMA",
        }
    }
}
