//! A ready example: its own category, input and output.

use serde_json::Value as Json;

use super::{
    Decision, RawLine, Signals,
    schema::{self, Answer},
    task::task,
};
use crate::{
    category::{Category, Outcome},
    proto::CustomExample,
};

pub(super) fn core(payload: &CustomExample, category: Category) -> Vec<RawLine<'_>> {
    vec![RawLine::text(task(category).subject, &payload.input)]
}

/// The decision; its output is empty where it breaks the category's schema.
pub(super) fn decision(payload: &CustomExample, category: Category) -> Decision<'_> {
    Decision {
        output: answer(category, &payload.output).map(|answer| answer.0).unwrap_or_default(),
        explanation: "",
        signals: Signals {
            confidence: payload.confidence,
            outcome: Outcome::from_number(payload.outcome),
            ..Signals::default()
        },
    }
}

/// JSON of the category's schema, or a bare label: JSON of the label's type, or one word.
fn answer(category: Category, output: &str) -> Option<Answer> {
    let output = output.trim();
    match serde_json::from_str(output) {
        Ok(object @ Json::Object(_)) => schema::read(category, &object),
        Ok(label @ (Json::Bool(_) | Json::String(_) | Json::Array(_))) => {
            schema::label(category, &label)
        }
        Ok(Json::Null | Json::Number(_)) => None,
        Err(_) => is_word(output)
            .then(|| schema::label(category, &Json::String(output.to_owned())))
            .flatten(),
    }
}

/// No sentence, and no broken JSON.
fn is_word(text: &str) -> bool {
    !text.contains(|character: char| {
        character.is_whitespace() || character.is_control() || "{}[]\"".contains(character)
    })
}
