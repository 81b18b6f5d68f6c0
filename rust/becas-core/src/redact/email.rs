//! E-mail addresses, also with letters of any script and written out: `name at host dot com`.

use std::sync::LazyLock;

use memchr::{memchr_iter, memmem};

use super::{
    kind::PersonalData,
    scan::{Found, Scan, is_letter_lead},
    tokens::is_word,
    view::MASK,
};

/// RFC 5321, 4.5.3.1.1, in bytes; letters outside ASCII have several.
const LONGEST_LOCAL: usize = 128;
/// The top-level domains that people spell out or set apart with spaces.
const SPELLED_TOPS: [&str; 24] = [
    "com", "net", "org", "edu", "gov", "info", "biz", "io", "co", "me", "gg", "dev", "app", "uk",
    "de", "fr", "es", "it", "nl", "eu", "us", "ca", "ru", "in",
];

// Text without any of them is the rule: making the searchers again for each would cost more than the search.
static DOTS: [LazyLock<memmem::Finder<'static>>; 2] = [
    LazyLock::new(|| memmem::Finder::new(b" dot ")),
    LazyLock::new(|| memmem::Finder::new(b" DOT ")),
];

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for at in memchr_iter(b'@', scan.bytes) {
        if at < done {
            continue;
        }
        if let Some((start, end)) = address(scan, at, done).or_else(|| set_apart(scan, at, done)) {
            done = end;
            found.push(Found::new(start, end, PersonalData::Email));
        }
    }
}

/// `name at host dot com`, in small letters or capitals.
pub(super) fn find_spelled(scan: &Scan<'_>, found: &mut Vec<Found>) {
    for (at_word, dots) in [b" at ", b" AT "].into_iter().zip(&DOTS) {
        if dots.find(scan.bytes).is_none() {
            continue;
        }
        let dot_word = dots.needle();
        let mut done = 0;
        for dot in dots.find_iter(scan.bytes) {
            if dot < done {
                continue;
            }
            let Some(end) = spelled_end(scan, dot, dot_word) else { continue };
            let host = scan.run_back(dot, LONGEST_LOCAL, |byte| is_word(byte) || byte == b'.');
            let before = &scan.bytes[..host];
            let Some(local_end) = before.len().checked_sub(at_word.len()) else { continue };
            let start = scan
                .run_back(local_end.max(done), LONGEST_LOCAL, |byte| is_word(byte) || byte == b'.');
            if before.ends_with(at_word) && host < dot && start < local_end && start >= done {
                done = end;
                found.push(Found::new(start, end, PersonalData::Email));
            }
        }
    }
    found.sort_by_key(|found| found.start);
    found.dedup_by(|later, earlier| later.start < earlier.end);
}

/// After the first `dot`: labels and further `dot`s, the last label one of the known tops.
fn spelled_end(scan: &Scan<'_>, dot: usize, dot_word: &[u8]) -> Option<usize> {
    let mut at = dot;
    let mut end = None;
    while scan.bytes[at..].starts_with(dot_word) {
        let label = at + dot_word.len();
        at = scan.run(label, is_word);
        end = is_spelled_top(&scan.bytes[label..at]).then_some(at);
    }
    end
}

fn is_spelled_top(label: &[u8]) -> bool {
    SPELLED_TOPS.iter().any(|top| label.eq_ignore_ascii_case(top.as_bytes()))
}

fn address(scan: &Scan<'_>, at: usize, done: usize) -> Option<(usize, usize)> {
    let start = local_start(scan, at, done)?;
    let end = domain_end(scan, at + 1).or_else(|| literal_end(scan, at + 1))?;
    Some((start, end))
}

/// `name @ host.com`.
fn set_apart(scan: &Scan<'_>, at: usize, done: usize) -> Option<(usize, usize)> {
    let local_end =
        at.checked_sub(1).filter(|before| *before >= done && scan.bytes[*before] == b' ')?;
    let domain = at + usize::from(scan.at(at + 1) == Some(b' ')) + 1;
    let start = local_start(scan, local_end, done)?;
    let end = domain_end(scan, domain)?;
    let top = memchr::memrchr(b'.', &scan.bytes[domain..end]).map(|dot| domain + dot + 1)?;
    is_spelled_top(&scan.bytes[top..end]).then_some((start, end))
}

/// Where the local part begins that ends at an offset.
fn local_start(scan: &Scan<'_>, end: usize, done: usize) -> Option<usize> {
    let before = &scan.bytes[done..end];
    if let Some(quoted) = before.strip_suffix(b"\"") {
        let reach = quoted.len().saturating_sub(LONGEST_LOCAL);
        let window = &quoted[reach..];
        // A quote beyond a claim can be within reach where its placeholder stands: then too the claim begins the part.
        let open = memchr::memrchr(b'"', window).or_else(|| memchr::memrchr(MASK, window))?;
        return (reach + open + 1 < quoted.len()).then_some(done + reach + open);
    }
    let mut start = before.len();
    while start > 0 && before.len() - start < LONGEST_LOCAL {
        let Some(length) = local_character(&before[..start]) else { break };
        start -= length;
    }
    // Marks around an address, not of it.
    start += before[start..]
        .iter()
        .take_while(|byte| matches!(byte, b'.' | b'\'' | b'*' | b'~' | b'!' | b'#' | b'_'))
        .count();
    (start < before.len()).then_some(done + start)
}

/// The length of the last character, if a local part can hold it.
fn local_character(before: &[u8]) -> Option<usize> {
    let last = *before.last()?;
    if last < 0x80 {
        let belongs = last.is_ascii_alphanumeric()
            || matches!(
                last,
                b'.' | b'_'
                    | b'-'
                    | b'+'
                    | b'%'
                    | b'\''
                    | b'*'
                    | b'~'
                    | b'!'
                    | b'#'
                    | b'$'
                    | b'^'
                    | b'&'
            );
        return belongs.then_some(1);
    }
    let lead = before.iter().rposition(|byte| *byte >= 0xC0)?;
    is_letter_lead(before[lead]).then_some(before.len() - lead)
}

/// Where a domain with a top-level domain of letters ends.
fn domain_end(scan: &Scan<'_>, start: usize) -> Option<usize> {
    let mut at = start;
    let mut end = None;
    loop {
        let label = at;
        at = scan.run_with_letters(label, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if at == label {
            return end;
        }
        if label > start {
            end = top_end(scan, label, at).or(end);
        }
        if scan.at(at) != Some(b'.') {
            return end;
        }
        at += 1;
    }
}

/// Where a label ends as a top-level domain: at least two letters of one kind, or `xn--…`.
fn top_end(scan: &Scan<'_>, start: usize, end: usize) -> Option<usize> {
    let label = &scan.bytes[start..end];
    if label.len() > 4 && label[..4].eq_ignore_ascii_case(b"xn--") {
        return Some(end);
    }
    let letters = label.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    match label.get(letters) {
        // Letters of another script that follow are the sentence around it: 写信到a@b.com谢谢.
        None | Some(b'-' | 0x80..) if letters >= 2 => Some(start + letters),
        Some(0xC3..) if letters == 0 && is_letter_lead(label[0]) => Some(end),
        _ => None,
    }
}

/// `user@192.0.2.1` and `user@[192.0.2.1]`.
fn literal_end(scan: &Scan<'_>, start: usize) -> Option<usize> {
    let open = usize::from(scan.at(start) == Some(b'['));
    let end = scan.run(start + open, |byte| byte.is_ascii_digit() || byte == b'.');
    let address = std::str::from_utf8(&scan.bytes[start + open..end]).ok()?;
    let address = address.trim_end_matches('.');
    address.parse::<std::net::Ipv4Addr>().ok()?;
    let end = start + open + address.len();
    Some(if open == 1 && scan.at(end) == Some(b']') { end + 1 } else { end })
}
