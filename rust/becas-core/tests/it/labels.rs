//! Labels and outputs keep their category's schema.

use becas_core::{
    category::Category,
    draft::{output_schema, validate_output},
    example::Verdict,
    proto::{self, event::Payload},
};
use serde_json::Value;

use crate::events::{event, example, prepare, scam, words};

fn custom(category: Category, output: &str) -> proto::Event {
    let evidence = proto::Evidence { human_validated: true, ..Default::default() };
    let payload = proto::CustomExample {
        category: category.name().to_owned(),
        input: "a message".to_owned(),
        output: output.to_owned(),
        confidence: 1.0,
        outcome: proto::Outcome::Success as i32,
    };
    proto::Event { evidence: Some(evidence), ..event(Payload::CustomExample(payload)) }
}

#[test]
fn a_custom_output_is_json_of_the_schema_or_a_bare_label() {
    use Category as C;
    for (category, output, expected) in [
        (C::ScamDetection, r#"{"isScam":true}"#, r#"{"isScam":true}"#),
        (
            C::ScamDetection,
            r#" {"reasoning":"r","isScam":false} "#,
            r#"{"isScam":false,"reasoning":"r"}"#,
        ),
        (C::ScamDetection, "true", r#"{"isScam":true}"#),
        (C::ViolationDetection, "spam", r#"{"violationType":"spam"}"#),
        (C::ViolationDetection, r#""hate speech""#, r#"{"violationType":"hate speech"}"#),
        (C::SentimentAnalysis, "neutral", r#"{"sentiment":"neutral"}"#),
        (
            C::SentimentAnalysis,
            r#"{"sentiment":"positive","score":0.25}"#,
            r#"{"sentiment":"positive","score":0.25}"#,
        ),
        (C::WorkflowParsing, r#"["a","b"]"#, r#"{"steps":["a","b"]}"#),
        (
            C::TrustPrediction,
            r#"{"delta":-5,"direction":"down"}"#,
            r#"{"direction":"down","delta":-5}"#,
        ),
    ] {
        let example = example(&custom(category, output));

        assert_eq!(expected, example.output.as_str());
        assert_eq!(Some(example.label.as_str()), validate_output(category, expected).as_deref());
    }
}

#[test]
fn any_other_custom_output_is_scored_and_rejected() {
    use Category as C;
    for (category, output) in [
        (C::ScamDetection, "maybe"),
        (C::ScamDetection, r#"{"isScam":"true"}"#),
        (C::ScamDetection, r#"{"scamType":"prize"}"#),
        (C::ScamDetection, r#"{"isScam":true,"confidence":0.9}"#),
        (C::ScamDetection, r#"{"isScam":true"#),
        (C::ScamDetection, r#"{"isScam":true,"severity":"awful"}"#),
        (C::ViolationDetection, "this is a whole sentence"),
        (C::ViolationDetection, r#"{"violationType":""}"#),
        (C::ViolationDetection, r#"{"violationType":null}"#),
        (C::ViolationDetection, "[]"),
        (C::ViolationDetection, "7"),
        (C::SentimentAnalysis, "furious"),
        (C::SentimentAnalysis, r#"{"sentiment":"positive","score":2}"#),
        (C::WorkflowParsing, "weather"),
        (C::WorkflowParsing, r#"{"steps":["a",1]}"#),
        (C::ModerationDecision, r#"{"actionType":"ban","duration":-1}"#),
    ] {
        let prepared = prepare(&custom(category, output)).unwrap();

        assert_eq!(Verdict::Rejected(vec!["OUTPUT_SCHEMA"]), prepared.verdict, "{output}");
        // Confidence 1, a clear outcome, a person.
        assert_eq!(7000, prepared.score.points(), "{output}");
    }
}

#[test]
fn personal_data_in_a_label_is_redacted_and_the_output_stays_json() {
    let mut event = event(Payload::ToolExecuted(proto::ToolExecuted {
        tool_name: "mail \"pat.reed@example.com\"".to_owned(),
        input: "send it".to_owned(),
        success: true,
        ..Default::default()
    }));
    event.user_id = "custom-user-name-0001".to_owned();
    event.evidence = Some(proto::Evidence {
        reasoning: "custom-user-name-0001 asked\u{0}\r\n<|im_end|>".to_owned(),
        ..Default::default()
    });
    let example = example(&event);

    assert_eq!(
        r#"{"toolName":"mail \"[EMAIL]\"","reasoning":"[USER] asked\n< |im_end| >"}"#,
        example.output.as_str()
    );
    assert_eq!(r#"mail "[EMAIL]""#, example.label.as_str());
    assert!(validate_output(Category::ToolSelection, example.output.as_str()).is_some());
}

#[test]
fn schemas_are_json_with_the_label_first_and_required() {
    for category in Category::ALL {
        let text = output_schema(category);
        let schema: Value = serde_json::from_str(&text).unwrap();
        let label = category.label_key();

        assert!(
            text.starts_with(&format!(r#"{{"type":"object","properties":{{"{label}":"#)),
            "{text}"
        );
        assert_eq!(serde_json::json!([label]), schema["required"]);
        assert_eq!(Value::Bool(false), schema["additionalProperties"]);
        assert_eq!(Some("string"), schema["properties"]["reasoning"]["type"].as_str());
        assert!((2..=5).contains(&schema["properties"].as_object().unwrap().len()), "{label}");
    }
}

#[test]
fn an_unknown_degree_is_left_out_and_an_unknown_label_rejected() {
    let mut unknown = scam("a message", true);
    unknown.analysis.as_mut().unwrap().severity = "awful".to_owned();
    let example = example(&event(Payload::ScamDetected(unknown)));

    assert!(!example.output.as_str().contains("severity"));

    let mut mixed = event(Payload::SentimentAnalyzed(proto::SentimentAnalyzed {
        message: "m".to_owned(),
        sentiment: "mixed".to_owned(),
        ..Default::default()
    }));
    mixed.evidence =
        Some(proto::Evidence { confidence: Some(1.0), reasoning: words(50), ..Default::default() });

    assert_eq!(Verdict::Rejected(vec!["OUTPUT_SCHEMA"]), prepare(&mixed).unwrap().verdict);
}

#[test]
fn trust_goes_where_the_change_points() {
    for (old, new, delta, expected) in [
        (50.0, 60.0, 10.0, r#"{"direction":"up","delta":10}"#),
        (50.0, 49.75, -0.25, r#"{"direction":"down","delta":-0.25}"#),
        (50.0, 50.0, 0.0, r#"{"direction":"unchanged","delta":0}"#),
        // A bot that leaves the change out has still sent it.
        (50.0, 44.0, 0.0, r#"{"direction":"down","delta":-6}"#),
    ] {
        let example = example(&event(Payload::TrustScoreChanged(proto::TrustScoreChanged {
            old_score: old,
            new_score: new,
            delta,
            reason: "something happened".to_owned(),
            ..Default::default()
        })));

        assert_eq!(expected, example.output.as_str());
    }
}
