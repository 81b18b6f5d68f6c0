//! What a correction makes of the event that it names.

use becas_core::{
    category::{Category, EventKind, Outcome},
    correct::{Original, twin, twin_id},
    draft::{system, validate_output},
    example::{CorrectionOf, Example},
    proto::{self, event::Payload},
    pseudonym::{IdKind, Key, Pseudonym},
    score::Tier,
};

use crate::events::{NOW, event, example, pipeline, prepare, scam, violation, words};

const MESSAGE: &str = "you won, write to prize@example.com";

fn pseudonym(kind: IdKind, raw: &str) -> Pseudonym {
    Key::new([7; 32]).pseudonym(kind, raw)
}

/// What a correction event says of `evt-1`.
fn correction(mistake: &str, label: Option<&str>, action: &str) -> CorrectionOf {
    let correction = proto::Correction {
        ai_decision: Some(proto::AiDecision {
            context: MESSAGE.to_owned(),
            target: "700000000000000777".to_owned(),
            ..Default::default()
        }),
        category: mistake.to_owned(),
        lesson: "Prizes by mail are scams, says jo@example.com".to_owned(),
        moderator_action: Some(proto::ModeratorAction {
            r#type: action.to_owned(),
            ..Default::default()
        }),
        corrected_label: label.map(str::to_owned),
        ..Default::default()
    };
    let mut event =
        event(Payload::AiCorrection(proto::AiCorrection { correction: Some(correction) }));
    event.event_id = "evt-2".into();
    event.user_id = "700000000000000555".into();
    event.causation_id = "evt-1".into();
    *prepare(&event).unwrap().correction.unwrap()
}

fn original<'a>(category: Category, label: &'a str, stored: Option<&'a Example>) -> Original<'a> {
    Original {
        event: pseudonym(IdKind::Event, "evt-1"),
        kind: EventKind::ScamDetected,
        category,
        user: Some(pseudonym(IdKind::User, "700000000000000123")),
        guild: Some(pseudonym(IdKind::Guild, "600000000000000456")),
        time_ms: 5,
        label,
        stored,
    }
}

fn label_of(category: Category, label: &str, correction: &CorrectionOf) -> Option<String> {
    let twin = twin(&original(category, label, None), correction)?;
    // The label of every twin is one of its category.
    assert_eq!(
        Some(twin.label.as_str()),
        validate_output(category, twin.output.as_str()).as_deref()
    );
    Some(twin.label.as_str().to_owned())
}

#[test]
fn a_twin_has_the_first_label_that_a_rule_gives() {
    use Category as C;
    for (category, label, mistake, stated, action, expected) in [
        (C::ScamDetection, "true", "false_positive", None, "ban", Some("false")),
        (C::ScamDetection, "false", "false_negative", None, "ban", Some("true")),
        (C::ScamDetection, "false", "other", Some("false"), "", Some("false")),
        (C::ScamDetection, "true", "false_positive", Some("not a scam"), "", None),
        (C::ScamDetection, "", "false_positive", None, "", None),
        (C::PolicyInterpretation, "false", "false_negative", None, "", Some("true")),
        (C::ViolationDetection, "spam", "false_positive", None, "", Some("none")),
        (C::ViolationDetection, "none", "false_negative", None, "timeout", None),
        (
            C::ViolationDetection,
            "none",
            "false_negative",
            Some("harassment"),
            "",
            Some("harassment"),
        ),
        (C::ModerationDecision, "ban", "too_harsh", None, "warning", Some("warning")),
        (C::ModerationDecision, "ban", "too_harsh", None, "", None),
        (C::SentimentAnalysis, "positive", "wrong", Some("negative"), "", Some("negative")),
        (C::SentimentAnalysis, "positive", "wrong", Some("angry"), "", None),
        (C::SentimentAnalysis, "positive", "wrong", None, "", None),
        (C::WorkflowParsing, "[\"a\"]", "wrong", Some(r#"["B","c"]"#), "", Some(r#"["B","c"]"#)),
        (C::WorkflowParsing, "[\"a\"]", "wrong", Some("b"), "", None),
        (C::IntentClassification, "weather", "wrong", Some("news"), "", Some("news")),
    ] {
        let actual = label_of(category, label, &correction(mistake, stated, action));

        assert_eq!(expected, actual.as_deref(), "{} {label} {mistake} {stated:?}", category.name());
    }
}

#[test]
fn the_twin_of_a_stored_example_takes_its_place() {
    let stored = example(&event(Payload::ScamDetected(scam(MESSAGE, false))));
    let said = correction("false_negative", None, "ban");
    let twin = twin(&original(Category::ScamDetection, "false", Some(&stored)), &said).unwrap();

    assert_eq!(stored.input, twin.input);
    assert_eq!(stored.digest, twin.digest);
    assert_eq!(
        r#"{"isScam":true,"reasoning":"Prizes by mail are scams, says [EMAIL]"}"#,
        twin.output.as_str()
    );
    assert_eq!((9500, Tier::Gold), (twin.score.points(), twin.tier));
    assert_eq!(Outcome::Corrected, twin.outcome);
    assert_eq!((stored.user, stored.guild, NOW), (twin.user, twin.guild, twin.time_ms));
    assert!(twin.human_validated && twin.corrected_twin && !twin.superseded);
    assert_eq!(twin_id(stored.event), twin.event);
    assert_ne!(stored.event, twin.event);
    let mut people: Vec<_> = ["700000000000000123", "700000000000000555", "700000000000000777"]
        .map(|id| pseudonym(IdKind::User, id))
        .into();
    people.sort_unstable();

    assert_eq!(people, twin.people);
}

#[test]
fn the_twin_of_an_event_that_is_not_stored_has_the_input_and_digest_it_would_have_had() {
    let would_be = example(&event(Payload::ScamDetected(scam(MESSAGE, false))));
    let said = correction("false_negative", None, "ban");
    let twin = twin(&original(Category::ScamDetection, "false", None), &said).unwrap();

    assert_eq!(would_be.input, twin.input);
    assert_eq!(would_be.digest, twin.digest);
    assert_eq!(r#"Message: "you won, write to [EMAIL]""#, twin.input.as_str());
    assert!(system(twin.category).starts_with("Decide whether a Discord message is a scam."));
}

#[test]
fn only_a_labellers_correction_with_a_cause_corrects() {
    let payload = || {
        Payload::AiCorrection(proto::AiCorrection {
            correction: Some(proto::Correction {
                ai_decision: Some(proto::AiDecision {
                    context: "m".to_owned(),
                    ..Default::default()
                }),
                category: "false_positive".to_owned(),
                ..Default::default()
            }),
        })
    };
    let without = event(payload());
    let mut with = event(payload());
    with.causation_id = "evt-0".to_owned();

    assert_eq!(None, prepare(&without).unwrap().correction);
    let labeller = pipeline().prepare(&with, NOW, true).unwrap().correction.unwrap();
    assert_eq!((true, pseudonym(IdKind::Event, "evt-0")), (labeller.verified, labeller.original));
    assert!(!pipeline().prepare(&with, NOW, false).unwrap().correction.unwrap().verified);
}

#[test]
fn the_same_message_has_one_digest_whatever_surrounds_it_and_whoever_labels_it() {
    let digest = |text: &str, label: &str, context: &str| {
        let mut violation = violation(1.0);
        violation.evidence = text.to_owned();
        violation.violation_type = label.to_owned();
        let mut event = event(Payload::ViolationDetected(violation));
        event.evidence = Some(proto::Evidence {
            context: context.to_owned(),
            reasoning: words(50),
            ..Default::default()
        });
        example(&event).digest
    };
    let first = digest("Free  NITRO\u{200b} at a@example.com", "spam", "");

    assert_eq!(first, digest("free nitro at b@example.org ", "none", "channel: lounge"));
    assert_ne!(first, digest("free nitro at noon", "spam", ""));
}
