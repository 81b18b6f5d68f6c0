//! The draft of an event: which file drafts which payload, and what evidence adds.

use super::{
    correction, custom, intent, language, moderation, network, people, policy, profile, rag, scam,
    schema, sentiment,
    signals::{Reasoning, Signals},
    task::{REASONING, task},
    tool, trust,
    value::{RawLine, Value},
    violation, workflow,
};
use crate::{
    category::{Category, EventKind},
    error::{Error, Result},
    event::{self, Code, Invalid},
    proto::{self, event::Payload},
};

/// What a model is asked, in raw text.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    /// The message and the fields that the label depends on.
    pub(crate) core: Vec<RawLine<'a>>,
    /// What surrounds the message.
    pub(crate) context: Vec<RawLine<'a>>,
}

/// What a payload decided, and what it says of its own quality.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// The output, the label first, without the reasoning; empty where there is none that keeps the schema.
    pub(crate) output: Vec<RawLine<'a>>,
    /// Why, for the output.
    pub(crate) explanation: &'a str,
    pub(crate) signals: Signals,
}

/// An event as a question and its answer, in raw text. Debug prints no text.
#[derive(Debug)]
pub struct Draft<'a> {
    /// What it teaches.
    pub category: Category,
    /// The event it came from.
    pub kind: EventKind,
    /// What a model is asked.
    pub(crate) question: Question<'a>,
    /// What it should answer, the label first; empty where the answer breaks the category's schema.
    pub(crate) output: Vec<RawLine<'a>>,
    /// What speaks for the answer.
    pub signals: Signals,
    /// What the event says beyond its payload.
    pub evidence: Option<&'a proto::Evidence>,
    /// Every id in it.
    pub(crate) ids: people::RawIds<'a>,
    /// When it happened, milliseconds since the epoch.
    pub time_ms: i64,
    /// What it says of another event, where it is a correction.
    pub(crate) correction: Option<&'a proto::Correction>,
}

impl<'a> Draft<'a> {
    /// The draft of a valid event; `now_ms` is its time where it states none.
    pub fn new(
        event: &'a proto::Event,
        payload: &'a Payload,
        now_ms: i64,
    ) -> std::result::Result<Self, Invalid> {
        let category = event::category(payload).ok_or_else(undecided)?;
        let evidence = event.evidence.as_ref();
        let Decision { output, explanation, mut signals } =
            decision(payload, category).ok_or_else(undecided)?;
        let reviewed = evidence.map_or("", |evidence| evidence.reasoning.as_str());
        signals.reasoning = longer(signals.reasoning, Reasoning::of(reviewed));
        let explained = if reviewed.chars().count() > explanation.chars().count() {
            reviewed
        } else {
            explanation
        };
        Ok(Self {
            category,
            kind: event::kind(payload),
            question: Question::new(
                payload,
                category,
                evidence.map_or("", |evidence| &evidence.context),
            ),
            output: answer(category, output, explained),
            signals,
            evidence,
            ids: people::ids_of(event),
            time_ms: event.time.as_ref().map_or(Ok(now_ms), event::time_of)?,
            correction: if let Payload::AiCorrection(corrected) = payload {
                corrected.correction.as_ref()
            } else {
                None
            },
        })
    }
}

/// Validation refuses an event without its decision; a caller that skipped it gets the same answer.
fn undecided() -> Invalid {
    Invalid::new(Code::MissingField, "payload", "required: send the decision")
}

impl<'a> Question<'a> {
    /// What an event of a request asks; context that the request does not state may stand in its evidence.
    pub(crate) fn of_event(
        event: &'a proto::Event,
        category: Category,
        context: &'a str,
    ) -> Result<Self> {
        let unusable = |problem: &str| Error::InvalidArgument {
            field: "payload".to_owned(),
            problem: problem.to_owned(),
        };
        let payload = event.payload.as_ref().ok_or_else(|| unusable("set the event's payload"))?;
        if event::category(payload) != Some(category) {
            return Err(unusable("send an event of the request's category"));
        }
        let evidence = event.evidence.as_ref().map_or("", |evidence| evidence.context.as_str());
        Ok(Self::new(payload, category, if context.is_empty() { evidence } else { context }))
    }

    /// What a payload asks; its decision part may be absent.
    pub(crate) fn new(payload: &'a Payload, category: Category, surrounding: &'a str) -> Self {
        let mut context = Vec::new();
        if let Payload::IntentAnalyzed(intent) = payload {
            context.extend(intent::context(intent));
        }
        context.push(RawLine::text("Context", surrounding));
        Self { core: core(payload, category), context }
    }

    /// A message without a payload.
    pub(crate) fn free(category: Category, message: &'a str, surrounding: &'a str) -> Self {
        Self {
            core: vec![RawLine::text(task(category).subject, message)],
            context: vec![RawLine::text("Context", surrounding)],
        }
    }

    /// Whether there is no text to decide on.
    pub(crate) fn is_empty(&self) -> bool {
        self.core.iter().all(|line| match &line.value {
            Value::Text(text) => text.expose().trim().is_empty(),
            Value::Texts(texts) => texts.is_empty(),
            // The precedents of a case are numbers.
            Value::Number(_) | Value::Integer(_) | Value::Flag(_) => false,
        })
    }
}

fn core(payload: &Payload, category: Category) -> Vec<RawLine<'_>> {
    match payload {
        Payload::ViolationDetected(payload) => violation::core(payload),
        Payload::ScamDetected(payload) => scam::core(payload),
        Payload::IntentAnalyzed(payload) => intent::core(payload),
        Payload::ToolExecuted(payload) => tool::core(payload),
        Payload::TrustScoreChanged(payload) => trust::core(payload),
        Payload::ModerationActionExecuted(payload) => moderation::core(payload),
        Payload::PolicyEvaluated(payload) => policy::core(payload),
        Payload::SentimentAnalyzed(payload) => sentiment::core(payload),
        Payload::LanguageDetected(payload) => language::core(payload),
        Payload::NetworkRaidDetected(payload) | Payload::NetworkBotPattern(payload) => {
            network::core(payload)
        }
        Payload::UserProfileUpdated(payload) => profile::core(payload),
        Payload::WorkflowParsed(payload) => workflow::core(payload),
        Payload::AiCorrection(payload) => {
            payload.correction.as_ref().map(correction::core).unwrap_or_default()
        }
        Payload::RagContextEnhanced(payload) => rag::enhanced_core(payload),
        Payload::RagSuspiciousSimilarity(payload) => rag::similarity_core(payload),
        Payload::CustomExample(payload) => custom::core(payload, category),
    }
}

fn decision(payload: &Payload, category: Category) -> Option<Decision<'_>> {
    Some(match payload {
        Payload::ViolationDetected(payload) => violation::decision(payload),
        Payload::ScamDetected(payload) => scam::decision(payload.analysis.as_ref()?),
        Payload::IntentAnalyzed(payload) => {
            intent::decision(payload, payload.deep_intent.as_ref()?)
        }
        Payload::ToolExecuted(payload) => tool::decision(payload),
        Payload::TrustScoreChanged(payload) => trust::decision(payload),
        Payload::ModerationActionExecuted(payload) => moderation::decision(payload),
        Payload::PolicyEvaluated(payload) => policy::decision(payload.evaluation.as_ref()?),
        Payload::SentimentAnalyzed(payload) => sentiment::decision(payload),
        Payload::LanguageDetected(payload) => language::decision(payload),
        Payload::NetworkRaidDetected(payload) | Payload::NetworkBotPattern(payload) => {
            network::decision(payload)
        }
        Payload::UserProfileUpdated(payload) => profile::decision(payload.profile.as_ref()?),
        Payload::WorkflowParsed(payload) => workflow::decision(payload),
        Payload::AiCorrection(payload) => correction::decision(payload.correction.as_ref()?),
        Payload::RagContextEnhanced(payload) => rag::enhanced_decision(payload),
        Payload::RagSuspiciousSimilarity(payload) => rag::similarity_decision(payload),
        Payload::CustomExample(payload) => custom::decision(payload, category),
    })
}

/// The reasoning that counts: evidence states what the payload lacks.
fn longer(own: Reasoning, reviewed: Reasoning) -> Reasoning {
    match (own, reviewed) {
        (Reasoning::Length(own), Reasoning::Length(reviewed)) => {
            Reasoning::Length(own.max(reviewed))
        }
        (Reasoning::Always, _) | (_, Reasoning::Always) => Reasoning::Always,
    }
}

/// The output under its category's schema: without what is empty or outside of a closed set, and nothing at all
/// where that is the label.
fn answer<'a>(
    category: Category,
    mut output: Vec<RawLine<'a>>,
    explanation: &'a str,
) -> Vec<RawLine<'a>> {
    if !output.first().is_some_and(|label| schema::is_label(category, label)) {
        return Vec::new();
    }
    let properties = task(category).output;
    output.retain(|line| {
        let empty = matches!(&line.value, Value::Text(text) if text.expose().trim().is_empty());
        let fitting = properties
            .iter()
            .any(|property| property.name == line.key && schema::fits(property, &line.value));
        !empty && fitting
    });
    let explained = output.iter().any(|line| line.key == REASONING.name);
    if !explained && !explanation.trim().is_empty() {
        output.push(RawLine::text(REASONING.name, explanation));
    }
    output
}
