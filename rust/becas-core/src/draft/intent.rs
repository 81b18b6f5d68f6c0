//! Intent classification: what a member wants.

use super::{
    Contextual, Decision, RawLine, Reasoning, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::{DeepIntent, IntentAnalyzed};

pub(super) const TASK: Task = Task {
    instruction: "Decide what the author of a Discord message wants.",
    subject: "Message",
    output: &[
        Property::new(
            "primaryIntent",
            PropertyKind::Text,
            "a short name such as weather or flight_status",
        ),
        Property::new("secondaryIntent", PropertyKind::Text, "a second intent, where there is one"),
        Property::new("emotionalState", PropertyKind::Text, "the mood, in a word"),
        Property::new("suggestedAction", PropertyKind::Text, "what the bot should do, or none"),
        REASONING,
    ],
};

pub(super) fn core(payload: &IntentAnalyzed) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.message)]
}

/// What was said before: known when the question is asked, but no part of the message.
pub(super) fn context(payload: &IntentAnalyzed) -> Vec<RawLine<'_>> {
    payload
        .conversational_context
        .iter()
        .map(|context| RawLine::integer("Recent messages", context.recent_messages))
        .collect()
}

pub(super) fn decision<'a>(payload: &'a IntentAnalyzed, deep: &'a DeepIntent) -> Decision<'a> {
    let contextual = payload.conversational_context.is_some();
    Decision {
        output: vec![
            RawLine::text("primaryIntent", &deep.primary_intent),
            RawLine::text("secondaryIntent", deep.secondary_intent()),
            RawLine::text("emotionalState", &deep.emotional_state),
            RawLine::text("suggestedAction", &deep.suggested_action),
        ],
        explanation: &deep.reasoning,
        signals: Signals {
            confidence: deep.confidence,
            reasoning: Reasoning::of(&deep.reasoning),
            contextual: if contextual { Contextual::Always } else { Contextual::Never },
            ..Signals::default()
        },
    }
}
