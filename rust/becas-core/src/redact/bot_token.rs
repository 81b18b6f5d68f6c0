//! Discord tokens: three parts of base64 with the user's id in the first, or the older `mfa.` form.

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
    tokens::is_word,
};

/// Base64 of 17 to 20 digits; a snowflake's first digit makes the first letter M, N or O.
const ID: std::ops::RangeInclusive<usize> = 23..=28;
/// Base64 of the time when it was made.
const TIME: std::ops::RangeInclusive<usize> = 6..=7;
/// Base64 of a signature.
const SIGNATURE: usize = 27;
/// Documented as 84; cut ones count as well.
const MFA: usize = 20;

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for word in &scan.tokens.words {
        if word.start < done {
            continue;
        }
        if let Some((start, end)) =
            three_parts(scan, word.start, word.end).or_else(|| mfa(scan, word.start, word.end))
        {
            done = end;
            found.push(Found::new(start, end, PersonalData::BotToken));
        }
    }
}

fn three_parts(scan: &Scan<'_>, start: usize, end: usize) -> Option<(usize, usize)> {
    // Markdown's underscores are no part of the id.
    let start = scan.run(start, |byte| matches!(byte, b'_' | b'-'));
    if !ID.contains(&(end - start))
        || !matches!(scan.at(start), Some(b'M' | b'N' | b'O'))
        || scan.at(end) != Some(b'.')
    {
        return None;
    }
    let time = scan.run(end + 1, is_word);
    if !TIME.contains(&(time - end - 1)) || scan.at(time) != Some(b'.') {
        return None;
    }
    let signature = scan.run(time + 1, is_word);
    (signature - time > SIGNATURE).then_some((start, signature))
}

fn mfa(scan: &Scan<'_>, start: usize, end: usize) -> Option<(usize, usize)> {
    let before = scan.bytes[..start].strip_suffix(b"mfa.")?;
    let alone = !before.last().is_some_and(u8::is_ascii_alphanumeric);
    (alone && end - start >= MFA).then_some((before.len(), end))
}
