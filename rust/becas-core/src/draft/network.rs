//! Network analysis: which pattern a group of accounts shows.

use super::{
    Contextual, Decision, RawLine, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::NetworkPattern;

pub(super) const TASK: Task = Task {
    instruction: "Decide which pattern a group of Discord accounts shows.",
    subject: "Signs",
    output: &[
        Property::new("pattern", PropertyKind::Text, "a short name such as link_spam or join_wave"),
        REASONING,
    ],
};

/// The accounts themselves are ids; how many there are is what the pattern depends on.
pub(super) fn core(payload: &NetworkPattern) -> Vec<RawLine<'_>> {
    let accounts = i64::try_from(payload.users.len()).unwrap_or(i64::MAX);
    vec![RawLine::integer("Accounts", accounts), RawLine::texts(TASK.subject, &payload.indicators)]
}

pub(super) fn decision(payload: &NetworkPattern) -> Decision<'_> {
    Decision {
        output: vec![RawLine::text("pattern", &payload.pattern)],
        explanation: "",
        signals: Signals {
            confidence: payload.confidence,
            contextual: Contextual::Users(payload.users.len()),
            ..Signals::default()
        },
    }
}
