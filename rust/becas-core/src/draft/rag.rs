//! RAG context enhancement: what retrieved precedents say about a case.

use super::{
    Contextual, Decision, Line, Raw, RawLine, Reasoning, Signals, Value,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::{RagContextEnhanced, RagSuspiciousSimilarity};

pub(super) const TASK: Task = Task {
    instruction: "Assess what retrieved precedents say about a moderation case.",
    subject: "Case",
    output: &[
        Property::new(
            "assessment",
            PropertyKind::OneOf(&["strengthened", "weakened", "unchanged", "suspicious"]),
            "what they do to the decision, or suspicious where the case resembles violations",
        ),
        REASONING,
    ],
};

/// The confidence afterwards is the answer; its reasoning names it too.
pub(super) fn enhanced_core(payload: &RagContextEnhanced) -> Vec<RawLine<'_>> {
    vec![
        RawLine::number("Original confidence", payload.original_confidence),
        RawLine::integer("Precedents", payload.precedents),
    ]
}

pub(super) fn enhanced_decision(payload: &RagContextEnhanced) -> Decision<'_> {
    let assessment = if payload.enhanced_confidence > payload.original_confidence {
        "strengthened"
    } else if payload.enhanced_confidence < payload.original_confidence {
        "weakened"
    } else {
        "unchanged"
    };
    Decision {
        output: vec![RawLine::text("assessment", assessment)],
        explanation: &payload.enhanced_reasoning,
        signals: Signals {
            confidence: payload.enhanced_confidence,
            reasoning: Reasoning::of(&payload.enhanced_reasoning),
            contextual: Contextual::Always,
            precedents: payload.precedents,
            rag_enhanced: true,
            raised: true,
            ..Signals::default()
        },
    }
}

pub(super) fn similarity_core(payload: &RagSuspiciousSimilarity) -> Vec<RawLine<'_>> {
    let types = payload.examples.iter().map(|example| Raw::from(&example.violation_type));
    vec![
        RawLine::integer("Similar violations", payload.similar_violations),
        RawLine::number("Average similarity", payload.avg_similarity),
        Line { key: "Violation types", value: Value::Texts(types.collect()) },
    ]
}

pub(super) fn similarity_decision(payload: &RagSuspiciousSimilarity) -> Decision<'_> {
    Decision {
        output: vec![RawLine::text("assessment", "suspicious")],
        explanation: "",
        signals: Signals {
            confidence: payload.avg_similarity,
            precedents: payload.similar_violations,
            rag_enhanced: true,
            ..Signals::default()
        },
    }
}
