//! International bank account numbers: a country, its length, in any case, with spaces or without.

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
};

/// Countries and lengths of the SWIFT IBAN registry.
const COUNTRIES: [(&[u8; 2], usize); 88] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// The registry's print format: groups of four.
const GROUP: usize = 4;
const LONGEST: usize = 34;

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for digits in &scan.tokens.digits {
        let Some(start) = digits.start.checked_sub(2).filter(|start| *start >= done) else {
            continue;
        };
        if digits.len() < 2
            || !scan.bytes[start..start + 2].iter().all(u8::is_ascii_alphabetic)
            || scan.before(start).is_some_and(|byte| byte.is_ascii_alphanumeric())
        {
            continue;
        }
        if let Some(end) = end(scan, start) {
            done = end;
            found.push(Found::new(start, end, PersonalData::Iban));
        }
    }
}

fn end(scan: &Scan<'_>, start: usize) -> Option<usize> {
    let country =
        [scan.bytes[start].to_ascii_uppercase(), scan.bytes[start + 1].to_ascii_uppercase()];
    let at = COUNTRIES.binary_search_by_key(&country, |(name, _)| **name).ok()?;
    let length = COUNTRIES[at].1;
    let mut characters = [0; LONGEST];
    let (mut count, mut group, mut regular) = (0, 0, true);
    let mut at = start;
    while count < length {
        let byte = scan.at(at)?;
        if byte.is_ascii_alphanumeric() {
            characters[count] = byte.to_ascii_uppercase();
            count += 1;
            group += 1;
        } else if matches!(byte, b' ' | b'-' | b'.' | b'\n')
            && scan.bytes[at - 1].is_ascii_alphanumeric()
        {
            regular &= group == GROUP;
            group = 0;
        } else {
            return None;
        }
        at += 1;
    }
    if scan.at(at).is_some_and(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    // With a slip in it, it is still somebody's: written in one piece or in fours it needs no valid check digits.
    let unbroken = at - start == length;
    let digits = characters[..length].iter().filter(|byte| byte.is_ascii_digit()).count();
    let looks_right = (unbroken || regular) && digits * 2 >= length;
    (looks_right || has_valid_check(&characters[..length])).then_some(at)
}

/// ISO 7064 MOD 97-10, as ISO 13616 applies it.
fn has_valid_check(characters: &[u8]) -> bool {
    let remainder =
        characters[4..].iter().chain(&characters[..4]).fold(0_u32, |remainder, byte| match byte {
            b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
            _ => (remainder * 100 + u32::from(byte - b'A') + 10) % 97,
        });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_sorted_for_the_binary_search() {
        assert!(COUNTRIES.is_sorted());
        assert!(COUNTRIES.iter().all(|(_, length)| *length <= LONGEST));
    }

    #[test]
    fn check_digits_of_the_standards_examples_are_valid() {
        for iban in [
            "GB82WEST12345698765432",
            "DE89370400440532013000",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
        ] {
            assert!(has_valid_check(iban.as_bytes()), "{iban}");
        }
        assert!(!has_valid_check(b"GB82WEST12345698765433"));
    }
}
