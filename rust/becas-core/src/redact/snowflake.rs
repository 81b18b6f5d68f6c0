//! Long numbers: Discord's ids and whatever else has 17 digits or more.

use std::ops::Range;

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
};

/// The shortest snowflake has 17 digits, the longest 20.
const SHORTEST: usize = 17;
const LONGEST: usize = 20;
/// Discord's epoch, 2015-01-01, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_420_070_400_000;
/// 2050-01-01: "now" without a clock. It only decides the placeholder's name, since every long number goes.
const LATEST_MS: u64 = 2_524_608_000_000;

pub(super) fn is_long_number(bytes: &[u8]) -> bool {
    bytes.len() >= SHORTEST && bytes.iter().all(u8::is_ascii_digit)
}

/// Every run of 17 digits or more, wherever it stands, and numbers of 17 to 20 digits written in groups.
pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let runs = &scan.tokens.digits;
    let mut at = 0;
    while at < runs.len() {
        let run = &runs[at];
        if run.len() >= SHORTEST {
            found.push(Found::new(run.start, run.end, kind(scan, run)));
            at += 1;
        } else if let Some(last) = grouped(scan, at) {
            found.push(Found::new(run.start, runs[last].end, PersonalData::Id));
            at = last + 1;
        } else {
            at += 1;
        }
    }
}

fn kind(scan: &Scan<'_>, run: &Range<usize>) -> PersonalData {
    let digits = &scan.bytes[run.clone()];
    if let Some(kind) = scan.ids.number(digits) {
        return kind;
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
    let in_our_time = number.is_some_and(|number| (number >> 22) + EPOCH_MS < LATEST_MS);
    if digits.len() <= LONGEST && digits[0] != b'0' && in_our_time {
        PersonalData::Snowflake
    } else {
        PersonalData::Id
    }
}

/// The last of the groups that begin at `first` and make up one number: one separator between all of them, all but
/// the first and the last equally long, 3 digits or more.
fn grouped(scan: &Scan<'_>, first: usize) -> Option<usize> {
    let runs = &scan.tokens.digits;
    let separator = |at: usize| {
        let (left, right) = (runs.get(at)?, runs.get(at + 1)?);
        let byte = scan.bytes[left.end];
        (right.start == left.end + 1
            && matches!(byte, b' ' | b'-' | b'.' | b',' | b'_' | b'\'' | b'/'))
        .then_some(byte)
    };
    let between = separator(first)?;
    if first > 0 && separator(first - 1) == Some(between) {
        return None;
    }
    let size = runs[first + 1].len();
    if size < 3 || runs[first].len() > size {
        return None;
    }
    let mut total = runs[first].len();
    let mut last = first;
    while separator(last) == Some(between) && runs[last].len() <= size && total <= LONGEST {
        last += 1;
        total += runs[last].len();
        if runs[last].len() != size {
            break;
        }
    }
    let complete = separator(last) != Some(between) && runs[last].len() <= size;
    (complete && last >= first + 2 && (SHORTEST..=LONGEST).contains(&total)).then_some(last)
}
