//! Policy interpretation: does a message break a policy given in words.

use super::{
    Decision, RawLine, Reasoning, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::{PolicyEvaluated, PolicyEvaluation};

pub(super) const TASK: Task = Task {
    instruction: "Decide whether a Discord message violates the given policy.",
    subject: "Message",
    output: &[
        Property::new("violates", PropertyKind::Flag, "whether it violates the policy"),
        REASONING,
    ],
};

/// The threshold is left out: it says when the bot acts, not what the policy means.
pub(super) fn core(payload: &PolicyEvaluated) -> Vec<RawLine<'_>> {
    let policy = payload.policy.iter().map(|policy| RawLine::text("Policy", &policy.description));
    policy.chain([RawLine::text(TASK.subject, &payload.message)]).collect()
}

pub(super) fn decision(evaluation: &PolicyEvaluation) -> Decision<'_> {
    Decision {
        output: vec![RawLine::flag("violates", evaluation.violates)],
        explanation: &evaluation.reasoning,
        signals: Signals {
            confidence: evaluation.confidence,
            reasoning: Reasoning::of(&evaluation.reasoning),
            ..Signals::default()
        },
    }
}
