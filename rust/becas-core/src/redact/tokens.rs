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
        let end_of = |from: usize, belongs: fn(u8) -> bool| {
            let length = bytes[from..].iter().position(|byte| !belongs(*byte));
            length.map_or(bytes.len(), |length| from + length)
        };
        let mut at = 0;
        // The end of the word that the last run of digits stands in.
        let mut word_end = 0;
        while let Some(next) = bytes[at..].iter().position(u8::is_ascii_digit) {
            let first = at + next;
            if first >= word_end {
                let before = bytes[word_end..first].iter().rposition(|byte| !is_word(*byte));
                let start = before.map_or(word_end, |last| word_end + last + 1);
                word_end = end_of(first, is_word);
                if word_end - start >= LONG {
                    self.words.push(start..word_end);
                }
            }
            at = end_of(first, |byte| byte.is_ascii_digit());
            self.digits.push(first..at);
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
