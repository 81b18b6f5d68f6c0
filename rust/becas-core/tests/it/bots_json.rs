//! The bots' JSON.

use becas_core::{
    category::EventKind,
    event::kind,
    json::{event_from_json, parse},
    proto::{self, event::Payload},
};
use serde_json::{Value, json};

fn scam() -> Value {
    json!({
        "eventName": "scam.detected",
        "metadata": {"eventId": "evt-1", "timestamp": "2026-09-13T06:49:35.247Z", "userId": "u", "guildId": "g",
            "causationId": "c", "correlationId": "d"},
        "payload": {"text": "t", "analysis": {"isScam": true, "scamType": "prize", "severity": "high",
            "confidence": 0.9298, "indicators": ["a", "b"], "reasoning": "r", "shouldBanPermanently": false}},
        "evidence": {"humanValidated": true, "outcome": "success", "context": "x", "precedents": 3, "confidence": 0},
    })
}

/// The line with one value replaced.
fn with(path: &str, value: Value) -> String {
    let mut event = scam();
    *event.pointer_mut(path).unwrap() = value;
    event.to_string()
}

fn reason(line: &str) -> String {
    event_from_json(line).unwrap_err().to_string()
}

#[test]
fn every_field_arrives() {
    let expected = proto::Event {
        event_id: "evt-1".to_owned(),
        time: Some(prost_types::Timestamp { seconds: 1_789_282_175, nanos: 247_000_000 }),
        correlation_id: "d".to_owned(),
        causation_id: "c".to_owned(),
        user_id: "u".to_owned(),
        guild_id: "g".to_owned(),
        evidence: Some(proto::Evidence {
            context: "x".to_owned(),
            human_validated: true,
            precedents: Some(3),
            confidence: Some(0.0),
            outcome: Some(proto::Outcome::Success as i32),
            ..Default::default()
        }),
        payload: Some(Payload::ScamDetected(proto::ScamDetected {
            text: "t".to_owned(),
            analysis: Some(proto::ScamAnalysis {
                is_scam: true,
                scam_type: "prize".to_owned(),
                severity: "high".to_owned(),
                confidence: 0.9298,
                indicators: vec!["a".to_owned(), "b".to_owned()],
                reasoning: "r".to_owned(),
                should_ban_permanently: false,
            }),
        })),
    };

    assert_eq!(Ok(expected), event_from_json(&scam().to_string()));
}

#[test]
fn every_kind_has_a_name_and_a_payload() {
    for expected in EventKind::ALL {
        let line = json!({
            "eventName": expected.name(),
            "metadata": {"eventId": "e"},
            "payload": {"success": true, "analysis": {"isScam": true}, "evaluation": {"violates": false}},
        });
        let event = event_from_json(&line.to_string()).unwrap();

        assert_eq!(expected, kind(&event.payload.unwrap()));
    }
}

#[test]
fn nulls_are_absent() {
    let event = event_from_json(&with("/payload/analysis/scamType", Value::Null)).unwrap();
    let Some(Payload::ScamDetected(scam)) = event.payload else { panic!("no scam") };

    assert_eq!("", scam.analysis.unwrap().scam_type);
    assert_eq!(None, event_from_json(&with("/evidence", Value::Null)).unwrap().evidence);
    assert_eq!(None, event_from_json(&with("/metadata/timestamp", Value::Null)).unwrap().time);
    let optional = event_from_json(&with("/evidence/precedents", Value::Null)).unwrap();
    assert_eq!(None, optional.evidence.unwrap().precedents);
}

#[test]
fn unknown_fields_are_ignored_and_counted() {
    let mut event = scam();
    event["version"] = json!(2);
    event["metadata"]["source"] = json!("bot-3");
    event["payload"]["analysis"]["model"] = json!({"name": "m"});
    event["evidence"]["reviewers"] = json!([1, 2]);
    let parsed = parse(&event.to_string());

    assert_eq!(4, parsed.unknown_fields);
    assert_eq!(event_from_json(&scam().to_string()), parsed.event);
    assert_eq!("evt-1", parsed.event_id);
}

#[test]
fn an_unusable_line_names_the_path_and_the_remedy() {
    for (line, expected) in [
        (String::new(), "MALFORMED: event: send one JSON object a line"),
        ("[]".to_owned(), "WRONG_TYPE: event: send an object"),
        ("{\"eventName\": \"\\ud800\"}".to_owned(), "MALFORMED: event: "),
        (with("/eventName", json!("scam.guessed")), "UNKNOWN_EVENT: eventName: "),
        (with("/eventName", json!(7)), "WRONG_TYPE: eventName: send a string"),
        (with("/eventName", Value::Null), "MISSING_FIELD: eventName: "),
        (with("/metadata", Value::Null), "MISSING_FIELD: metadata.eventId: "),
        (with("/metadata", json!("m")), "WRONG_TYPE: metadata: send an object"),
        (with("/metadata/eventId", json!("")), "MISSING_FIELD: metadata.eventId: "),
        (with("/metadata/eventId", json!(17)), "WRONG_TYPE: metadata.eventId: send a string"),
        (
            with("/metadata/timestamp", json!("yesterday")),
            "OUT_OF_RANGE: metadata.timestamp: send ISO 8601",
        ),
        (
            with("/metadata/timestamp", json!(1_789_282_175)),
            "WRONG_TYPE: metadata.timestamp: send a string",
        ),
        (with("/payload", Value::Null), "MISSING_FIELD: payload: "),
        (with("/payload", json!([])), "MISSING_FIELD: payload.analysis.isScam: "),
        (with("/payload/text", json!(["t"])), "WRONG_TYPE: payload.text: send a string"),
        (
            with("/payload/analysis/isScam", json!("yes")),
            "WRONG_TYPE: payload.analysis.isScam: send true or false",
        ),
        (with("/payload/analysis/isScam", Value::Null), "MISSING_FIELD: payload.analysis.isScam: "),
        (
            with("/payload/analysis/confidence", json!("0.9")),
            "WRONG_TYPE: payload.analysis.confidence: send a number",
        ),
        (
            with("/payload/analysis/indicators", json!("a")),
            "WRONG_TYPE: payload.analysis.indicators: send a list",
        ),
        (
            with("/payload/analysis/indicators/1", json!(2)),
            "WRONG_TYPE: payload.analysis.indicators[1]: send a string",
        ),
        (
            with("/evidence/precedents", json!(2.5)),
            "WRONG_TYPE: evidence.precedents: send an integer",
        ),
        (
            with("/evidence/outcome", json!("great")),
            "UNKNOWN_VALUE: evidence.outcome: send one of success, failure, corrected, uncertain",
        ),
        (with("/evidence", json!([])), "WRONG_TYPE: evidence: send an object"),
    ] {
        let actual = reason(&line);

        assert!(actual.starts_with(expected), "{expected} ≠ {actual}");
    }
}

#[test]
fn a_tool_answers_anything_and_nobody_keeps_it() {
    let line = json!({
        "eventName": "tool.executed",
        "metadata": {"eventId": "e"},
        "payload": {"toolName": "t", "input": "i", "success": true, "output": {"deep": [{"er": null}], "n": 1}},
    });
    let parsed = parse(&line.to_string());

    assert_eq!(0, parsed.unknown_fields);
    let Some(Payload::ToolExecuted(tool)) = parsed.event.unwrap().payload else {
        panic!("no tool")
    };
    assert_eq!(None, tool.output);
}

#[test]
fn reasons_never_repeat_what_was_sent() {
    for line in [
        with("/eventName", json!("secret-4711")),
        with("/metadata/timestamp", json!("secret-4711")),
        with("/evidence/outcome", json!("secret-4711")),
        with("/payload/analysis/confidence", json!("secret-4711")),
        "{\"secret-4711".to_owned(),
    ] {
        assert!(!reason(&line).contains("4711"));
    }
}

#[test]
fn whole_numbers_are_integers_however_they_are_written() {
    for (number, expected) in [(json!(3), 3), (json!(3.0), 3), (json!(-1), -1), (json!(1e3), 1000)]
    {
        let event = event_from_json(&with("/evidence/precedents", number)).unwrap();

        assert_eq!(Some(expected), event.evidence.unwrap().precedents);
    }
}
