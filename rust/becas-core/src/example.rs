//! A stored example, and what the pipeline hands to the store.

use crate::{
    category::{Category, EventKind, Outcome},
    pseudonym::Pseudonym,
    redact::Redacted,
    score::{Score, Tier},
};

/// Digest of a category and its redacted, normalised input without context: equal inputs, equal digests.
pub type InputDigest = [u8; 16];

/// A redacted, scored draft. `system` is not stored: it is a function of the category.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a record")]
pub struct Example {
    /// What it teaches.
    pub category: Category,
    /// The event it came from.
    pub kind: EventKind,
    /// The message and its context.
    pub input: Redacted,
    /// Compact JSON object, the label first.
    pub output: Redacted,
    /// The label in its text form.
    pub label: Redacted,
    /// Its score.
    pub score: Score,
    /// The tier of its score.
    pub tier: Tier,
    /// How the decision turned out.
    pub outcome: Outcome,
    /// When it happened, milliseconds since the epoch.
    pub time_ms: i64,
    /// The event's id.
    pub event: Pseudonym,
    /// The author.
    pub user: Option<Pseudonym>,
    /// The guild.
    pub guild: Option<Pseudonym>,
    /// Everyone it is about: author, target, mentioned, listed; sorted, distinct.
    pub people: Vec<Pseudonym>,
    /// Equal for the same input.
    pub digest: InputDigest,
    /// A person confirmed or made the label.
    pub human_validated: bool,
    /// Retrieved precedents took part.
    pub rag_enhanced: bool,
    /// A later correction replaced it.
    pub superseded: bool,
    /// Made from a correction of another event.
    pub corrected_twin: bool,
}

/// What an ai.correction says of the event that it names; kept until that event is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrectionOf {
    /// The event (or request) that it corrects.
    pub original: Pseudonym,
    /// The right label in the original category's vocabulary, where the moderator gave one.
    pub corrected_label: Option<Redacted>,
    /// `false_positive`, `false_negative`, ….
    pub mistake: Redacted,
    /// `moderatorAction.type`, where given.
    pub moderator_action: Option<Redacted>,
    /// The twin's reasoning.
    pub lesson: Redacted,
    /// `aiDecision.context`: the message, for originals that are not stored.
    pub message: Redacted,
    /// `dedupe::core_digest` of the message, from which the digest under any category follows.
    pub message_digest: InputDigest,
    /// Score and tier of the correction itself; its twin has the same.
    pub score: Score,
    /// The tier of the score.
    pub tier: Tier,
    /// When the correction happened, milliseconds since the epoch.
    pub time_ms: i64,
    /// The guild it was made in; it corrects only events of this guild.
    pub guild: Option<Pseudonym>,
    /// Everyone the correction is about.
    pub people: Vec<Pseudonym>,
    /// Whether a labeller made it; else it supersedes nothing and makes no twin.
    pub verified: bool,
}

/// What the pipeline decided about an event before the store was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The event's id.
    pub event: Pseudonym,
    /// The guild, for consent.
    pub guild: Option<Pseudonym>,
    /// The author, kept with the id for twins of events that are not stored.
    pub user: Option<Pseudonym>,
    /// When it happened, milliseconds since the epoch.
    pub time_ms: i64,
    /// What it is.
    pub kind: EventKind,
    /// Its category.
    pub category: Category,
    /// Its score.
    pub score: Score,
    /// Its tier.
    pub tier: Tier,
    /// The label, kept with the id for twins of events that are not stored (yes/no labels).
    pub label: Redacted,
    /// An example, or the reasons why it is none.
    pub verdict: Verdict,
    /// What it corrects, for ai.correction with a causation id.
    pub correction: Option<Box<CorrectionOf>>,
}

/// Whether an event can become an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can.
    Example(Box<Example>),
    /// It cannot: UPPER_SNAKE reasons, counted.
    Rejected(Vec<&'static str>),
}
