//! Small values as a run of fields, sealed with a version and a crc.

use crate::{
    error::{Error, Result},
    pseudonym::Pseudonym,
    redact::Redacted,
};

const PREFIX: usize = 5;

/// Writes fields one after another; numbers are little-endian.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(version: u8) -> Self {
        Self(vec![version, 0, 0, 0, 0])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(super) fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn time(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn pseudonym(&mut self, value: Pseudonym) -> &mut Self {
        self.0.extend_from_slice(&value.0);
        self
    }

    pub(super) fn pseudonym_or_none(&mut self, value: Option<Pseudonym>) -> &mut Self {
        match value {
            None => self.byte(0),
            Some(value) => self.byte(1).pseudonym(value),
        }
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub(super) fn text_or_none(&mut self, value: Option<&Redacted>) -> &mut Self {
        match value {
            None => self.byte(0),
            Some(value) => self.byte(1).text(value.as_str()),
        }
    }

    pub(super) fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    /// The sealed bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let crc = crc(&self.0).to_le_bytes();
        self.0[1..PREFIX].copy_from_slice(&crc);
        self.0
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..1]);
    hasher.update(&bytes[PREFIX..]);
    hasher.finalize()
}

/// Reads fields back in the order in which they were written.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Checks crc and version; `what` names the value in the error.
    pub(super) fn new(bytes: &'a [u8], version: u8, what: &str) -> Result<Self> {
        let sealed = bytes.len() >= PREFIX
            && bytes[0] == version
            && bytes[1..PREFIX] == crc(bytes).to_le_bytes();
        if sealed { Ok(Self(&bytes[PREFIX..])) } else { Err(damaged(what)) }
    }

    /// Of a damaged value, for what can still be told.
    pub(super) fn unsealed(bytes: &'a [u8]) -> Self {
        Self(bytes.get(PREFIX..).unwrap_or_default())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// All that is left.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn time(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn pseudonym(&mut self) -> Option<Pseudonym> {
        self.array().map(Pseudonym)
    }

    #[expect(clippy::option_option, reason = "absent, or the bytes ran out")]
    pub(super) fn pseudonym_or_none(&mut self) -> Option<Option<Pseudonym>> {
        match self.byte()? {
            0 => Some(None),
            _ => self.pseudonym().map(Some),
        }
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    #[expect(clippy::option_option, reason = "absent, or the bytes ran out")]
    pub(super) fn text_or_none(&mut self) -> Option<Option<Redacted>> {
        match self.byte()? {
            0 => Some(None),
            _ => self.text().map(|text| Some(Redacted::trusted(text))),
        }
    }
}

/// The error for a value other than an example that cannot be read.
pub(super) fn damaged(what: &str) -> Error {
    Error::Store { problem: format!("{what} is damaged: restore a backup") }
}
