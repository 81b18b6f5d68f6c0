//! Moderation decision: which action a moderator takes.

use super::{
    Decision, RawLine, Reasoning, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::ModerationActionExecuted;

pub(super) const TASK: Task = Task {
    instruction: "Choose the moderation action for a case on a Discord server.",
    subject: "Case",
    output: &[
        Property::new(
            "actionType",
            PropertyKind::Text,
            "a short name such as warning, timeout, kick or ban",
        ),
        Property::new(
            "duration",
            PropertyKind::Integer,
            "how long in milliseconds, where it has an end",
        ),
        REASONING,
    ],
};

pub(super) fn core(payload: &ModerationActionExecuted) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.reason)]
}

pub(super) fn decision(payload: &ModerationActionExecuted) -> Decision<'_> {
    let duration = payload.duration.map(|duration| RawLine::integer("duration", duration));
    let mut output = vec![RawLine::text("actionType", &payload.action_type)];
    output.extend(duration);
    Decision {
        output,
        // The reason is the case: it stands in the input.
        explanation: "",
        signals: Signals {
            confidence: 1.0,
            reasoning: Reasoning::of(&payload.reason),
            ..Signals::default()
        },
    }
}
