//! Placeholders that the text already holds: they stay, and nothing is found inside them.

use memchr::memchr_iter;

use super::{
    ids::Ids,
    kind::PersonalData,
    scan::{Found, Scan},
};

/// No placeholder is longer: `[EMOJI:` and a name of 32 characters.
const LONGEST: usize = 40;

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let bytes = scan.bytes;
    for start in memchr_iter(b'[', bytes) {
        let reach = &bytes[start + 1..bytes.len().min(start + LONGEST)];
        let length = reach
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
            .count();
        if reach.get(length) == Some(&b']') && is_placeholder(&reach[..length], scan.ids) {
            found.push(Found::kept(start, start + length + 2));
        }
    }
}

fn is_placeholder(inside: &[u8], ids: &Ids) -> bool {
    if !inside.first().is_some_and(u8::is_ascii_uppercase) {
        return false;
    }
    let Ok(inside) = std::str::from_utf8(inside) else { return false };
    inside.strip_prefix("EMOJI:").is_some_and(|name| is_plain_emoji_name(name, ids))
        || PersonalData::from_name(inside).is_some()
}

/// Whether an emoji's name says nothing but what the emoji shows: 2 to 32 of Discord's characters, no number long
/// enough to be anyone's, and none of the event's ids.
pub(super) fn is_plain_emoji_name(name: &str, ids: &Ids) -> bool {
    (2..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().filter(u8::is_ascii_digit).count() < 5
        && !ids.occur_in(name.as_bytes())
}
