//! An unusable event is told which field to mend, and how.

use becas_core::proto::{self, event::Payload};

use crate::events::{event, prepare, scam, violation};

fn reason(event: &proto::Event) -> String {
    prepare(event).map_or_else(|invalid| invalid.to_string(), |_| "usable".to_owned())
}

fn of(payload: Payload) -> String {
    reason(&event(payload))
}

const REQUIRED: &str = "required: send a value that is not empty";

#[test]
fn only_the_event_id_and_a_payload_are_required_of_the_envelope() {
    let payload = || Some(Payload::ViolationDetected(violation(0.5)));
    let minimal =
        proto::Event { event_id: "e".to_owned(), payload: payload(), ..Default::default() };

    assert_eq!("usable", reason(&minimal));
    assert_eq!(
        format!("MISSING_FIELD: event_id: {REQUIRED}"),
        reason(&proto::Event { event_id: String::new(), ..minimal.clone() })
    );
    assert_eq!(
        "MISSING_FIELD: payload: set exactly one of the payloads in becas.ft.v1.Event",
        reason(&proto::Event { payload: None, ..minimal })
    );
}

#[test]
fn confidences_lie_between_zero_and_one() {
    for confidence in [f64::NAN, f64::INFINITY, -0.000_1, 1.000_1] {
        assert_eq!(
            "OUT_OF_RANGE: violation_detected.confidence: send a number from 0 to 1",
            of(Payload::ViolationDetected(violation(confidence)))
        );
        let mut with_evidence = event(Payload::ViolationDetected(violation(0.5)));
        with_evidence.evidence =
            Some(proto::Evidence { confidence: Some(confidence), ..Default::default() });
        assert_eq!(
            "OUT_OF_RANGE: evidence.confidence: send a number from 0 to 1",
            reason(&with_evidence)
        );
    }
    for confidence in [0.0, -0.0, 1.0] {
        assert_eq!("usable", of(Payload::ViolationDetected(violation(confidence))));
    }
}

#[test]
fn unknown_enum_values_are_invalid_and_unspecified_is_not_stated() {
    let outcome = |number| {
        let mut event = event(Payload::ViolationDetected(violation(0.5)));
        event.evidence = Some(proto::Evidence { outcome: Some(number), ..Default::default() });
        reason(&event)
    };

    assert_eq!("usable", outcome(0));
    assert!(outcome(5).starts_with("UNKNOWN_VALUE: evidence.outcome: "));
    assert!(outcome(-1).starts_with("UNKNOWN_VALUE: evidence.outcome: "));
}

#[test]
fn times_lie_between_1970_and_9999() {
    let at = |seconds, nanos| {
        let mut event = event(Payload::ViolationDetected(violation(0.5)));
        event.time = Some(prost_types::Timestamp { seconds, nanos });
        prepare(&event).map(|prepared| prepared.time_ms).map_err(|invalid| invalid.field)
    };

    assert_eq!(Ok(0), at(0, 0));
    assert_eq!(Ok(253_402_300_799_999), at(253_402_300_799, 999_999_999));
    for (seconds, nanos) in
        [(-1, 0), (253_402_300_800, 0), (i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)]
    {
        assert_eq!(Err("time".to_owned()), at(seconds, nanos));
    }
    let untimed = event(Payload::ViolationDetected(violation(0.5)));
    assert_eq!(crate::events::NOW, prepare(&untimed).unwrap().time_ms);
}

#[test]
fn ids_and_texts_have_their_limits() {
    let mut event = event(Payload::ScamDetected(scam(&"x".repeat(65_536), true)));
    event.event_id = "e".repeat(256);
    event.user_id = "u".repeat(256);
    assert_eq!("usable", reason(&event));

    event.user_id.push('u');
    assert_eq!("TOO_LARGE: user_id: send at most 256 bytes", reason(&event));

    assert_eq!(
        "TOO_LARGE: scam_detected.text: send at most 65536 bytes",
        of(Payload::ScamDetected(scam(&"x".repeat(65_537), true)))
    );
    let mut label = violation(0.5);
    label.violation_type = "l".repeat(1025);
    assert_eq!(
        "TOO_LARGE: violation_detected.violation_type: send at most 1024 bytes",
        of(Payload::ViolationDetected(label))
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one row a field")]
fn what_a_payload_cannot_do_without_is_named() {
    let named = |payload: Payload| {
        let reason = of(payload);
        let rest = reason.strip_prefix("MISSING_FIELD: ").unwrap_or_else(|| panic!("{reason}"));
        rest.strip_suffix(&format!(": {REQUIRED}")).unwrap().to_owned()
    };
    let text = || "t".to_owned();
    let correction = |ai_decision, category: &str| {
        Payload::AiCorrection(proto::AiCorrection {
            correction: Some(proto::Correction {
                ai_decision,
                category: category.to_owned(),
                ..Default::default()
            }),
        })
    };
    let decision = || Some(proto::AiDecision { context: text(), ..Default::default() });
    for (payload, expected) in [
        (
            Payload::ViolationDetected(proto::ViolationDetected {
                evidence: text(),
                ..Default::default()
            }),
            "violation_detected.violation_type",
        ),
        (
            Payload::ViolationDetected(proto::ViolationDetected {
                violation_type: text(),
                evidence: " \n".to_owned(),
                ..Default::default()
            }),
            "violation_detected.evidence",
        ),
        (Payload::ScamDetected(proto::ScamDetected::default()), "scam_detected.text"),
        (
            Payload::ScamDetected(proto::ScamDetected { text: text(), analysis: None }),
            "scam_detected.analysis",
        ),
        (
            Payload::IntentAnalyzed(proto::IntentAnalyzed {
                message: text(),
                ..Default::default()
            }),
            "intent_analyzed.deep_intent",
        ),
        (Payload::ToolExecuted(proto::ToolExecuted::default()), "tool_executed.tool_name"),
        (
            Payload::TrustScoreChanged(proto::TrustScoreChanged::default()),
            "trust_score_changed.reason",
        ),
        (
            Payload::ModerationActionExecuted(proto::ModerationActionExecuted {
                action_type: text(),
                ..Default::default()
            }),
            "moderation_action_executed.reason",
        ),
        (Payload::PolicyEvaluated(proto::PolicyEvaluated::default()), "policy_evaluated.policy"),
        (
            Payload::SentimentAnalyzed(proto::SentimentAnalyzed::default()),
            "sentiment_analyzed.message",
        ),
        (
            Payload::LanguageDetected(proto::LanguageDetected {
                text: text(),
                ..Default::default()
            }),
            "language_detected.detected_language",
        ),
        (
            Payload::NetworkRaidDetected(proto::NetworkPattern {
                pattern: text(),
                ..Default::default()
            }),
            "network_raid_detected.indicators",
        ),
        (
            Payload::NetworkBotPattern(proto::NetworkPattern::default()),
            "network_bot_pattern.pattern",
        ),
        (
            Payload::UserProfileUpdated(proto::UserProfileUpdated::default()),
            "user_profile_updated.profile",
        ),
        (
            Payload::WorkflowParsed(proto::WorkflowParsed::default()),
            "workflow_parsed.workflow_text",
        ),
        (
            Payload::WorkflowParsed(proto::WorkflowParsed {
                workflow_text: text(),
                steps: vec![text(), String::new()],
                ..Default::default()
            }),
            "workflow_parsed.steps[1]",
        ),
        (Payload::AiCorrection(proto::AiCorrection::default()), "ai_correction.correction"),
        (correction(None, "c"), "ai_correction.correction.ai_decision"),
        (correction(decision(), ""), "ai_correction.correction.category"),
        (
            correction(Some(proto::AiDecision::default()), "c"),
            "ai_correction.correction.ai_decision.context",
        ),
        (
            Payload::RagContextEnhanced(proto::RagContextEnhanced::default()),
            "rag_context_enhanced.enhanced_reasoning",
        ),
        (Payload::CustomExample(proto::CustomExample::default()), "custom_example.input"),
    ] {
        assert_eq!(expected, named(payload));
    }
}

#[test]
fn counts_and_durations_are_neither_negative_nor_as_long_as_an_id() {
    let similarity = |count| {
        of(Payload::RagSuspiciousSimilarity(proto::RagSuspiciousSimilarity {
            similar_violations: count,
            ..Default::default()
        }))
    };
    let duration = |duration| {
        of(Payload::ModerationActionExecuted(proto::ModerationActionExecuted {
            action_type: "ban".to_owned(),
            reason: "r".to_owned(),
            duration: Some(duration),
            ..Default::default()
        }))
    };

    assert_eq!("usable", similarity(1_000_000_000));
    for count in [-1, 1_000_000_001, i64::MAX] {
        assert_eq!(
            "OUT_OF_RANGE: rag_suspicious_similarity.similar_violations: send an integer from 0 to 1000000000",
            similarity(count)
        );
    }
    assert_eq!("usable", duration(946_728_000_000));
    for milliseconds in [-1, 946_728_000_001] {
        assert!(
            duration(milliseconds)
                .starts_with("OUT_OF_RANGE: moderation_action_executed.duration: ")
        );
    }
}

#[test]
fn other_numbers_keep_their_ranges() {
    let trust = |old_score, delta| {
        of(Payload::TrustScoreChanged(proto::TrustScoreChanged {
            old_score,
            delta,
            reason: "r".to_owned(),
            ..Default::default()
        }))
    };
    let sentiment = |score| {
        of(Payload::SentimentAnalyzed(proto::SentimentAnalyzed {
            message: "m".to_owned(),
            sentiment: "neutral".to_owned(),
            score,
            ..Default::default()
        }))
    };

    assert_eq!(
        "OUT_OF_RANGE: trust_score_changed.old_score: send a number from 0 to 100",
        trust(100.5, 0.0)
    );
    assert_eq!(
        "OUT_OF_RANGE: trust_score_changed.delta: send a number from -100 to 100",
        trust(1.0, f64::NAN)
    );
    assert_eq!(
        "OUT_OF_RANGE: sentiment_analyzed.score: send a number from -1 to 1",
        sentiment(-1.5)
    );
    assert_eq!("usable", sentiment(-1.0));
}

#[test]
fn a_custom_example_names_a_category() {
    let custom = |category: &str| {
        of(Payload::CustomExample(proto::CustomExample {
            category: category.to_owned(),
            input: "i".to_owned(),
            output: "o".to_owned(),
            ..Default::default()
        }))
    };

    assert_eq!("usable", custom("scam_detection"));
    assert!(custom("scams").starts_with("UNKNOWN_VALUE: custom_example.category: "));
}
