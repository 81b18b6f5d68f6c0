//! The gold twin: what a correction teaches in the place of the event that it supersedes.

use crate::{
    category::{Category, EventKind, Outcome},
    dedupe,
    draft::{self, Line, Value},
    example::{CorrectionOf, Example},
    pseudonym::Pseudonym,
    redact::Redacted,
};

/// What is remembered of an event, whether or not it is stored as an example.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// Its id.
    pub event: Pseudonym,
    /// What it was.
    pub kind: EventKind,
    /// Its category.
    pub category: Category,
    /// Its author.
    pub user: Option<Pseudonym>,
    /// Its guild.
    pub guild: Option<Pseudonym>,
    /// When it happened, milliseconds since the epoch.
    pub time_ms: i64,
    /// Its label.
    pub label: &'a str,
    /// The example, where it is stored.
    pub stored: Option<&'a Example>,
}

/// The twin, or `None` where no rule gives a label.
///
/// Its input is the stored example's, else made of the correction's message by the one prompt function; score and tier
/// are the correction's, author and guild the original's, and it is about everyone that either is about. Its time is the
/// correction's, since nobody knew its label before.
pub fn twin(original: &Original<'_>, correction: &CorrectionOf) -> Option<Example> {
    let category = original.category;
    let label = label(original, correction)?;
    let mut output = vec![label];
    if !correction.lesson.as_str().trim().is_empty() {
        output.push(Line { key: "reasoning", value: Value::Text(correction.lesson.clone()) });
    }
    let (input, digest) = original.stored.map_or_else(
        || {
            let prompt = draft::message_prompt(category, correction.message.clone());
            (prompt.input, dedupe::in_category(correction.message_digest, category))
        },
        |stored| (stored.input.clone(), stored.digest),
    );
    Some(Example {
        category,
        kind: original.kind,
        input,
        label: Redacted::trusted(draft::label_text(&output[0].value)),
        output: draft::output(&output),
        score: correction.score,
        tier: correction.tier,
        outcome: Outcome::Corrected,
        time_ms: correction.time_ms,
        event: twin_id(original.event),
        user: original.user,
        guild: original.guild,
        people: people(original, correction),
        digest,
        human_validated: true,
        rag_enhanced: original.stored.is_some_and(|stored| stored.rag_enhanced),
        superseded: false,
        corrected_twin: true,
    })
}

/// The id of an event's twin: a hash of the event's pseudonym, so that it is the same whenever the twin is made, and no
/// event's own.
pub fn twin_id(original: Pseudonym) -> Pseudonym {
    let mut id = Pseudonym([0; 16]);
    blake3::Hasher::new_derive_key("becas-ft 2026 id of a corrected twin")
        .update(&original.0)
        .finalize_xof()
        .fill(&mut id.0);
    id
}

/// The right label, by the first rule that applies. A label that the category does not have is none.
fn label(original: &Original<'_>, correction: &CorrectionOf) -> Option<Line<Redacted>> {
    let stated = correction.corrected_label.as_ref().map(Redacted::as_str);
    let text = stated
        .filter(|label| !label.trim().is_empty())
        .or_else(|| derived(original, correction))?;
    // Made of redacted text and constants.
    Some(
        draft::label_from_text(original.category, text)?.map(|raw| Redacted::trusted(raw.expose())),
    )
}

fn derived<'a>(original: &Original<'_>, correction: &'a CorrectionOf) -> Option<&'a str> {
    match original.category {
        Category::ScamDetection | Category::PolicyInterpretation => match original.label {
            "true" => Some("false"),
            "false" => Some("true"),
            _ => None,
        },
        Category::ViolationDetection => {
            (correction.mistake.as_str().trim().eq_ignore_ascii_case("false_positive"))
                .then_some("none")
        }
        Category::ModerationDecision => correction.moderator_action.as_ref().map(Redacted::as_str),
        Category::IntentClassification
        | Category::ToolSelection
        | Category::TrustPrediction
        | Category::SentimentAnalysis
        | Category::LanguageDetection
        | Category::NetworkAnalysis
        | Category::UserProfiling
        | Category::WorkflowParsing
        | Category::HumanCorrection
        | Category::RagContextEnhancement => None,
    }
}

fn people(original: &Original<'_>, correction: &CorrectionOf) -> Vec<Pseudonym> {
    let mut people = correction.people.clone();
    people.extend(original.user);
    people.extend(original.stored.into_iter().flat_map(|stored| &stored.people));
    people.sort_unstable();
    people.dedup();
    people
}
