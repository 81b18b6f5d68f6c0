//! Text that may be stored.

use std::fmt;

/// Text without personal data. Built only by the redactor, or read back from the store.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Redacted(String);

impl Redacted {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Text that was redacted before it was stored, and constants of the program.
    pub(crate) fn trusted(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}
