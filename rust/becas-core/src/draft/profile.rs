//! User profiling: how risky a member's profile is.

use super::{
    Contextual, Decision, RawLine, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::{Profile, UserProfileUpdated};

pub(super) const TASK: Task = Task {
    instruction: "Decide how risky a Discord member's profile is.",
    subject: "Updates",
    output: &[
        Property::new("riskLevel", PropertyKind::OneOf(&["low", "medium", "high"]), "the risk"),
        REASONING,
    ],
};

pub(super) fn core(payload: &UserProfileUpdated) -> Vec<RawLine<'_>> {
    let mut lines = Vec::new();
    if let Some(profile) = &payload.profile {
        lines.push(RawLine::text("Activity", &profile.activity_level));
        lines.push(RawLine::number("Trust", profile.trust_score));
        lines.push(RawLine::integer("Violations", profile.violations));
        lines.push(RawLine::text("Behavior", &profile.behavior_pattern));
    }
    lines.push(RawLine::texts(TASK.subject, &payload.updates));
    lines
}

pub(super) fn decision(profile: &Profile) -> Decision<'_> {
    Decision {
        output: vec![RawLine::text("riskLevel", &profile.risk_level)],
        explanation: "",
        signals: Signals { confidence: 1.0, contextual: Contextual::Always, ..Signals::default() },
    }
}
