//! IPv4 and IPv6 addresses.

use std::{net::Ipv6Addr, ops::Range};

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
};

/// The longest way to write an IPv6 address.
const LONGEST: usize = 45;

pub(super) fn find_v4(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let runs = &scan.tokens.digits;
    let mut at = 0;
    while at + 3 < runs.len() {
        // Most numbers fail at their first dot.
        if !is_dotted(scan, at) {
            at += 1;
            continue;
        }
        let four = &runs[at..at + 4];
        let joined = is_dotted(scan, at + 1) && is_dotted(scan, at + 2);
        let is_byte =
            |run: &Range<usize>| run.len() <= 3 && number(&scan.bytes[run.clone()]) <= 255;
        let start = four[0].start;
        if joined && four.iter().all(is_byte) && !continues(scan, at) && !is_version(scan, start) {
            found.push(Found::new(start, four[3].end, PersonalData::IpAddress));
            at += 4;
        } else {
            at += 1;
        }
    }
}

/// Whether a dot and nothing else stands between a run of digits and the next.
fn is_dotted(scan: &Scan<'_>, at: usize) -> bool {
    let runs = &scan.tokens.digits;
    let end = runs[at].end;
    scan.bytes.get(end) == Some(&b'.') && runs.get(at + 1).is_some_and(|next| next.start == end + 1)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// Whether the four numbers are part of a longer row: a version, a section, an object identifier.
fn continues(scan: &Scan<'_>, at: usize) -> bool {
    at > 0 && is_dotted(scan, at - 1) || is_dotted(scan, at + 3)
}

/// `v1.2.3.4`, `version 1.2.3.4`.
fn is_version(scan: &Scan<'_>, start: usize) -> bool {
    let word = scan.run_back(start, 2, |byte| byte.is_ascii_alphabetic());
    let after_word = scan.before(start) == Some(b' ')
        && start.checked_sub(b"version ".len()).is_some_and(|from| {
            scan.bytes[from..].get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"version"))
        });
    scan.bytes[word..start].eq_ignore_ascii_case(b"v") || after_word
}

pub(super) fn find_v6(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let belongs = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    let mut done = 0;
    for colon in memchr::memchr_iter(b':', scan.bytes) {
        if colon < done {
            continue;
        }
        let start = scan.run_back(colon, 4, |byte| byte.is_ascii_hexdigit());
        let hex_end = scan.run(colon, belongs);
        done = hex_end;
        let mixed_end = scan.run(hex_end, |byte| byte.is_ascii_digit() || byte == b'.');
        let ends = [mixed_end, hex_end, hex_end - usize::from(scan.bytes[hex_end - 1] == b':')];
        let end = ends.into_iter().find(|end| {
            *end > start
                && end - start <= LONGEST
                && scan.stands_alone(&(start..*end))
                && is_address(&scan.bytes[start..*end])
        });
        if let Some(end) = end
            && !is_slice(scan, start, end)
        {
            done = end.max(colon + 1);
            found.push(Found::new(start, end, PersonalData::IpAddress));
        }
    }
}

/// An address that is no path in a program (`bad::cafe`) and no pair of numbers (`1::2`).
fn is_address(bytes: &[u8]) -> bool {
    let telling = bytes.iter().any(u8::is_ascii_digit)
        && (bytes == b"::1"
            || bytes.starts_with(b"::ffff:")
            || bytes.split(|byte| *byte == b':').count() > 4
            || bytes.split(|byte| *byte == b':').any(|group| group.len() >= 3));
    telling && std::str::from_utf8(bytes).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// `items[::1]` in a program.
fn is_slice(scan: &Scan<'_>, start: usize, end: usize) -> bool {
    end - start < 4
        && scan.before(start) == Some(b'[')
        && start > 1
        && scan.bytes[start - 2].is_ascii_alphanumeric()
}
