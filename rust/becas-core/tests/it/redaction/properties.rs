//! What holds for any text.

use becas_core::{
    pseudonym::IdKind,
    redact::{Ids, Redactor},
};
use proptest::prelude::*;

use super::{cases_discord, cases_identity, cases_left, cases_secrets};

/// Pieces of which matches are made, and what breaks them.
fn piece() -> impl Strategy<Value = String> {
    let replaced: Vec<_> = [cases_discord::CASES, cases_identity::CASES, cases_secrets::CASES]
        .into_iter()
        .flatten()
        .map(|(text, _)| *text)
        .chain(cases_left::CASES.iter().copied())
        .collect();
    let texts = replaced.clone();
    prop_oneof![
        4 => proptest::sample::select(replaced).prop_map(str::to_owned),
        // Half a case: matches that begin or end in the wrong place.
        4 => (proptest::sample::select(texts), any::<(prop::sample::Index, prop::sample::Index)>()).prop_map(|(text, (from, to))| {
            let characters: Vec<char> = text.chars().collect();
            if characters.is_empty() {
                return String::new();
            }
            let (from, to) = (from.index(characters.len()), to.index(characters.len()));
            characters[from.min(to)..=from.max(to)].iter().collect()
        }),
        2 => "[0-9]{1,20}",
        2 => "[ -/:-@\\[-`{-~]{1,3}",
        1 => proptest::sample::select(vec!["\u{200b}", "\u{a0}", "\u{2028}", "\u{1f}", "\0", "é", "任", "😀", "call ", "\n", "(at)", " dot ", "://", "http://", "[", "]"])
            .prop_map(str::to_owned),
        1 => "\\PC{0,4}",
    ]
}

/// The cases of which all is to go.
fn one_placeholder() -> Vec<&'static str> {
    [cases_discord::CASES, cases_identity::CASES, cases_secrets::CASES]
        .into_iter()
        .flatten()
        .filter(|(_, expected)| {
            expected.starts_with('[')
                && expected.ends_with(']')
                && expected.matches('[').count() == 1
        })
        .map(|(text, _)| *text)
        .collect()
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..8).prop_map(|pieces| pieces.concat())
}

fn ids() -> Ids {
    let mut ids = Ids::new();
    ids.add(IdKind::User, "user-17");
    ids.add(IdKind::Guild, "290926798626357999");
    ids.add(IdKind::Event, "evt_1789282018257_15580a412edb");
    ids
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn redacting_again_changes_nothing(text in text()) {
        let (redactor, ids) = (Redactor::new(), ids());
        let once = redactor.redact(&text, &ids);

        let twice = redactor.redact(once.as_str(), &ids);

        prop_assert_eq!(once.as_str(), twice.as_str());
    }

    #[test]
    fn spans_are_in_order_and_hold_whole_characters(text in text()) {
        let (redactor, ids) = (Redactor::new(), ids());
        let spans = redactor.spans(&text, &ids);

        let mut end = 0;
        let mut rest = String::new();
        for span in &spans {
            prop_assert!(end <= span.start && span.start < span.end);
            prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
            rest.push_str(&text[end..span.start]);
            end = span.end;
        }
        rest.push_str(&text[end..]);
        let redacted = redactor.redact(&text, &ids);
        prop_assert_eq!(spans.is_empty(), redacted.as_str() == text);
        prop_assert!(redacted.as_str().chars().count() >= rest.chars().count());
    }

    #[test]
    fn no_long_number_survives(text in text(), id in "[0-9]{17,20}", after in text()) {
        let ids = ids();
        let redacted = Redactor::new().redact(&format!("{text}{id}{after}"), &ids);

        let runs = redacted.as_str().split(|character: char| !character.is_ascii_digit());
        prop_assert!(runs.map(str::len).max() < Some(17), "{:?}", redacted);
    }

    // Of a case that becomes one placeholder nothing may stay, also when something invisible is put into it.
    #[test]
    fn nothing_of_a_planted_secret_survives(
        before in "[a-z ]{0,20} ",
        after in " [a-z ]{0,20}",
        secret in proptest::sample::select(one_placeholder()),
        place in any::<prop::sample::Index>(),
    ) {
        let places: Vec<_> = secret.char_indices().map(|(place, _)| place).collect();
        let place = places[place.index(places.len())];
        let hidden = format!("{before}{}\u{200b}{}{after}", &secret[..place], &secret[place..]);

        let redacted = Redactor::new().redact(&hidden, &Ids::new()).as_str().replace('\u{200b}', "");

        let visible: Vec<char> = secret.chars().collect();
        for part in visible.windows(8.min(visible.len())) {
            let part: String = part.iter().collect();
            prop_assert!(!redacted.contains(&part), "{} in {:?}", part, redacted);
        }
    }

    #[test]
    fn any_characters_at_all_are_survived(text in any::<String>()) {
        let redactor = Redactor::new();
        let once = redactor.redact(&text, &Ids::new());

        let twice = redactor.redact(once.as_str(), &Ids::new());
        prop_assert_eq!(once.as_str(), twice.as_str());
    }
}
