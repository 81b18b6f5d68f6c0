//! Every kind is produced by some case, and its placeholder is stable.

use std::collections::BTreeSet;

use becas_core::redact::{Ids, PersonalData, Redactor, in_code_points};

use super::{cases_discord, cases_identity, cases_left, cases_secrets, redact};

fn replaced() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    [cases_discord::CASES, cases_identity::CASES, cases_secrets::CASES].into_iter().flatten()
}

#[test]
fn the_tables_have_every_kind_and_two_hundred_cases() {
    let redactor = Redactor::new();
    let found: BTreeSet<_> = replaced()
        .flat_map(|(text, _)| redactor.spans(text, &Ids::new()))
        .map(|span| span.kind)
        // Only an event's own ids are these.
        .chain([PersonalData::Guild, PersonalData::Message, PersonalData::Event])
        .collect();

    assert_eq!(PersonalData::ALL.iter().copied().collect::<BTreeSet<_>>(), found);
    assert!(replaced().count() + cases_left::CASES.len() >= 200);
}

#[test]
fn placeholders_and_redacted_text_stay_as_they_are() {
    for kind in PersonalData::ALL {
        assert_eq!(Some(*kind), PersonalData::from_name(kind.name()));
        assert_eq!(format!("[{}]", kind.name()), kind.placeholder());
        assert_eq!(kind.placeholder(), redact(kind.placeholder()));
    }
    for (text, expected) in replaced() {
        assert_eq!(*expected, redact(expected), "{text:?}");
    }
}

#[test]
fn no_case_is_found_out_by_its_neighbours() {
    for (text, expected) in replaced() {
        for (before, after) in
            [("so ", " ok"), ("(", ")"), ("“", "”"), ("\n", "\n"), ("- ", ", right?")]
        {
            let around = format!("{before}{text}{after}");

            let redacted = redact(&around);

            let end = redacted.len() - after.len();
            // Punctuation at the end may belong to either side; what matters is that nothing more stays.
            assert!(
                redacted.starts_with(before) && redacted[end..] == *after,
                "{around:?} gave {redacted:?}"
            );
            assert_eq!(
                expected.len(),
                redacted[before.len()..end].len(),
                "{around:?} gave {redacted:?}"
            );
        }
    }
}

#[test]
fn offsets_in_code_points_count_characters() {
    let text = "é🎉 jo@example.com, ü 203.0.113.7";
    let spans = Redactor::new().spans(text, &Ids::new());

    let points: Vec<_> = in_code_points(&spans, text)
        .into_iter()
        .map(|span| (span.start, span.end, span.kind))
        .collect();

    assert_eq!(vec![(3, 17, PersonalData::Email), (21, 32, PersonalData::IpAddress)], points);
}
