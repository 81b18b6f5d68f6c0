//! What may stand between the groups of one written number.

use super::scan::Scan;

/// More bytes than this between two groups, and they are two numbers.
const LONGEST: usize = 4;

/// Whether bytes can separate groups of one number: spaces, punctuation, marks of Markdown, or one emoji.
pub(super) fn is_separator(bytes: &[u8]) -> bool {
    let is_mark = |byte: &u8| {
        matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'*' | b'~' | b'|' | b'`' | b'\t')
    };
    bytes.len() <= LONGEST && (bytes.iter().all(is_mark) || is_emoji(bytes))
}

/// The bytes between a run of digits and the next, if they can separate groups of one number.
pub(super) fn between<'a>(scan: &Scan<'a>, at: usize) -> Option<&'a [u8]> {
    let digits = &scan.tokens.digits;
    scan.tokens.joined[at].then(|| &scan.bytes[digits[at].end..digits[at + 1].start])
}

/// Whether a group of at most `longest` digits goes on a row of such, none of them before `done`: a number that is
/// written in single digits or pairs begins with the first.
pub(super) fn is_amid_row(scan: &Scan<'_>, at: usize, done: usize, longest: usize) -> bool {
    let runs = &scan.tokens.digits;
    runs[at].len() <= longest
        && at > 0
        && runs[at - 1].len() == runs[at].len()
        && runs[at - 1].start >= done
        && scan.tokens.joined[at - 1]
}

/// One character of the emoji blocks: U+1F000 to U+1FFFF, U+2600 to U+27BF.
fn is_emoji(bytes: &[u8]) -> bool {
    match bytes {
        [0xF0, 0x9F, _, _] => true,
        [0xE2, second, _] => (0x98..=0x9E).contains(second),
        _ => false,
    }
}
