//! Violation detection: does a message break the rules, and which one.

use super::{
    Decision, RawLine, Reasoning, Signals,
    task::{Property, PropertyKind, REASONING, SEVERITY, Task},
};
use crate::proto::ViolationDetected;

pub(super) const TASK: Task = Task {
    instruction: "Decide whether a Discord message breaks the server's rules, and which one.",
    subject: "Message",
    output: &[
        Property::new(
            "violationType",
            PropertyKind::Text,
            "none, or a short name such as harassment or spam",
        ),
        SEVERITY,
        REASONING,
    ],
};

pub(super) fn core(payload: &ViolationDetected) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.evidence)]
}

pub(super) fn decision(payload: &ViolationDetected) -> Decision<'_> {
    Decision {
        output: vec![
            RawLine::text("violationType", &payload.violation_type),
            RawLine::text("severity", &payload.severity),
        ],
        explanation: &payload.reasoning,
        signals: Signals {
            confidence: payload.confidence,
            reasoning: Reasoning::of(&payload.reasoning),
            ..Signals::default()
        },
    }
}
