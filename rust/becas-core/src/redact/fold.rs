//! Which characters are written differently but read the same.

use unicode_normalization::char::decompose_compatible;

/// What a character becomes in the view that is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// It stays.
    Keep,
    /// It is invisible: what stands around it belongs together.
    Drop,
    /// It reads as this ASCII character.
    To(u8),
}

/// First characters of the runs of ten decimal digits outside ASCII that compatibility decomposition leaves
/// alone (Unicode 16, general category Nd).
const ZEROS: [u32; 46] = [
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6,
    0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50,
    0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0x104A0,
    0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x1E950,
];

/// Folds one character outside ASCII.
pub(super) fn fold(character: char) -> Fold {
    match u32::from(character) {
        // Letters of Latin, Greek, Cyrillic, kana, Han and Hangul, quotation marks, the euro sign, emoji: most of all
        // text, none of it folds.
        0xC0..=0x24F
        | 0x370..=0x52F
        | 0x3041..=0x30FB
        | 0x30FD..=0x3163
        | 0x3165..=0x318E
        | 0x3400..=0x9FFF
        | 0xAC00..=0xD7A3
        | 0x2018..=0x201F
        | 0x20AC
        | 0x1F300..=0x1FAFF => Fold::Keep,
        // Soft hyphen, grapheme joiner, fillers, zero-width characters, direction marks, variation selectors,
        // the keycap, the byte order mark, tags.
        0xAD
        | 0x34F
        | 0x61C
        | 0x115F
        | 0x1160
        | 0x17B4..=0x17B5
        | 0x180B..=0x180F
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x206F
        | 0x20E3
        | 0x3164
        | 0xFE00..=0xFE0F
        | 0xFEFF
        | 0xFFA0
        | 0xFFF0..=0xFFFB
        | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A
        | 0xE0000..=0xE0FFF => Fold::Drop,
        0x2010..=0x2015 | 0x2043 | 0x2212 | 0x2796 | 0x30FC => Fold::To(b'-'),
        0x3001 => Fold::To(b','),
        0x3002 | 0xFF61 | 0x2024 | 0x00B7 | 0x2022 => Fold::To(b'.'),
        0x2044 | 0x2215 => Fold::To(b'/'),
        0x223C | 0x2053 => Fold::To(b'~'),
        0x1680 => Fold::To(b' '),
        0x85 | 0x2028 | 0x2029 => Fold::To(b'\n'),
        code => digit(code).or_else(|| compatible(character)).unwrap_or(Fold::Keep),
    }
}

fn digit(code: u32) -> Option<Fold> {
    let zero = ZEROS[..ZEROS.partition_point(|&zero| zero <= code)].last()?;
    let value = u8::try_from(code - zero).ok().filter(|value| *value < 10)?;
    Some(Fold::To(b'0' + value))
}

/// The character's compatibility decomposition, where that is one ASCII character: fullwidth forms, letters and
/// digits of mathematics, circled digits, no-break spaces.
fn compatible(character: char) -> Option<Fold> {
    let (mut only, mut count) = ('\u{FFFD}', 0);
    decompose_compatible(character, |part| {
        only = part;
        count += 1;
    });
    let byte = u8::try_from(only).ok()?;
    (count == 1 && byte.is_ascii_graphic() || byte == b' ').then_some(Fold::To(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_sorted_for_the_binary_search() {
        assert!(ZEROS.is_sorted());
    }

    #[test]
    fn look_alikes_fold_to_ascii() {
        for (written, read) in [
            ('０', b'0'),
            ('９', b'9'),
            ('٣', b'3'),
            ('৭', b'7'),
            ('𝟗', b'9'),
            ('⑤', b'5'),
            ('²', b'2'),
            ('＠', b'@'),
            ('．', b'.'),
            ('。', b'.'),
            ('–', b'-'),
            ('−', b'-'),
            ('\u{A0}', b' '),
            ('\u{2009}', b' '),
            ('\u{3000}', b' '),
            ('Ａ', b'A'),
            ('𝓪', b'a'),
        ] {
            assert_eq!(Fold::To(read), fold(written), "{written}");
        }
    }

    #[test]
    fn invisible_characters_vanish_and_letters_stay() {
        for invisible in [
            '\u{200B}', '\u{200D}', '\u{2060}', '\u{AD}', '\u{FEFF}', '\u{FE0F}', '\u{20E3}',
            '\u{202E}',
        ] {
            assert_eq!(Fold::Drop, fold(invisible), "{}", invisible.escape_unicode());
        }
        for letter in ['é', 'ß', 'я', 'Ω', '任', '가', 'ア', '’', '€', '😀', '½', '٪']
        {
            assert_eq!(Fold::Keep, fold(letter), "{letter}");
        }
    }
}
