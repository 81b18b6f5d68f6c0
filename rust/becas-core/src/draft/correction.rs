//! Human correction: which kind of mistake a model made.

use super::{
    Decision, RawLine, Reasoning, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::Correction;

pub(super) const TASK: Task = Task {
    instruction: "Decide which kind of mistake a moderation model made in a case.",
    subject: "Message",
    output: &[
        Property::new(
            "category",
            PropertyKind::Text,
            "a short name such as false_positive or false_negative",
        ),
        Property::new("aiMistake", PropertyKind::Text, "the mistake, in words"),
        Property::new("moderatorAction", PropertyKind::Text, "what a moderator does instead"),
        Property::new("correctedLabel", PropertyKind::Text, "the right label, where it is known"),
        REASONING,
    ],
};

pub(super) fn core(payload: &Correction) -> Vec<RawLine<'_>> {
    payload
        .ai_decision
        .iter()
        .flat_map(|decision| {
            [
                RawLine::text(TASK.subject, &decision.context),
                RawLine::text("Decision", &decision.action),
                RawLine::text("Decision reason", &decision.reason),
            ]
        })
        .collect()
}

pub(super) fn decision(payload: &Correction) -> Decision<'_> {
    let action = payload.moderator_action.as_ref().map_or("", |action| action.r#type.as_str());
    Decision {
        output: vec![
            RawLine::text("category", &payload.category),
            RawLine::text("aiMistake", &payload.ai_mistake),
            RawLine::text("moderatorAction", action),
            RawLine::text("correctedLabel", payload.corrected_label()),
        ],
        explanation: &payload.lesson,
        signals: Signals {
            confidence: 1.0,
            reasoning: Reasoning::Always,
            human_validated: true,
            edge_case: true,
            corrected: true,
            raised: true,
            ..Signals::default()
        },
    }
}
