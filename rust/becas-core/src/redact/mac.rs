//! Hardware addresses: six pairs of hexadecimal digits, or three groups of four.

use std::ops::Range;

use memchr::memchr3_iter;

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
};

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for separator in memchr3_iter(b':', b'-', b'.', scan.bytes) {
        let size = separator - scan.run_back(separator, 5, |byte| byte.is_ascii_hexdigit());
        let start = separator - size;
        let end = match (size, scan.bytes[separator]) {
            _ if start < done => None,
            (2, sign @ (b':' | b'-')) => groups(scan, start, 2, 6, sign),
            (4, sign) => groups(scan, start, 4, 3, sign),
            _ => None,
        };
        if let Some(end) = end {
            done = end;
            found.push(Found::new(start, end, PersonalData::MacAddress));
        }
    }
}

fn groups(
    scan: &Scan<'_>,
    start: usize,
    size: usize,
    count: usize,
    separator: u8,
) -> Option<usize> {
    let end = start + count * (size + 1) - 1;
    let range: Range<usize> = start..end;
    let bytes = scan.bytes.get(range.clone())?;
    let shape = bytes.chunks(size + 1).all(|group| {
        group[..size].iter().all(u8::is_ascii_hexdigit)
            && group.get(size).is_none_or(|byte| *byte == separator)
    });
    // A date or a time is not hexadecimal, and a longer row of groups is something else.
    let mixed = bytes.iter().any(u8::is_ascii_digit) || size == 2;
    let letters = size == 2 || bytes.iter().any(u8::is_ascii_alphabetic);
    let alone = scan.stands_alone(&range)
        && !(scan.at(end) == Some(separator)
            && scan.at(end + 1).is_some_and(|byte| byte.is_ascii_hexdigit()))
        && scan.before(start) != Some(separator);
    (shape && mixed && letters && alone).then_some(end)
}
