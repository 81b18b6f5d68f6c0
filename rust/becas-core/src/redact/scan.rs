//! What a finder is given, and what it gives back.

use std::ops::Range;

use super::{ids::Ids, kind::PersonalData, tokens::Tokens, triggers::Triggers};

/// The view as a finder sees it.
pub(super) struct Scan<'a> {
    /// UTF-8, with [`MASK`](super::view::MASK) over what is claimed.
    pub(super) bytes: &'a [u8],
    pub(super) tokens: &'a Tokens,
    pub(super) ids: &'a Ids,
    /// What occurs in `bytes`, or did before some of it was claimed.
    pub(super) triggers: Triggers,
}

/// A range of the view. Finders give theirs in order and without overlaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    /// None for what stays as it is.
    pub(super) kind: Option<PersonalData>,
}

impl Found {
    pub(super) const fn new(start: usize, end: usize, kind: PersonalData) -> Self {
        Self { start, end, kind: Some(kind) }
    }

    pub(super) const fn kept(start: usize, end: usize) -> Self {
        Self { start, end, kind: None }
    }
}

impl Scan<'_> {
    /// The byte before an offset, if there is one.
    pub(super) fn before(&self, offset: usize) -> Option<u8> {
        offset.checked_sub(1).map(|before| self.bytes[before])
    }

    /// The byte at an offset, if there is one.
    pub(super) fn at(&self, offset: usize) -> Option<u8> {
        self.bytes.get(offset).copied()
    }

    /// How far a run goes on from an offset.
    pub(super) fn run(&self, from: usize, belongs: impl Fn(u8) -> bool) -> usize {
        self.bytes[from..]
            .iter()
            .position(|byte| !belongs(*byte))
            .map_or(self.bytes.len(), |length| from + length)
    }

    /// As [`run`](Self::run), but not beyond `end`.
    pub(super) fn run_within(
        &self,
        from: usize,
        end: usize,
        belongs: impl Fn(u8) -> bool,
    ) -> usize {
        let length = self.bytes[from..end].iter().position(|byte| !belongs(*byte));
        length.map_or(end, |length| from + length)
    }

    /// As [`run`](Self::run), and letters outside ASCII belong to it.
    pub(super) fn run_with_letters(&self, from: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let mut end = from;
        loop {
            end = self.run(end, &belongs);
            // U+3000 to U+303F is punctuation.
            if !self.at(end).is_some_and(is_letter_lead)
                || self.bytes[end..].starts_with(&[0xE3, 0x80])
            {
                return end;
            }
            end = self.run(end + 1, |byte| matches!(byte, 0x80..0xC0));
        }
    }

    /// Where a run begins that ends at an offset, at most `limit` bytes before it.
    pub(super) fn run_back(&self, to: usize, limit: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let first = to.saturating_sub(limit);
        self.bytes[first..to]
            .iter()
            .rposition(|byte| !belongs(*byte))
            .map_or(first, |last| first + last + 1)
    }

    /// Whether neither side of a range continues with an ASCII letter or digit.
    pub(super) fn stands_alone(&self, range: &Range<usize>) -> bool {
        !self.before(range.start).is_some_and(|byte| byte.is_ascii_alphanumeric())
            && !self.at(range.end).is_some_and(|byte| byte.is_ascii_alphanumeric())
    }
}

/// Whether a character that begins with this byte is taken for a letter: not the blocks of punctuation and symbols
/// (U+2000 to U+2FFF), nor emoji.
pub(super) const fn is_letter_lead(lead: u8) -> bool {
    matches!(lead, 0xC3..=0xE1 | 0xE3..=0xED)
}
