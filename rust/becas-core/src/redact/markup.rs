//! Discord's markup in angle brackets: mentions, channels, roles, custom emoji, timestamps.

use memchr::memchr_iter;

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
};

/// The longest markup: an animated emoji with a name of 32 characters and an id of 20.
const LONGEST: usize = 64;

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    for start in memchr_iter(b'<', scan.bytes) {
        let reach = &scan.bytes[start + 1..scan.bytes.len().min(start + LONGEST)];
        let Some(length) = reach.iter().position(|byte| matches!(byte, b'>' | b'<')) else {
            continue;
        };
        if reach[length] == b'>'
            && let Some(kind) = kind(&reach[..length])
        {
            found.push(Found::new(start, start + length + 2, kind));
        }
    }
}

fn kind(inside: &[u8]) -> Option<PersonalData> {
    let (sign, rest) = inside.split_first()?;
    match sign {
        b'@' => match rest.split_first()? {
            (b'&', id) => is_id(id).then_some(PersonalData::Role),
            (b'!', id) => is_id(id).then_some(PersonalData::User),
            _ => is_id(rest).then_some(PersonalData::User),
        },
        b'#' => is_id(rest).then_some(PersonalData::Channel),
        b':' => is_emoji(rest).then_some(PersonalData::CustomEmoji),
        b'a' => is_emoji(rest.strip_prefix(b":")?).then_some(PersonalData::CustomEmoji),
        b't' => is_timestamp(rest.strip_prefix(b":")?).then_some(PersonalData::Timestamp),
        _ => None,
    }
}

/// Ids are snowflakes, but shorter numbers in this form are ids as well: of other systems and of tests.
fn is_id(bytes: &[u8]) -> bool {
    (1..=25).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit)
}

fn is_emoji(bytes: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', bytes) else { return false };
    let (name, id) = (&bytes[..colon], &bytes[colon + 1..]);
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && is_id(id)
}

/// `1618953630`, with a style or without: `1618953630:R`.
fn is_timestamp(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
    match memchr::memchr(b':', bytes) {
        Some(colon) => {
            is_id(&bytes[..colon])
                && bytes.len() == colon + 2
                && bytes[colon + 1].is_ascii_alphabetic()
        }
        None => is_id(bytes),
    }
}
