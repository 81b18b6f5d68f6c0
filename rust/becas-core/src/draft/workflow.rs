//! Workflow parsing: which tools a request asks for, in order.

use super::{
    Decision, Line, Raw, RawLine, Signals, Value,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::WorkflowParsed;

pub(super) const TASK: Task = Task {
    instruction: "Split a Discord member's request into the tools that do it, in order.",
    subject: "Request",
    output: &[
        Property::new("steps", PropertyKind::Texts, "the names of the tools, in order"),
        REASONING,
    ],
};

pub(super) fn core(payload: &WorkflowParsed) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.workflow_text)]
}

pub(super) fn decision(payload: &WorkflowParsed) -> Decision<'_> {
    let planned = payload.parsed.as_ref().map_or(&[][..], |parsed| &parsed.steps);
    let steps: Vec<Raw<'_>> = if payload.steps.is_empty() {
        planned.iter().map(|step| Raw::from(&step.tool)).collect()
    } else {
        payload.steps.iter().map(Raw::from).collect()
    };
    let parsed = !planned.is_empty();
    Decision {
        output: vec![Line { key: "steps", value: Value::Texts(steps) }],
        explanation: "",
        signals: Signals {
            confidence: f64::from(u8::from(parsed)),
            failed: !parsed,
            ..Signals::default()
        },
    }
}
