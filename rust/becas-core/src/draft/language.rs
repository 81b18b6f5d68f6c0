//! Language detection: which language a text is in.

use super::{
    Decision, RawLine, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::LanguageDetected;

pub(super) const TASK: Task = Task {
    instruction: "Decide which language a text is in.",
    subject: "Text",
    output: &[
        Property::new("detectedLanguage", PropertyKind::Text, "an ISO 639 code such as en"),
        REASONING,
    ],
};

pub(super) fn core(payload: &LanguageDetected) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.text)]
}

pub(super) fn decision(payload: &LanguageDetected) -> Decision<'_> {
    Decision {
        output: vec![RawLine::text("detectedLanguage", &payload.detected_language)],
        explanation: "",
        signals: Signals { confidence: payload.confidence, ..Signals::default() },
    }
}
