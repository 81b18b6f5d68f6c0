//! Conversions that every step shares.

use crate::error::Error;

/// A position among the matched, of which there are fewer than 2³² (the first pass sees to it).
#[expect(clippy::cast_possible_truncation, reason = "the first pass refuses more")]
pub(super) const fn index(position: usize) -> u32 {
    position as u32
}

/// The first eight bytes of a hash, little-endian.
pub(super) fn first_word<const LENGTH: usize>(hash: &[u8; LENGTH]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&hash[..8]);
    u64::from_le_bytes(word)
}

/// An encoder's failure; it writes to memory, so that there is nothing a caller could mend.
pub(super) fn io(error: impl std::fmt::Display) -> Error {
    Error::Io { problem: format!("the dataset could not be encoded: {error}") }
}
