//! Chance as a function of the seed and the example: the same in every run, whatever was stored before.

use crate::store::ExampleId;

/// What chance decides; each use draws on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Draw {
    /// Which of two examples of one quality goes first.
    Tie = b't',
    /// Where a line stands in the file.
    Order = b'o',
    /// Which of two equally large groups is placed on a side of the split first.
    Split = b's',
}

impl Draw {
    /// The first 8 bytes, little-endian, of BLAKE3 over the use's byte, the seed (8 bytes, little-endian),
    /// the category's byte and the sequence (8 bytes, little-endian).
    pub(super) fn number(self, seed: u64, id: ExampleId) -> u64 {
        let mut message = [0; 18];
        message[0] = self as u8;
        message[1..9].copy_from_slice(&seed.to_le_bytes());
        message[9] = id.category as u8;
        message[10..].copy_from_slice(&id.sequence.to_le_bytes());
        super::numbers::first_word(blake3::hash(&message).as_bytes())
    }
}
