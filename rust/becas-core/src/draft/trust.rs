//! Trust prediction: how an occurrence changes the trust in a member.

use super::{
    Contextual, Decision, RawLine, Reasoning, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::TrustScoreChanged;

pub(super) const TASK: Task = Task {
    instruction: "Predict how an occurrence changes the trust (0 to 100) in a Discord member.",
    subject: "Occurrence",
    output: &[
        Property::new(
            "direction",
            PropertyKind::OneOf(&["up", "down", "unchanged"]),
            "where the trust goes",
        ),
        Property::new("delta", PropertyKind::Number { low: -100.0, high: 100.0 }, "by how much"),
        REASONING,
    ],
};

pub(super) fn core(payload: &TrustScoreChanged) -> Vec<RawLine<'_>> {
    vec![RawLine::number("Trust", payload.old_score), RawLine::text(TASK.subject, &payload.reason)]
}

/// The change; where a bot left it out, the difference of the scores that it sent.
fn delta(payload: &TrustScoreChanged) -> f64 {
    if payload.delta == 0.0 { payload.new_score - payload.old_score } else { payload.delta }
}

pub(super) fn decision(payload: &TrustScoreChanged) -> Decision<'_> {
    let delta = delta(payload);
    let direction = if delta > 0.0 {
        "up"
    } else if delta < 0.0 {
        "down"
    } else {
        "unchanged"
    };
    Decision {
        output: vec![RawLine::text("direction", direction), RawLine::number("delta", delta)],
        // The reason is what happened: it stands in the input.
        explanation: "",
        signals: Signals {
            confidence: 1.0,
            reasoning: Reasoning::of(&payload.reason),
            contextual: Contextual::Always,
            trust_delta: Some(delta),
            ..Signals::default()
        },
    }
}
