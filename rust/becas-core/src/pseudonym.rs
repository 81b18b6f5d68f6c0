//! Keyed pseudonyms: the only form in which an id is stored or logged.

use std::fmt;

/// What an id names; ids of different kinds never share a pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum IdKind {
    User = b'u',
    Guild = b'g',
    Channel = b'c',
    Message = b'm',
    /// Event and request ids share one space: a correction may name either.
    Event = b'e',
}

/// The first 16 bytes of BLAKE3 keyed with the store's key over the kind's byte and the raw id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pseudonym(pub [u8; 16]);

impl fmt::Display for Pseudonym {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digits of a table are ASCII.
        formatter.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl Pseudonym {
    /// The 32 lowercase hexadecimal digits by which it is shown.
    pub(crate) fn digits(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 32];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        digits
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The store's secret, 32 bytes; never printed.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(****)")
    }
}

impl Key {
    /// A key of raw bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Tells keys apart without giving them away: 16 bytes of a hash keyed with the key itself.
    pub fn fingerprint(&self) -> [u8; 16] {
        truncated(blake3::keyed_hash(&self.0, b"becas-ft key fingerprint"))
    }

    /// The first 16 bytes of a hash of redacted text, keyed so that it cannot confirm a guess at the text.
    pub(crate) fn digest(&self, text: &[u8]) -> [u8; 16] {
        // No kind of id has this byte.
        self.hash(b'i', text)
    }

    /// The pseudonym of a raw id.
    pub fn pseudonym(&self, kind: IdKind, raw: &str) -> Pseudonym {
        Pseudonym(self.hash(kind as u8, raw.as_bytes()))
    }

    fn hash(&self, kind: u8, bytes: &[u8]) -> [u8; 16] {
        // In one piece, since a hasher of its own costs more than hashing an id.
        let mut buffer = [0; STACK_BYTES];
        let hash = if let Some(joined) = buffer.get_mut(..=bytes.len()) {
            joined[0] = kind;
            joined[1..].copy_from_slice(bytes);
            blake3::keyed_hash(&self.0, joined)
        } else {
            blake3::Hasher::new_keyed(&self.0).update(&[kind]).update(bytes).finalize()
        };
        truncated(hash)
    }
}

/// Ids and most messages fit.
const STACK_BYTES: usize = 512;

/// The first 16 bytes: what is kept of a hash.
pub(crate) fn truncated(hash: blake3::Hash) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{IdKind, Key, Pseudonym};

    const KEY: Key = Key::new(*b"whats the Elvish word for friend");

    #[test]
    fn the_hash_is_keyed() {
        // github.com/BLAKE3-team/BLAKE3, test_vectors/test_vectors.json: bytes 0, 1, … 250, 0, 1, …; the longer input
        // does not fit the stack.
        for (length, expected) in
            [(1, "6d7878dfff2f485635d39013278ae14f"), (1023, "c951ecdf03288d0fcc96ee3413563d8a")]
        {
            let input: Vec<u8> = (0..=250).cycle().take(length).collect();

            assert_eq!(expected, Pseudonym(KEY.hash(input[0], &input[1..])).to_string());
        }
    }

    #[test]
    fn ids_of_different_kinds_and_of_different_stores_share_no_pseudonym() {
        let kinds = [IdKind::User, IdKind::Guild, IdKind::Channel, IdKind::Message, IdKind::Event];
        let mut pseudonyms: Vec<Pseudonym> =
            kinds.map(|kind| KEY.pseudonym(kind, "700000000000000123")).into();
        pseudonyms.push(Key::new([7; 32]).pseudonym(IdKind::User, "700000000000000123"));
        pseudonyms.sort_unstable();
        pseudonyms.dedup();

        assert_eq!(kinds.len() + 1, pseudonyms.len());
    }
}
