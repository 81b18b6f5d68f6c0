//! The stages' results as one record for the store; from here on no raw text and no raw id is left.

use super::seal::{Sealed, SealedCorrection};
use crate::{
    dedupe,
    draft::{self, Draft, Line, Value},
    example::{CorrectionOf, Example, InputDigest, Prepared, Verdict},
    pseudonym::{IdKind, Key, Pseudonym},
    redact::Redacted,
    score::{Quality, Reason},
};

/// Why a draft cannot become an example. An output that breaks the category's schema is scored all the same.
pub(super) fn reasons(draft: &Draft<'_>, quality: &Quality) -> Vec<&'static str> {
    let broken = draft.output.is_empty().then_some(Reason::OutputSchema);
    quality.reasons.iter().copied().chain(broken).map(Reason::name).collect()
}

/// The record of an event.
pub(super) fn prepared(
    key: &Key,
    draft: &Draft<'_>,
    quality: &Quality,
    sealed: Sealed,
    digest: InputDigest,
    labeller: bool,
) -> Prepared {
    let event = key.pseudonym(IdKind::Event, draft.ids.event);
    let user = named(key, IdKind::User, draft.ids.user);
    let guild = named(key, IdKind::Guild, draft.ids.guild);
    let people = people(key, draft, &sealed.named);
    let label = sealed
        .output
        .first()
        .map(|label| Redacted::trusted(draft::label_text(&label.value)))
        .unwrap_or_default();
    let correction = sealed.correction.filter(|_| !draft.ids.causation.is_empty()).map(|said| {
        let original = key.pseudonym(IdKind::Event, draft.ids.causation);
        let people = people.clone();
        Box::new(correction_of(key, original, said, draft, quality, guild, people, labeller))
    });
    let reasons = reasons(draft, quality);
    let verdict = if reasons.is_empty() {
        Verdict::Example(Box::new(Example {
            category: draft.category,
            kind: draft.kind,
            input: draft::prompt(draft.category, &sealed.core, &sealed.context).input,
            output: draft::output(&sealed.output),
            label: label.clone(),
            score: quality.score,
            tier: quality.tier,
            outcome: quality.outcome,
            time_ms: draft.time_ms,
            event,
            user,
            guild,
            people,
            digest,
            human_validated: quality.human_validated,
            rag_enhanced: quality.rag_enhanced,
            superseded: false,
            corrected_twin: false,
        }))
    } else {
        Verdict::Rejected(reasons)
    };
    Prepared {
        event,
        guild,
        user,
        time_ms: draft.time_ms,
        kind: draft.kind,
        category: draft.category,
        score: quality.score,
        tier: quality.tier,
        label,
        verdict,
        correction,
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one record")]
fn correction_of(
    key: &Key,
    original: Pseudonym,
    said: SealedCorrection,
    draft: &Draft<'_>,
    quality: &Quality,
    guild: Option<Pseudonym>,
    people: Vec<Pseudonym>,
    verified: bool,
) -> CorrectionOf {
    let message = Line { key: "", value: Value::Text(said.message.clone()) };
    CorrectionOf {
        original,
        corrected_label: said.corrected_label,
        mistake: said.mistake,
        moderator_action: said.moderator_action,
        lesson: said.lesson,
        message: said.message,
        message_digest: dedupe::core_digest(key, &[message]),
        score: quality.score,
        tier: quality.tier,
        time_ms: draft.time_ms,
        guild,
        people,
        verified,
    }
}

fn named(key: &Key, kind: IdKind, raw: &str) -> Option<Pseudonym> {
    if raw.is_empty() { None } else { Some(key.pseudonym(kind, raw)) }
}

/// Everyone the event is about, those that its texts name among them; sorted, distinct.
fn people(key: &Key, draft: &Draft<'_>, named: &[String]) -> Vec<Pseudonym> {
    let named = named.iter().map(String::as_str).filter(|number| !draft.ids.is_other(number));
    let mut raw: Vec<&str> = draft.ids.people.iter().copied().chain(named).collect();
    raw.sort_unstable();
    raw.dedup();
    let mut people: Vec<Pseudonym> =
        raw.into_iter().map(|id| key.pseudonym(IdKind::User, id)).collect();
    people.sort_unstable();
    people
}
