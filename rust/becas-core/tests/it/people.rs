//! Everyone whom an event names is known to its example, so that Forget finds it: however an id is written down.

use becas_core::{
    proto::{self, event::Payload},
    pseudonym::{IdKind, Key, Pseudonym},
};
use proptest::prelude::*;

use crate::events::{event, example, scam, words};

const PERSON: &str = "1187654321098765472";

fn pseudonym(raw: &str) -> Pseudonym {
    Key::new([7; 32]).pseudonym(IdKind::User, raw)
}

fn people(payload: Payload) -> Vec<Pseudonym> {
    example(&event(payload)).people
}

fn named_in(text: &str) -> Vec<Pseudonym> {
    people(Payload::ScamDetected(scam(text, true)))
}

#[test]
fn a_disguised_mention_is_a_mention() {
    for text in [
        "<@1187654321098765472>",
        "<@!1187654321098765472>",
        "<@１１８７６５４３２１０９８７６５４７２>",
        "<@11876543210\u{200b}98765472>",
        "１１８７６５４３２１０９８７６５４７２ did it",
        "x1187654321098765472x",
        "1187-6543-2109-8765-472 did it",
        "https://discord.com/users/1187654321098765472",
        "https://discord.com/channels/1/2?by=1187654321098765472",
        "<@𝟏𝟏𝟖𝟕𝟔𝟓𝟒𝟑𝟐𝟏𝟎𝟗𝟖𝟕𝟔𝟓𝟒𝟕𝟐>",
    ] {
        assert!(named_in(text).contains(&pseudonym(PERSON)), "{text}");
    }
    assert!(named_in("<@４２> and the number 43").contains(&pseudonym("42")));
}

#[test]
fn ordinary_numbers_name_nobody() {
    let author = vec![pseudonym("700000000000000123")];

    assert_eq!(author, named_in("42, 4539 1488 0343 6467, +44 7700 900471, 203.0.113.171"));
}

#[test]
fn an_executor_without_a_digit_is_a_person_unless_it_is_a_role() {
    let action = |executor: &str| {
        Payload::ModerationActionExecuted(proto::ModerationActionExecuted {
            action_type: "ban".to_owned(),
            reason: "bob.moderator banned them for a very long time".to_owned(),
            executor_id: executor.to_owned(),
            ..Default::default()
        })
    };
    let stored = example(&event(action("bob.moderator")));
    assert!(stored.people.contains(&pseudonym("bob.moderator")));
    assert!(stored.input.as_str().contains("[USER] banned them"), "{:?}", stored.input);

    for role in ["bot", "System", " moderator "] {
        assert_eq!(vec![pseudonym("700000000000000123")], people(action(role)), "{role}");
    }
}

#[test]
fn a_target_without_a_digit_is_a_person_unless_it_is_a_role() {
    let correction = |target: &str| {
        Payload::AiCorrection(proto::AiCorrection {
            correction: Some(proto::Correction {
                ai_decision: Some(proto::AiDecision {
                    context: "alice.smith wrote this".to_owned(),
                    target: target.to_owned(),
                    ..Default::default()
                }),
                category: "false_positive".to_owned(),
                lesson: words(50),
                ..Default::default()
            }),
        })
    };
    assert!(people(correction("alice.smith")).contains(&pseudonym("alice.smith")));
    assert_eq!(vec![pseudonym("700000000000000123")], people(correction("message")));
}

/// One digit in one of the ways in which it reads the same.
fn digit(value: u32, way: u8) -> String {
    let from = |zero: u32| char::from_u32(zero + value).map(String::from).unwrap_or_default();
    match way {
        0 => from(0xFF10),
        1 => from(0x1D7CE),
        2 => from(0x660),
        3 => format!("{value}\u{200b}"),
        4 => format!("\u{2060}{value}"),
        _ => value.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    // Whatever text gives up a [USER] (or a [SNOWFLAKE], an [ID]) gives up whom to forget.
    #[test]
    fn whoever_is_redacted_can_be_forgotten(
        id in "[1-9][0-9]{16,19}",
        ways in prop::collection::vec(0_u8..12, 20),
        form in 0..4,
        before in "[a-z <@!]{0,12}",
        after in "[a-z <@>]{0,12}",
    ) {
        let written: String = id
            .chars()
            .zip(ways)
            .filter_map(|(character, way)| Some(digit(character.to_digit(10)?, way)))
            .collect();
        let mention = match form {
            0 => format!("<@{written}>"),
            1 => format!("<@!{written}>"),
            2 => format!(" {written} "),
            _ => format!("https://example.org/by/{written} "),
        };
        let stored = example(&event(Payload::ScamDetected(scam(&format!("{before}{mention}{after}"), true))));

        prop_assert!(!stored.input.as_str().contains(&id));
        prop_assert!(stored.people.contains(&pseudonym(&id)), "{:?}", stored.input);
    }
}
