//! Tool selection: which tool answers a request.

use super::{
    Contextual, Decision, RawLine, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::ToolExecuted;

pub(super) const TASK: Task = Task {
    instruction: "Choose the tool that answers a Discord member's request.",
    subject: "Request",
    output: &[
        Property::new("toolName", PropertyKind::Text, "the tool's name"),
        Property::new("toolCategory", PropertyKind::Text, "the group that the tool belongs to"),
        REASONING,
    ],
};

/// What the tool answered came after the choice, and may hold anything: it is never stored.
pub(super) fn core(payload: &ToolExecuted) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.input)]
}

pub(super) fn decision(payload: &ToolExecuted) -> Decision<'_> {
    Decision {
        output: vec![
            RawLine::text("toolName", &payload.tool_name),
            RawLine::text("toolCategory", &payload.tool_category),
        ],
        explanation: "",
        signals: Signals {
            confidence: f64::from(u8::from(payload.success)),
            contextual: Contextual::Always,
            failed: !payload.success,
            ..Signals::default()
        },
    }
}
