//! Corrections on their way to whoever judges requests, and cases that wait for a person.

use super::Engine;
use crate::{error::Result, pseudonym::Pseudonym};

/// A correction, as far as a judge of requests needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Grows; where to go on.
    pub cursor: u64,
    /// The event or request that it corrects.
    pub request: Pseudonym,
    /// The right label, where it is stated.
    pub label: Option<String>,
    /// `false_positive`, ….
    pub mistake: String,
    /// Whether a labeller made it.
    pub verified: bool,
    /// When, milliseconds since the epoch.
    pub time_ms: i64,
    /// Whose guild it was made in.
    pub guild: Option<Pseudonym>,
}

/// A corrected event for which no rule gives a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingCase {
    /// The event that was corrected.
    pub event: Pseudonym,
    /// Its category.
    pub category: &'static str,
    /// The wrong label.
    pub label: String,
    /// The redacted message.
    pub input: String,
    /// When it was corrected, milliseconds since the epoch.
    pub time_ms: i64,
}

impl Engine {
    /// Corrections after a cursor, oldest first.
    pub fn outbox(&self, after: u64, limit: usize) -> Result<Vec<Correction>> {
        let entries = self.store.outbox(after, limit)?;
        Ok(entries
            .into_iter()
            .map(|entry| Correction {
                cursor: entry.cursor,
                request: entry.correction.original,
                label: entry.correction.corrected_label.map(|label| label.as_str().to_owned()),
                mistake: entry.correction.mistake.as_str().to_owned(),
                verified: entry.correction.verified,
                time_ms: entry.correction.time_ms,
                guild: entry.correction.guild,
            })
            .collect())
    }

    /// Corrected events that wait for a person's label.
    pub fn labelling_queue(&self, limit: usize) -> Result<Vec<WaitingCase>> {
        let cases = self.store.labelling_queue(None, limit)?;
        Ok(cases
            .into_iter()
            .map(|case| WaitingCase {
                event: case.original,
                category: case.category.name(),
                label: case.label.as_str().to_owned(),
                input: case.correction.message.as_str().to_owned(),
                time_ms: case.correction.time_ms,
            })
            .collect())
    }
}
