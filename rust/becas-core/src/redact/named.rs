//! Whom a text names by a number: read off what was redacted, so that nobody hides from erasure but not from redaction.

use super::{kind::PersonalData, redactor::Span, triggers::Triggers, view::View};

/// Ids have so many digits at least. In the markup of a mention every number is one, however short.
const SHORTEST: usize = 17;

/// Appends the numbers in the spans of a text, in the digits that they read as. Some name no user, but a channel or an
/// emoji: nothing in a text tells for sure.
pub(crate) fn numbers(text: &str, spans: &[Span], named: &mut Vec<String>) {
    for span in spans {
        let written = &text[span.start..span.end];
        let view = View::new(written, Triggers::of(written.as_bytes()));
        let read = view.bytes();
        // An id may be written in groups.
        let is_one_number = matches!(span.kind, PersonalData::Snowflake | PersonalData::Id)
            || (span.kind == PersonalData::User && read.starts_with(b"<@"));
        if is_one_number {
            named.push(text_of(read.iter().filter(|byte| byte.is_ascii_digit())));
        } else {
            named.extend(
                read.split(|byte| !byte.is_ascii_digit())
                    .filter(|digits| digits.len() >= SHORTEST)
                    .map(text_of),
            );
        }
    }
}

fn text_of<'a>(digits: impl IntoIterator<Item = &'a u8>) -> String {
    digits.into_iter().map(|digit| char::from(*digit)).collect()
}
