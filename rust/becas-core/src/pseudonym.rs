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
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
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
