//! Scam detection: is a message a fraud.

use super::{
    Decision, RawLine, Reasoning, Signals,
    task::{Property, PropertyKind, REASONING, SEVERITY, Task},
};
use crate::proto::{ScamAnalysis, ScamDetected};

pub(super) const TASK: Task = Task {
    instruction: "Decide whether a Discord message is a scam.",
    subject: "Message",
    output: &[
        Property::new("isScam", PropertyKind::Flag, "whether it is a scam"),
        Property::new(
            "scamType",
            PropertyKind::Text,
            "none, or a short name such as phishing, prize or social_engineering",
        ),
        SEVERITY,
        REASONING,
    ],
};

pub(super) fn core(payload: &ScamDetected) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.text)]
}

pub(super) fn decision(analysis: &ScamAnalysis) -> Decision<'_> {
    Decision {
        output: vec![
            RawLine::flag("isScam", analysis.is_scam),
            RawLine::text("scamType", &analysis.scam_type),
            RawLine::text("severity", &analysis.severity),
        ],
        explanation: &analysis.reasoning,
        signals: Signals {
            confidence: analysis.confidence,
            reasoning: Reasoning::of(&analysis.reasoning),
            edge_case: analysis.scam_type == "social_engineering",
            ..Signals::default()
        },
    }
}
