//! US social security numbers.

use super::{
    context::has_word_before,
    kind::PersonalData,
    scan::{Found, Scan},
};

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let runs = &scan.tokens.digits;
    let mut at = 0;
    while at < runs.len() {
        if grouped(scan, at) {
            found.push(Found::new(runs[at].start, runs[at + 2].end, PersonalData::UsSsn));
            at += 3;
            continue;
        }
        let digits = &scan.bytes[runs[at].clone()];
        if digits.len() == 9
            && is_issued(&digits[..3], &digits[3..5], &digits[5..])
            && has_word_before(scan, runs[at].start, |word| {
                matches!(word, b"ssn" | b"ssns" | b"ssid" | b"social" | b"security")
            })
        {
            found.push(Found::new(runs[at].start, runs[at].end, PersonalData::UsSsn));
        }
        at += 1;
    }
}

/// Three digits, two, four, with the same separator and nothing that goes on.
fn grouped(scan: &Scan<'_>, at: usize) -> bool {
    let runs = &scan.tokens.digits;
    let Some([area, group, serial]) = runs.get(at..at + 3) else { return false };
    if (area.len(), group.len(), serial.len()) != (3, 2, 4) {
        return false;
    }
    let (first, second) =
        (&scan.bytes[area.end..group.start], &scan.bytes[group.end..serial.start]);
    let separated = first == second && matches!(first, b"-" | b" " | b"." | b" - ");
    let goes_on = |offset: Option<u8>| {
        offset.is_some_and(|byte| byte.is_ascii_alphanumeric() || first == [byte] && byte != b' ')
    };
    let before = goes_on(scan.before(area.start)) && scan.before(area.start) != Some(b'.');
    let after = goes_on(scan.at(serial.end))
        && scan.at(serial.end + 1).is_some_and(|byte| byte.is_ascii_alphanumeric());
    separated
        && !before
        && !after
        && is_issued(
            &scan.bytes[area.clone()],
            &scan.bytes[group.clone()],
            &scan.bytes[serial.clone()],
        )
}

/// No number has a part of zeros only, the area 666, or an area from 900 on (those are tax numbers).
fn is_issued(area: &[u8], group: &[u8], serial: &[u8]) -> bool {
    area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000"
}
