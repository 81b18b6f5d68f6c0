//! What the redactor takes out, what it leaves, and that it does so safely and in linear time.

mod cases_discord;
mod cases_identity;
mod cases_left;
mod cases_secrets;
mod evasion;
mod event_ids;
mod growth;
mod properties;
mod totals;

use becas_core::redact::{Ids, Redactor};

fn redact(text: &str) -> String {
    Redactor::new().redact(text, &Ids::new()).as_str().to_owned()
}

/// Compares every row of a table and names all that differ at once.
fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<_> = cases
        .iter()
        .map(|(text, expected)| (text, expected, redact(text)))
        .filter(|(_, expected, redacted)| *expected != redacted)
        .map(|(text, expected, redacted)| {
            format!("{text:?}\n   expected {expected:?}\n   redacted {redacted:?}")
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
