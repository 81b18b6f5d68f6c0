//! ISO 8601 times, as bots write them.

use prost_types::Timestamp;

/// A time such as `2026-09-13T06:49:35.247Z`, from 1970 to 9999; one without an offset is in UTC. `None` for any other text.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let year = digits(bytes, 0, 4)?;
    let month = after(bytes, 4, b"-").and_then(|()| digits(bytes, 5, 2))?;
    let day = after(bytes, 7, b"-").and_then(|()| digits(bytes, 8, 2))?;
    let hour = after(bytes, 10, b"Tt ").and_then(|()| digits(bytes, 11, 2))?;
    let minute = after(bytes, 13, b":").and_then(|()| digits(bytes, 14, 2))?;
    let second = after(bytes, 16, b":").and_then(|()| digits(bytes, 17, 2))?;
    // A leap second is the first of the next minute.
    if !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (nanos, rest) = fraction(&bytes[19..])?;
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
        - offset(rest)?;
    (0..253_402_300_800).contains(&seconds).then_some(Timestamp { seconds, nanos })
}

fn digits(bytes: &[u8], start: usize, length: usize) -> Option<i64> {
    bytes.get(start..start + length)?.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })
}

fn after(bytes: &[u8], position: usize, expected: &[u8]) -> Option<()> {
    expected.contains(bytes.get(position)?).then_some(())
}

/// Nanoseconds of `.247`, and what follows them; digits past the ninth are dropped.
fn fraction(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".").or_else(|| bytes.strip_prefix(b",")) else {
        return Some((0, bytes));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let nanos = (0..9).fold(0, |value, position| {
        let digit = if position < length { rest[position] - b'0' } else { 0 };
        value * 10 + i32::from(digit)
    });
    Some((nanos, &rest[length..]))
}

/// Seconds east of UTC of `Z`, `+02:00`, `+0200`, `+02` or nothing.
fn offset(bytes: &[u8]) -> Option<i64> {
    let (sign, rest) = match bytes {
        [] | b"Z" | b"z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let minutes = match rest.len() {
        2 => 0,
        4 => digits(rest, 2, 2)?,
        5 => after(rest, 2, b":").and_then(|()| digits(rest, 3, 2))?,
        _ => return None,
    };
    let hours = digits(rest, 0, 2)?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, counted from March so that leap days end a year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// Expected values from `date -u -d TEXT +%s`.
    #[test]
    fn times_are_those_of_date() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2026-09-13T06:49:35.247Z", 1_789_282_175, 247_000_000),
            ("2026-09-13T06:49:35.247", 1_789_282_175, 247_000_000),
            ("2026-09-13t08:49:35,5+02:00", 1_789_282_175, 500_000_000),
            ("2026-09-13 01:49:35-0500", 1_789_282_175, 0),
            ("2024-02-29T23:59:59Z", 1_709_251_199, 0),
            ("2000-03-01T00:00:00+00", 951_868_800, 0),
            ("2016-12-31T23:59:60Z", 1_483_228_800, 0),
            ("9999-12-31T23:59:59.999999999999Z", 253_402_300_799, 999_999_999),
        ] {
            let time = parse(text);

            assert_eq!(
                Some((seconds, nanos)),
                time.map(|time| (time.seconds, time.nanos)),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            "now",
            "2026-09-13",
            "1789282175",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-09-13T24:00:00Z",
            "2026-09-13T06:49:61Z",
            "2026-09-13T06:49:35.Z",
            "2026-09-13T06:49:35+25:00",
            "2026-09-13T06:49:35Zulu",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "９０２６-09-13T06:49:35Z",
            "2026-09-13T06:49:3",
        ] {
            assert_eq!(None, parse(text), "{text}");
        }
    }
}
