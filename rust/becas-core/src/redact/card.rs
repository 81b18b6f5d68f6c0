//! Payment cards: 13 to 19 digits with an issuer's prefix and a valid Luhn digit.

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
    separator,
};

const SHORTEST: usize = 13;
const LONGEST: usize = 19;

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let runs = &scan.tokens.digits;
    let mut at = 0;
    let mut done = 0;
    while at < runs.len() {
        if let Some(last) = last_group(scan, at, done) {
            found.push(Found::new(runs[at].start, runs[last].end, PersonalData::CreditCard));
            done = runs[last].end;
            at = last + 1;
        } else {
            at += 1;
        }
    }
}

/// The last of the groups, from `first` on, that make up a card's number.
fn last_group(scan: &Scan<'_>, first: usize, done: usize) -> Option<usize> {
    if separator::is_amid_row(scan, first, done, 2) {
        return None;
    }
    let runs = &scan.tokens.digits;
    // The fraction of a decimal number is no card.
    if first > 0
        && runs[first - 1].end + 1 == runs[first].start
        && scan.before(runs[first].start) == Some(b'.')
        && runs[first - 1].len() == 1
    {
        return None;
    }
    let mut digits = [0; LONGEST];
    let mut total = 0;
    let mut last = first;
    let mut best = None;
    let mut separator = None;
    loop {
        let run = &runs[last];
        let filled = total + run.len();
        if filled > LONGEST {
            return best;
        }
        digits[total..filled].copy_from_slice(&scan.bytes[run.clone()]);
        total = filled;
        if total >= 2 && !may_be_issued(&digits[..total.min(2)]) {
            return None;
        }
        if total >= SHORTEST && is_issued(&digits[..total]) && has_valid_luhn(&digits[..total]) {
            best = Some(last);
        }
        let next = between(scan, last);
        if next.is_none()
            || separator.is_some_and(|separator| Some(separator) != next && run.len() != 4)
        {
            return best;
        }
        separator = next;
        last += 1;
    }
}

/// As for other numbers, and a line break.
fn between<'a>(scan: &Scan<'a>, at: usize) -> Option<&'a [u8]> {
    separator::between(scan, at).or_else(|| {
        let (left, right) = (scan.tokens.digits.get(at)?, scan.tokens.digits.get(at + 1)?);
        let bytes = &scan.bytes[left.end..right.start];
        (left.len() >= 4 && matches!(bytes, b"\n" | b"\r\n")).then_some(bytes)
    })
}

/// Whether any issuer's numbers begin with these digits.
fn may_be_issued(start: &[u8]) -> bool {
    matches!(start, [b'2' | b'4' | b'5' | b'6', ..] | [b'3', b'0' | b'4'..=b'9', ..])
}

/// Prefixes and lengths of the issuers (ISO/IEC 7812): Mastercard, Visa, American Express, Diners, JCB, Discover,
/// UnionPay, Maestro.
fn is_issued(digits: &[u8]) -> bool {
    let prefix =
        digits[..4].iter().fold(0_u32, |prefix, digit| prefix * 10 + u32::from(digit - b'0'));
    let lengths = match prefix {
        2221..=2720 | 5100..=5599 => 16..=16,
        3400..=3499 | 3700..=3799 => 15..=15,
        3000..=3059 | 3600..=3699 | 3800..=3999 => 14..=19,
        3528..=3589 => 15..=19,
        4000..=4999 => return matches!(digits.len(), 13 | 16 | 19),
        6011 | 6200..=6299 | 6440..=6599 => 16..=19,
        5000..=5099 | 5600..=5899 | 6000..=6999 => 13..=19,
        _ => return false,
    };
    lengths.contains(&digits.len())
}

/// ISO/IEC 7812-1, annex B.
fn has_valid_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(digit - b'0') << (at % 2);
            value / 10 + value % 10
        })
        .sum();
    sum.is_multiple_of(10)
}
