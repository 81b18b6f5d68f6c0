//! Why an event is unusable, in a form that says what to mend.

use std::fmt;

/// What is wrong. The names are part of receipts' reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The bytes are not an event, or the line is not JSON.
    Malformed,
    /// Nested deeper than any event is.
    TooDeep,
    /// A required field is empty or absent.
    MissingField,
    /// No event of this name.
    UnknownEvent,
    /// A value outside of a closed set.
    UnknownValue,
    /// A value of another type than the field's.
    WrongType,
    /// A number that is not finite, or outside of the field's range.
    OutOfRange,
    /// More bytes than the field may have.
    TooLarge,
}

impl Code {
    /// The name in reasons.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::TooDeep => "TOO_DEEP",
            Self::MissingField => "MISSING_FIELD",
            Self::UnknownEvent => "UNKNOWN_EVENT",
            Self::UnknownValue => "UNKNOWN_VALUE",
            Self::WrongType => "WRONG_TYPE",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::TooLarge => "TOO_LARGE",
        }
    }
}

/// An unusable event. Holds names of fields only, never what was in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong.
    pub code: Code,
    /// The path of the field: `scam_detected.analysis.confidence`.
    pub field: String,
    /// What to send instead.
    pub remedy: String,
}

impl Invalid {
    pub(crate) fn new(code: Code, field: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, field: field.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Invalid {
    /// The reason of a receipt: `CODE: field.path: remedy`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.code.name(), self.field, self.remedy)
    }
}

impl std::error::Error for Invalid {}
