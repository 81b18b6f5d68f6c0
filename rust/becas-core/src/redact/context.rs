//! The words around a number.

use super::{scan::Scan, view::MASK};

/// How far before a number its words stand, in bytes.
const REACH: usize = 32;
/// How many words that are.
const WORDS: usize = 5;
/// Longer words are none that anyone asks for.
const LONGEST_WORD: usize = 12;

/// Whether one of the last words before an offset, on the same line, is wanted; words are given in small letters.
pub(super) fn has_word_before(
    scan: &Scan<'_>,
    offset: usize,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> bool {
    let reach = &scan.bytes[offset.saturating_sub(REACH)..offset];
    let line = reach.iter().rposition(|byte| matches!(*byte, b'\n' | MASK)).map_or(0, |at| at + 1);
    let line = &reach[line..];
    line.iter().any(u8::is_ascii_alphabetic)
        && line
            .rsplit(|byte| !byte.is_ascii_alphabetic())
            .filter(|word| !word.is_empty())
            .take(WORDS)
            .any(|word| in_small_letters(word, &is_wanted))
}

/// Whether the word that follows an offset, after a space, dash or bracket, is wanted.
pub(super) fn has_word_after(
    scan: &Scan<'_>,
    offset: usize,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> bool {
    let gap = scan.bytes[offset..]
        .iter()
        .take(3)
        .take_while(|byte| matches!(byte, b' ' | b'-' | b'(' | b','))
        .count();
    let start = offset + gap;
    let end = scan.run(start, |byte| byte.is_ascii_alphabetic()).min(start + LONGEST_WORD + 1);
    gap > 0 && in_small_letters(&scan.bytes[start..end], is_wanted)
}

fn in_small_letters(word: &[u8], is_wanted: impl Fn(&[u8]) -> bool) -> bool {
    let mut small = [0; LONGEST_WORD];
    let Some(small) = small.get_mut(..word.len()) else { return false };
    small.copy_from_slice(word);
    small.make_ascii_lowercase();
    is_wanted(small)
}
