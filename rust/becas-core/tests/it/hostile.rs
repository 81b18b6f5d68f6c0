//! Bytes of any kind are answered, one event at a time, and never panic.

use becas_core::{
    draft::validate_output,
    error::Error,
    event::Code,
    example::Verdict,
    json,
    proto::{self, event::Payload},
};
use proptest::prelude::*;
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

use crate::events::{NOW, encoded, event, pipeline, request, scam, violation};

fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(value.len() as u64, &mut bytes);
    bytes.extend(value);
    bytes
}

fn good() -> Vec<u8> {
    encoded(&event(Payload::ScamDetected(scam("a message", true))))
}

/// Code and field of the one event's fault, and its echoed id.
fn fault(event: Vec<u8>) -> (Code, String, String) {
    let mut batch = pipeline().prepare_batch(&request(&[event]), NOW, true).unwrap();
    let attempt = batch.attempts.remove(0);
    let invalid = attempt.prepared.unwrap_err();
    (invalid.code, invalid.field, attempt.event_id)
}

#[test]
fn a_broken_event_spoils_no_other_and_keeps_its_place() {
    let broken = [field(1, b"evt-9"), field(17, &field(1, b"\xff\xfe"))].concat();
    let batch = pipeline().prepare_batch(&request(&[good(), broken, good()]), NOW, true).unwrap();
    let echoed: Vec<_> = batch.attempts.iter().map(|attempt| attempt.event_id.as_str()).collect();
    let reasons: Vec<_> = batch
        .attempts
        .iter()
        .map(|attempt| attempt.prepared.as_ref().err().map(ToString::to_string))
        .collect();

    assert_eq!(["evt-1", "evt-9", "evt-1"], *echoed);
    assert_eq!(
        vec![None, Some("MALFORMED: scam_detected.text: send valid UTF-8".to_owned()), None],
        reasons
    );
}

#[test]
fn the_fault_is_found_where_it_is() {
    let id = field(1, b"evt-9");
    let nested = (0..70).fold(Vec::new(), |inner, _| {
        // Value.struct_value ► Struct.fields ► its entry's value
        field(5, &field(1, &field(2, &inner)))
    });
    let groups = [[0x9b, 0x06].repeat(1000), [0x9c, 0x06].repeat(1000)].concat();
    for (bytes, code, path) in [
        ([id.clone(), vec![0xff; 12]].concat(), Code::Malformed, "event"),
        ([id.clone(), vec![0x07]].concat(), Code::Malformed, "event"),
        ([id.clone(), vec![0x00, 0x00]].concat(), Code::Malformed, "event"),
        ([id.clone(), vec![0x8a, 0x01, 0x05, 0x0a]].concat(), Code::Malformed, "scam_detected"),
        ([id.clone(), vec![0x88, 0x01, 0x05]].concat(), Code::WrongType, "scam_detected"),
        (
            [id.clone(), field(17, &field(2, &[0x08, 0x80]))].concat(),
            Code::Malformed,
            "scam_detected.analysis.is_scam",
        ),
        ([id.clone(), groups].concat(), Code::TooDeep, "event"),
        ([id.clone(), vec![0x9b, 0x06]].concat(), Code::Malformed, "event"),
    ] {
        assert_eq!((code, path.to_owned(), "evt-9".to_owned()), fault(bytes), "{path}");
    }
    let deep = [id, field(19, &field(4, &field(1, &field(2, &nested))))].concat();
    let (code, path, _) = fault(deep);

    assert_eq!(Code::TooDeep, code);
    assert!(path.starts_with("tool_executed.output.fields.value.struct_value"), "{path}");
}

#[test]
fn what_is_no_request_is_an_invalid_argument() {
    let too_many = request(&vec![Vec::new(); 5001]);
    for (bytes, expected) in [
        (&b"\x0a\x05ab"[..], "request"),
        (b"\x08\x01", "request"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "request"),
        (b"hello", "request"),
        (too_many.as_slice(), "events"),
    ] {
        let error = pipeline().prepare_batch(bytes, NOW, true).err();

        assert!(
            matches!(&error, Some(Error::InvalidArgument { field, .. }) if field == expected),
            "{expected}: {error:?}"
        );
    }
    assert!(pipeline().prepare_batch(b"", NOW, true).unwrap().attempts.is_empty());
}

#[test]
fn unknown_fields_are_ignored_and_counted() {
    let deep = field(17, &[field(1, b"text"), field(2, &field(99, b"new"))].concat());
    let fixed = [vec![0xad, 0x06], vec![1, 2, 3, 4]].concat();
    let event = [good(), field(100, b"later"), fixed, deep].concat();
    let batch = [request(&[event]), field(9, b"of the request")].concat();
    let batch = pipeline().prepare_batch(&batch, NOW, true).unwrap();

    assert_eq!(4, batch.unknown_fields);
    assert!(batch.attempts[0].prepared.is_ok());
}

#[test]
fn an_event_over_the_limit_is_refused_before_it_is_decoded() {
    let mut large = event(Payload::ViolationDetected(violation(1.0)));
    large.correlation_id = "x".repeat(1 << 20);

    assert_eq!((Code::TooLarge, "event".to_owned(), "evt-1".to_owned()), fault(encoded(&large)));
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just(String::new()),
        Just("<|im_end|>\"\n\\ ### [INST] \u{202e}\u{200b}".to_owned()),
        Just("a@example.com 4111 1111 1111 1111 <@700000000000000123>".to_owned()),
        "[a-z_]{1,8}",
    ]
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1.0, any::<f64>(), Just(f64::NAN), Just(-0.0), Just(f64::INFINITY)]
}

fn any_payload() -> impl Strategy<Value = Payload> {
    let texts = proptest::collection::vec(any_text(), 0..4);
    (
        0_usize..17,
        any_text(),
        any_text(),
        any_text(),
        texts,
        any_number(),
        any_number(),
        any::<bool>(),
        any::<i64>(),
    )
        .prop_map(|(kind, a, b, c, list, x, y, flag, count)| {
            payload(kind, [a, b, c], list, [x, y], flag, count)
        })
}

#[expect(clippy::too_many_lines, reason = "one row a payload")]
#[expect(clippy::many_single_char_names, reason = "arbitrary values have no names")]
fn payload(
    kind: usize,
    [a, b, c]: [String; 3],
    list: Vec<String>,
    [x, y]: [f64; 2],
    flag: bool,
    count: i64,
) -> Payload {
    let network = || proto::NetworkPattern {
        pattern: a.clone(),
        users: list.clone(),
        confidence: x,
        indicators: vec![b.clone()],
    };
    match kind {
        0 => Payload::ViolationDetected(proto::ViolationDetected {
            violation_type: a,
            severity: b,
            confidence: x,
            evidence: c,
            reasoning: list.concat(),
            message_id: String::new(),
        }),
        1 => Payload::ScamDetected(proto::ScamDetected {
            text: a,
            analysis: flag.then(|| proto::ScamAnalysis {
                scam_type: b,
                confidence: x,
                reasoning: c,
                indicators: list,
                ..Default::default()
            }),
        }),
        2 => Payload::IntentAnalyzed(proto::IntentAnalyzed {
            message: a,
            surface_intent: String::new(),
            deep_intent: Some(proto::DeepIntent {
                primary_intent: b,
                secondary_intent: flag.then_some(c),
                confidence: x,
                ..Default::default()
            }),
            conversational_context: Some(proto::ConversationalContext { recent_messages: count }),
        }),
        3 => Payload::ToolExecuted(proto::ToolExecuted {
            tool_name: a,
            tool_category: b,
            input: c,
            output: None,
            success: flag,
        }),
        4 => Payload::TrustScoreChanged(proto::TrustScoreChanged {
            user_id: a,
            guild_id: b,
            old_score: x,
            new_score: y,
            delta: y - x,
            reason: c,
        }),
        5 => Payload::ModerationActionExecuted(proto::ModerationActionExecuted {
            action_type: a,
            target_user_id: b.clone(),
            executor_id: b,
            reason: c,
            duration: Some(count),
            guild_id: String::new(),
        }),
        6 => Payload::PolicyEvaluated(proto::PolicyEvaluated {
            policy: Some(proto::Policy { description: a, threshold: y }),
            evaluation: Some(proto::PolicyEvaluation {
                violates: flag,
                confidence: x,
                reasoning: b,
            }),
            message: c,
        }),
        7 => Payload::SentimentAnalyzed(proto::SentimentAnalyzed {
            message: a,
            sentiment: if flag { "neutral".to_owned() } else { b },
            score: x,
            emotion: c,
        }),
        8 => Payload::LanguageDetected(proto::LanguageDetected {
            text: a,
            detected_language: b,
            confidence: x,
        }),
        9 => Payload::NetworkRaidDetected(network()),
        10 => Payload::NetworkBotPattern(network()),
        11 => Payload::UserProfileUpdated(proto::UserProfileUpdated {
            user_id: a,
            profile: Some(proto::Profile {
                activity_level: b.clone(),
                trust_score: x,
                violations: count,
                behavior_pattern: b,
                risk_level: "low".to_owned(),
            }),
            updates: list,
        }),
        12 => Payload::WorkflowParsed(proto::WorkflowParsed {
            workflow_text: a,
            parsed: None,
            steps: list,
        }),
        13 => Payload::AiCorrection(proto::AiCorrection {
            correction: Some(proto::Correction {
                ai_decision: Some(proto::AiDecision {
                    context: a,
                    confidence: x,
                    ..Default::default()
                }),
                category: b,
                lesson: c.clone(),
                corrected_label: Some(c),
                ..Default::default()
            }),
        }),
        14 => Payload::RagContextEnhanced(proto::RagContextEnhanced {
            message_id: a,
            guild_id: b,
            original_confidence: x,
            enhanced_confidence: y,
            precedents: count,
            enhanced_reasoning: c,
        }),
        15 => Payload::RagSuspiciousSimilarity(proto::RagSuspiciousSimilarity {
            message_id: a,
            guild_id: b,
            similar_violations: count,
            avg_similarity: x,
            examples: Vec::new(),
        }),
        _ => Payload::CustomExample(proto::CustomExample {
            category: if flag {
                "workflow_parsing".to_owned()
            } else {
                "sentiment_analysis".to_owned()
            },
            input: a,
            output: b,
            confidence: x,
            outcome: i32::from(flag),
        }),
    }
}

fn any_event() -> impl Strategy<Value = proto::Event> {
    let evidence = proptest::option::of((
        any_text(),
        any_text(),
        any::<[bool; 4]>(),
        proptest::option::of(any_number()),
        0..6_i32,
    ));
    (any_text(), any_text(), evidence, proptest::option::of(any_payload())).prop_map(
        |(event_id, id, evidence, payload)| proto::Event {
            event_id,
            causation_id: id.clone(),
            user_id: id,
            payload,
            evidence: evidence.map(|(reasoning, context, flags, confidence, outcome)| {
                proto::Evidence {
                    reasoning,
                    context,
                    human_validated: flags[0],
                    rag_enhanced: flags[1],
                    edge_case: flags[2],
                    common_pattern: flags[3],
                    confidence,
                    outcome: Some(outcome),
                    precedents: None,
                }
            }),
            ..proto::Event::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = pipeline().prepare_batch(&bytes, NOW, true);
        let framed = pipeline().prepare_batch(&request(std::slice::from_ref(&bytes)), NOW, true).unwrap();
        prop_assert_eq!(1, framed.attempts.len());
    }

    #[test]
    fn a_damaged_event_is_answered(
        event in any_event(), position in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut bytes = encoded(&event);
        if !bytes.is_empty() {
            let position = position.index(bytes.len());
            bytes[position] = byte;
            if cut { bytes.truncate(position); }
        }
        let batch = pipeline().prepare_batch(&request(&[good(), bytes, good()]), NOW, true).unwrap();
        prop_assert_eq!(3, batch.attempts.len());
        prop_assert!(batch.attempts[0].prepared.is_ok() && batch.attempts[2].prepared.is_ok());
    }

    #[test]
    fn the_walk_finds_every_fault_before_the_decoder(
        event in any_event(), position in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = encoded(&event);
        if !bytes.is_empty() {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        let decoded = proto::Event::decode(bytes.as_slice()).is_ok();
        let batch = pipeline().prepare_batch(&request(&[bytes]), NOW, true).unwrap();
        let malformed = matches!(
            &batch.attempts[0].prepared,
            Err(invalid) if matches!(invalid.code, Code::Malformed | Code::TooDeep | Code::WrongType)
        );
        prop_assert_eq!(decoded, !malformed);
    }

    #[test]
    fn whatever_becomes_an_example_keeps_its_schema_and_one_line_a_value(event in any_event()) {
        let Ok(prepared) = pipeline().prepare(&event, NOW, true) else { return Ok(()) };
        prop_assert!(prepared.score.points() <= 10_000);
        if let Verdict::Example(example) = &prepared.verdict {
            let label = validate_output(example.category, example.output.as_str());
            prop_assert_eq!(Some(example.label.as_str()), label.as_deref());
            for line in example.input.as_str().lines() {
                let value = line.split_once(": ").unwrap().1;
                prop_assert!(serde_json::from_str::<serde_json::Value>(value).is_ok(), "{}", line);
            }
            for token in ["<|", "|>", "[INST]", "<s>", "\u{200b}", "\u{202e}"] {
                prop_assert!(!example.input.as_str().contains(token));
                prop_assert!(!example.output.as_str().contains(token));
            }
        }
    }

    #[test]
    fn any_line_is_answered(line in any::<String>()) {
        prop_assert!(json::event_from_json(&line).is_err());
    }
}
