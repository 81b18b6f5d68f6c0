//! The reasons that the store adds to receipts.

/// Accepted: it took the place of a worse example with the same input.
pub const REPLACED: &str = "REPLACED";
/// Duplicate: an example with the same input and label is better.
pub const SAME_INPUT: &str = "SAME_INPUT";
/// Duplicate: an example with the same input and another label is better.
pub const CONFLICT: &str = "CONFLICT";
/// Accepted: it was corrected before it came.
pub const SUPERSEDED: &str = "SUPERSEDED";
/// No rule gives the corrected event a label: the case waits for a person.
pub const NO_CORRECTED_LABEL: &str = "NO_CORRECTED_LABEL";
/// Rejected: its category is full of better examples.
pub const CAPACITY: &str = "CAPACITY";
