//! What an event must hold before anything is made of it; the first fault is reported.

use super::invalid::{Code, Invalid};
use crate::{
    category::{Category, EventKind, Outcome},
    config::Limits,
    error::Error,
    proto::{self, event::Payload},
};

type Checked = Result<(), Invalid>;

/// Bytes of a label: enough for any name, too few to hide a text in.
const LABEL_BYTES: usize = 1024;
/// Above any count that a bot can make, and below every id of Discord.
const MAX_COUNT: i64 = 1_000_000_000;
/// Thirty years in milliseconds, below every id of Discord.
const MAX_DURATION_MS: i64 = 946_728_000_000;
/// The first second of the year 10000.
const MAX_SECONDS: i64 = 253_402_300_800;

/// The kind of a payload.
pub const fn kind(payload: &Payload) -> EventKind {
    match payload {
        Payload::ViolationDetected(_) => EventKind::ViolationDetected,
        Payload::ScamDetected(_) => EventKind::ScamDetected,
        Payload::IntentAnalyzed(_) => EventKind::IntentAnalyzed,
        Payload::ToolExecuted(_) => EventKind::ToolExecuted,
        Payload::TrustScoreChanged(_) => EventKind::TrustScoreChanged,
        Payload::ModerationActionExecuted(_) => EventKind::ModerationActionExecuted,
        Payload::PolicyEvaluated(_) => EventKind::PolicyEvaluated,
        Payload::SentimentAnalyzed(_) => EventKind::SentimentAnalyzed,
        Payload::LanguageDetected(_) => EventKind::LanguageDetected,
        Payload::NetworkRaidDetected(_) => EventKind::NetworkRaidDetected,
        Payload::NetworkBotPattern(_) => EventKind::NetworkBotPattern,
        Payload::UserProfileUpdated(_) => EventKind::UserProfileUpdated,
        Payload::WorkflowParsed(_) => EventKind::WorkflowParsed,
        Payload::AiCorrection(_) => EventKind::AiCorrection,
        Payload::RagContextEnhanced(_) => EventKind::RagContextEnhanced,
        Payload::RagSuspiciousSimilarity(_) => EventKind::RagSuspiciousSimilarity,
        Payload::CustomExample(_) => EventKind::CustomExample,
    }
}

/// The category that a payload teaches; `None` for a custom example that names no category.
pub fn category(payload: &Payload) -> Option<Category> {
    Some(match payload {
        Payload::ViolationDetected(_) => Category::ViolationDetection,
        Payload::ScamDetected(_) => Category::ScamDetection,
        Payload::IntentAnalyzed(_) => Category::IntentClassification,
        Payload::ToolExecuted(_) => Category::ToolSelection,
        Payload::TrustScoreChanged(_) => Category::TrustPrediction,
        Payload::ModerationActionExecuted(_) => Category::ModerationDecision,
        Payload::PolicyEvaluated(_) => Category::PolicyInterpretation,
        Payload::SentimentAnalyzed(_) => Category::SentimentAnalysis,
        Payload::LanguageDetected(_) => Category::LanguageDetection,
        Payload::NetworkRaidDetected(_) | Payload::NetworkBotPattern(_) => {
            Category::NetworkAnalysis
        }
        Payload::UserProfileUpdated(_) => Category::UserProfiling,
        Payload::WorkflowParsed(_) => Category::WorkflowParsing,
        Payload::AiCorrection(_) => Category::HumanCorrection,
        Payload::RagContextEnhanced(_) | Payload::RagSuspiciousSimilarity(_) => {
            Category::RagContextEnhancement
        }
        Payload::CustomExample(custom) => return Category::from_name(&custom.category),
    })
}

/// The category of a request's field.
pub fn category_of(number: i32, field: &str) -> crate::error::Result<Category> {
    Category::from_number(number).ok_or_else(|| Error::InvalidArgument {
        field: field.to_owned(),
        problem: "required: send a category, such as CATEGORY_SCAM_DETECTION".to_owned(),
    })
}

/// Checks an event, and gives its payload.
pub fn validate<'a>(event: &'a proto::Event, limits: &Limits) -> Result<&'a Payload, Invalid> {
    let check = Check { limits };
    Check::required("event_id", &event.event_id, limits.id_bytes)?;
    check.ids(&[
        ("correlation_id", &event.correlation_id),
        ("causation_id", &event.causation_id),
        ("user_id", &event.user_id),
        ("guild_id", &event.guild_id),
    ])?;
    if let Some(time) = &event.time {
        time_of(time)?;
    }
    if let Some(evidence) = &event.evidence {
        check.evidence(evidence)?;
    }
    let payload = event.payload.as_ref().ok_or_else(|| {
        Invalid::new(
            Code::MissingField,
            "payload",
            "set exactly one of the payloads in becas.ft.v1.Event",
        )
    })?;
    check.payload(payload)?;
    Ok(payload)
}

/// Milliseconds since the epoch.
pub(crate) fn time_of(time: &prost_types::Timestamp) -> Result<i64, Invalid> {
    if (0..MAX_SECONDS).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) {
        Ok(time.seconds * 1000 + i64::from(time.nanos) / 1_000_000)
    } else {
        Err(Invalid::new(
            Code::OutOfRange,
            "time",
            "send a time from 1970 to 9999, its nanos from 0 to 999999999",
        ))
    }
}

struct Check<'a> {
    limits: &'a Limits,
}

impl Check<'_> {
    fn within(field: &str, value: &str, limit: usize) -> Checked {
        if value.len() <= limit {
            return Ok(());
        }
        Err(Invalid::new(Code::TooLarge, field, format!("send at most {limit} bytes")))
    }

    fn required(field: &str, value: &str, limit: usize) -> Checked {
        if value.trim().is_empty() {
            return Err(missing(field));
        }
        Self::within(field, value, limit)
    }

    fn message(&self, field: &str, value: &str) -> Checked {
        Self::required(field, value, self.limits.text_bytes)
    }

    fn label(field: &str, value: &str) -> Checked {
        Self::required(field, value, LABEL_BYTES)
    }

    fn texts(&self, fields: &[(&str, &str)]) -> Checked {
        fields
            .iter()
            .try_for_each(|(field, value)| Self::within(field, value, self.limits.text_bytes))
    }

    fn ids(&self, fields: &[(&str, &str)]) -> Checked {
        fields
            .iter()
            .try_for_each(|(field, value)| Self::within(field, value, self.limits.id_bytes))
    }

    fn list(field: &str, values: &[String], limit: usize) -> Checked {
        values.iter().enumerate().try_for_each(|(position, value)| {
            if value.len() <= limit {
                return Ok(());
            }
            Self::within(&format!("{field}[{position}]"), value, limit)
        })
    }

    fn evidence(&self, evidence: &proto::Evidence) -> Checked {
        self.texts(&[
            ("evidence.reasoning", &evidence.reasoning),
            ("evidence.context", &evidence.context),
        ])?;
        if let Some(precedents) = evidence.precedents {
            count("evidence.precedents", precedents)?;
        }
        if let Some(confidence) = evidence.confidence {
            unit("evidence.confidence", confidence)?;
        }
        outcome("evidence.outcome", evidence.outcome.unwrap_or_default())
    }

    #[expect(clippy::too_many_lines, reason = "one row a payload, read as a table")]
    fn payload(&self, payload: &Payload) -> Checked {
        match payload {
            Payload::ViolationDetected(violation) => {
                Self::label("violation_detected.violation_type", &violation.violation_type)?;
                self.message("violation_detected.evidence", &violation.evidence)?;
                self.texts(&[
                    ("violation_detected.severity", &violation.severity),
                    ("violation_detected.reasoning", &violation.reasoning),
                ])?;
                self.ids(&[("violation_detected.message_id", &violation.message_id)])?;
                unit("violation_detected.confidence", violation.confidence)
            }
            Payload::ScamDetected(scam) => {
                self.message("scam_detected.text", &scam.text)?;
                let analysis = present("scam_detected.analysis", scam.analysis.as_ref())?;
                self.texts(&[
                    ("scam_detected.analysis.scam_type", &analysis.scam_type),
                    ("scam_detected.analysis.severity", &analysis.severity),
                    ("scam_detected.analysis.reasoning", &analysis.reasoning),
                ])?;
                Self::list(
                    "scam_detected.analysis.indicators",
                    &analysis.indicators,
                    self.limits.text_bytes,
                )?;
                unit("scam_detected.analysis.confidence", analysis.confidence)
            }
            Payload::IntentAnalyzed(intent) => {
                self.message("intent_analyzed.message", &intent.message)?;
                let deep = present("intent_analyzed.deep_intent", intent.deep_intent.as_ref())?;
                Self::label("intent_analyzed.deep_intent.primary_intent", &deep.primary_intent)?;
                self.texts(&[
                    ("intent_analyzed.surface_intent", &intent.surface_intent),
                    ("intent_analyzed.deep_intent.secondary_intent", deep.secondary_intent()),
                    ("intent_analyzed.deep_intent.emotional_state", &deep.emotional_state),
                    ("intent_analyzed.deep_intent.suggested_action", &deep.suggested_action),
                    ("intent_analyzed.deep_intent.reasoning", &deep.reasoning),
                ])?;
                if let Some(context) = &intent.conversational_context {
                    count(
                        "intent_analyzed.conversational_context.recent_messages",
                        context.recent_messages,
                    )?;
                }
                unit("intent_analyzed.deep_intent.confidence", deep.confidence)
            }
            Payload::ToolExecuted(tool) => {
                Self::label("tool_executed.tool_name", &tool.tool_name)?;
                self.message("tool_executed.input", &tool.input)?;
                self.texts(&[("tool_executed.tool_category", &tool.tool_category)])
            }
            Payload::TrustScoreChanged(trust) => {
                self.message("trust_score_changed.reason", &trust.reason)?;
                self.ids(&[
                    ("trust_score_changed.user_id", &trust.user_id),
                    ("trust_score_changed.guild_id", &trust.guild_id),
                ])?;
                within("trust_score_changed.old_score", trust.old_score, 0.0, 100.0)?;
                within("trust_score_changed.new_score", trust.new_score, 0.0, 100.0)?;
                within("trust_score_changed.delta", trust.delta, -100.0, 100.0)
            }
            Payload::ModerationActionExecuted(action) => {
                Self::label("moderation_action_executed.action_type", &action.action_type)?;
                self.message("moderation_action_executed.reason", &action.reason)?;
                self.ids(&[
                    ("moderation_action_executed.target_user_id", &action.target_user_id),
                    ("moderation_action_executed.executor_id", &action.executor_id),
                    ("moderation_action_executed.guild_id", &action.guild_id),
                ])?;
                let duration = action.duration.unwrap_or_default();
                bounded("moderation_action_executed.duration", duration, MAX_DURATION_MS)
            }
            Payload::PolicyEvaluated(evaluated) => {
                let policy = present("policy_evaluated.policy", evaluated.policy.as_ref())?;
                let evaluation =
                    present("policy_evaluated.evaluation", evaluated.evaluation.as_ref())?;
                self.message("policy_evaluated.policy.description", &policy.description)?;
                self.message("policy_evaluated.message", &evaluated.message)?;
                self.texts(&[("policy_evaluated.evaluation.reasoning", &evaluation.reasoning)])?;
                unit("policy_evaluated.policy.threshold", policy.threshold)?;
                unit("policy_evaluated.evaluation.confidence", evaluation.confidence)
            }
            Payload::SentimentAnalyzed(sentiment) => {
                self.message("sentiment_analyzed.message", &sentiment.message)?;
                Self::label("sentiment_analyzed.sentiment", &sentiment.sentiment)?;
                self.texts(&[("sentiment_analyzed.emotion", &sentiment.emotion)])?;
                within("sentiment_analyzed.score", sentiment.score, -1.0, 1.0)
            }
            Payload::LanguageDetected(language) => {
                self.message("language_detected.text", &language.text)?;
                Self::label("language_detected.detected_language", &language.detected_language)?;
                unit("language_detected.confidence", language.confidence)
            }
            Payload::NetworkRaidDetected(network) => self.network("network_raid_detected", network),
            Payload::NetworkBotPattern(network) => self.network("network_bot_pattern", network),
            Payload::UserProfileUpdated(updated) => {
                self.ids(&[("user_profile_updated.user_id", &updated.user_id)])?;
                Self::list(
                    "user_profile_updated.updates",
                    &updated.updates,
                    self.limits.text_bytes,
                )?;
                let profile = present("user_profile_updated.profile", updated.profile.as_ref())?;
                Self::label("user_profile_updated.profile.risk_level", &profile.risk_level)?;
                self.texts(&[
                    ("user_profile_updated.profile.activity_level", &profile.activity_level),
                    ("user_profile_updated.profile.behavior_pattern", &profile.behavior_pattern),
                ])?;
                count("user_profile_updated.profile.violations", profile.violations)?;
                within("user_profile_updated.profile.trust_score", profile.trust_score, 0.0, 100.0)
            }
            Payload::WorkflowParsed(workflow) => self.workflow(workflow),
            Payload::AiCorrection(correction) => self.correction(correction),
            Payload::RagContextEnhanced(enhanced) => {
                self.message(
                    "rag_context_enhanced.enhanced_reasoning",
                    &enhanced.enhanced_reasoning,
                )?;
                self.ids(&[
                    ("rag_context_enhanced.message_id", &enhanced.message_id),
                    ("rag_context_enhanced.guild_id", &enhanced.guild_id),
                ])?;
                count("rag_context_enhanced.precedents", enhanced.precedents)?;
                unit("rag_context_enhanced.original_confidence", enhanced.original_confidence)?;
                unit("rag_context_enhanced.enhanced_confidence", enhanced.enhanced_confidence)
            }
            Payload::RagSuspiciousSimilarity(similarity) => {
                self.ids(&[
                    ("rag_suspicious_similarity.message_id", &similarity.message_id),
                    ("rag_suspicious_similarity.guild_id", &similarity.guild_id),
                ])?;
                for (position, example) in similarity.examples.iter().enumerate() {
                    if example.violation_type.len() > LABEL_BYTES {
                        let field = format!(
                            "rag_suspicious_similarity.examples[{position}].violation_type"
                        );
                        Self::within(&field, &example.violation_type, LABEL_BYTES)?;
                    }
                }
                count(
                    "rag_suspicious_similarity.similar_violations",
                    similarity.similar_violations,
                )?;
                unit("rag_suspicious_similarity.avg_similarity", similarity.avg_similarity)
            }
            Payload::CustomExample(custom) => {
                self.message("custom_example.input", &custom.input)?;
                self.message("custom_example.output", &custom.output)?;
                Self::label("custom_example.category", &custom.category)?;
                if Category::from_name(&custom.category).is_none() {
                    return Err(Invalid::new(
                        Code::UnknownValue,
                        "custom_example.category",
                        "send the name of a category, such as scam_detection",
                    ));
                }
                outcome("custom_example.outcome", custom.outcome)?;
                unit("custom_example.confidence", custom.confidence)
            }
        }
    }

    fn network(&self, name: &str, network: &proto::NetworkPattern) -> Checked {
        Self::label(&format!("{name}.pattern"), &network.pattern)?;
        if network.indicators.iter().all(|indicator| indicator.trim().is_empty()) {
            return Err(missing(&format!("{name}.indicators")));
        }
        Self::list(&format!("{name}.indicators"), &network.indicators, self.limits.text_bytes)?;
        Self::list(&format!("{name}.users"), &network.users, self.limits.id_bytes)?;
        unit(&format!("{name}.confidence"), network.confidence)
    }

    fn workflow(&self, workflow: &proto::WorkflowParsed) -> Checked {
        self.message("workflow_parsed.workflow_text", &workflow.workflow_text)?;
        for (position, step) in workflow.steps.iter().enumerate() {
            Self::label(&format!("workflow_parsed.steps[{position}]"), step)?;
        }
        let parsed = workflow.parsed.as_ref().map_or(&[][..], |parsed| &parsed.steps);
        for (position, step) in parsed.iter().enumerate() {
            Self::label(&format!("workflow_parsed.parsed.steps[{position}].tool"), &step.tool)?;
        }
        Ok(())
    }

    fn correction(&self, event: &proto::AiCorrection) -> Checked {
        let correction = present("ai_correction.correction", event.correction.as_ref())?;
        let decision =
            present("ai_correction.correction.ai_decision", correction.ai_decision.as_ref())?;
        Self::label("ai_correction.correction.category", &correction.category)?;
        self.message("ai_correction.correction.ai_decision.context", &decision.context)?;
        self.texts(&[
            ("ai_correction.correction.ai_mistake", &correction.ai_mistake),
            ("ai_correction.correction.lesson", &correction.lesson),
            ("ai_correction.correction.ai_decision.action", &decision.action),
            ("ai_correction.correction.ai_decision.reason", &decision.reason),
        ])?;
        self.ids(&[
            ("ai_correction.correction.guild_id", &correction.guild_id),
            ("ai_correction.correction.ai_decision.target", &decision.target),
        ])?;
        if let Some(action) = &correction.moderator_action {
            self.texts(&[
                ("ai_correction.correction.moderator_action.type", &action.r#type),
                ("ai_correction.correction.moderator_action.reason", &action.reason),
            ])?;
        }
        Self::within(
            "ai_correction.correction.corrected_label",
            correction.corrected_label(),
            LABEL_BYTES,
        )?;
        unit("ai_correction.correction.ai_decision.confidence", decision.confidence)
    }
}

fn missing(field: &str) -> Invalid {
    Invalid::new(Code::MissingField, field, "required: send a value that is not empty")
}

fn present<'a, T>(field: &str, value: Option<&'a T>) -> Result<&'a T, Invalid> {
    value.ok_or_else(|| missing(field))
}

fn unit(field: &str, value: f64) -> Checked {
    within(field, value, 0.0, 1.0)
}

fn within(field: &str, value: f64, low: f64, high: f64) -> Checked {
    // Not a number lies in no range.
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(Code::OutOfRange, field, format!("send a number from {low} to {high}")))
}

fn count(field: &str, value: i64) -> Checked {
    bounded(field, value, MAX_COUNT)
}

fn bounded(field: &str, value: i64, high: i64) -> Checked {
    if (0..=high).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(Code::OutOfRange, field, format!("send an integer from 0 to {high}")))
}

fn outcome(field: &str, number: i32) -> Checked {
    if number == proto::Outcome::Unspecified as i32 || Outcome::from_number(number).is_some() {
        return Ok(());
    }
    Err(Invalid::new(
        Code::UnknownValue,
        field,
        "send success, failure, corrected or uncertain, or leave it out",
    ))
}
