//! Where the digits and the long words are: found once, read by every finder of numbers and keys.

use std::ops::Range;

use super::separator;

/// Runs of one text, in order.
#[derive(Default)]
pub(super) struct Tokens {
    /// Maximal runs of ASCII digits.
    pub(super) digits: Vec<Range<usize>>,
    /// Whether each run of digits and the one after it can be groups of one number.
    pub(super) joined: Vec<bool>,
    /// Maximal runs of letters, digits, `_` and `-`, of at least [`LONG`] bytes, with a digit in them.
    pub(super) words: Vec<Range<usize>>,
}

/// No key, token or wallet address is shorter.
pub(super) const LONG: usize = 16;

impl Tokens {
    pub(super) fn find(&mut self, bytes: &[u8]) {
        self.digits.clear();
        self.words.clear();
        self.joined.clear();
        let mut at = 0;
        while at < bytes.len() {
            if !is_word(bytes[at]) {
                at += 1;
                continue;
            }
            let start = at;
            let mut has_digit = false;
            while at < bytes.len() && is_word(bytes[at]) {
                if bytes[at].is_ascii_digit() {
                    has_digit = true;
                    let first = at;
                    while at < bytes.len() && bytes[at].is_ascii_digit() {
                        at += 1;
                    }
                    self.digits.push(first..at);
                } else {
                    at += 1;
                }
            }
            if has_digit && at - start >= LONG {
                self.words.push(start..at);
            }
        }
        let gaps = self.digits.windows(2).map(|pair| &bytes[pair[0].end..pair[1].start]);
        self.joined.extend(gaps.map(separator::is_separator));
        self.joined.push(false);
    }
}

/// Whether a byte belongs to a word as keys are written.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_long_words_are_found_once_each() {
        let mut tokens = Tokens::default();

        tokens.find(b"a1b22 sk_live_0123456789 333");

        assert_eq!(vec![1..2, 3..5, 14..24, 25..28], tokens.digits);
        assert_eq!(vec![6..24], tokens.words);
        assert_eq!(vec![false, false, true, false], tokens.joined);
    }
}
