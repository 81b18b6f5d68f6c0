//! Sentiment analysis: the mood of a message.

use super::{
    Decision, RawLine, Signals,
    task::{Property, PropertyKind, REASONING, Task},
};
use crate::proto::SentimentAnalyzed;

pub(super) const TASK: Task = Task {
    instruction: "Decide the sentiment of a Discord message.",
    subject: "Message",
    output: &[
        Property::new(
            "sentiment",
            PropertyKind::OneOf(&["positive", "neutral", "negative"]),
            "the sentiment",
        ),
        Property::new(
            "score",
            PropertyKind::Number { low: -1.0, high: 1.0 },
            "from -1, negative, to 1, positive",
        ),
        Property::new("emotion", PropertyKind::Text, "such as joy or anger"),
        REASONING,
    ],
};

pub(super) fn core(payload: &SentimentAnalyzed) -> Vec<RawLine<'_>> {
    vec![RawLine::text(TASK.subject, &payload.message)]
}

/// How far the score bears the sentiment out; a sentiment of the other sign has no confidence at all.
fn confidence(payload: &SentimentAnalyzed) -> f64 {
    match payload.sentiment.as_str() {
        "positive" if payload.score > 0.0 => payload.score,
        "negative" if payload.score < 0.0 => -payload.score,
        "neutral" => 1.0 - payload.score.abs(),
        _ => 0.0,
    }
}

pub(super) fn decision(payload: &SentimentAnalyzed) -> Decision<'_> {
    Decision {
        output: vec![
            RawLine::text("sentiment", &payload.sentiment),
            RawLine::number("score", payload.score),
            RawLine::text("emotion", &payload.emotion),
        ],
        explanation: "",
        signals: Signals { confidence: confidence(payload), ..Signals::default() },
    }
}
