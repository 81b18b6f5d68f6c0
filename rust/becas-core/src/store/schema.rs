//! Every name and key layout on disk, and the version that they have together.

use std::fmt;

use crate::{
    category::Category,
    error::{Error, Result},
    pseudonym::Pseudonym,
};

/// Raised with every change of a layout in this file or in the codecs.
pub(super) const VERSION: u32 = 1;

/// LMDB's own data file, in the store's directory.
pub(super) const DATA_FILE: &str = "data.mdb";
/// LMDB's own table of readers, beside it.
pub(super) const READERS_FILE: &str = "lock.mdb";
/// Held with `flock` while the store is open, so that no second process opens it.
pub(super) const LOCK_FILE: &str = "store.lock";
/// Directory of the environment that a rewrite fills before it takes the place of the old one.
pub(super) const REWRITE_DIRECTORY: &str = "rewrite";

/// The databases of the environment; all keys are big-endian, so that bytes order as numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// `category u8, sequence u64` → an example record. Nearly appended: each category grows at its end.
    Examples,
    /// `number u64` of the first entry → a chunk of remembered events that are not stored.
    Remembered,
    /// The fixed names below → single values.
    Meta,
    /// `original 16, arrival u64` → a correction whose original has not come yet.
    Pending,
    /// `cursor u64` → a correction, for the process that judges shadow requests.
    Outbox,
    /// `original 16` → a correction that no rule gives a label, or the mark that a later one did.
    Labelling,
    /// `guild 16` → the guild's word, granted or withdrawn.
    Consent,
    /// `dataset id` → the ids of the examples that it holds.
    Datasets,
}

impl Name {
    pub(super) const ALL: [Self; 8] = [
        Self::Examples,
        Self::Remembered,
        Self::Meta,
        Self::Pending,
        Self::Outbox,
        Self::Labelling,
        Self::Consent,
        Self::Datasets,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Examples => "examples",
            Self::Remembered => "remembered",
            Self::Meta => "meta",
            Self::Pending => "pending",
            Self::Outbox => "outbox",
            Self::Labelling => "labelling",
            Self::Consent => "consent",
            Self::Datasets => "datasets",
        }
    }
}

/// `meta`: the schema version, u32.
pub(super) const META_VERSION: &[u8] = b"version";
/// `meta`: the fingerprint of the key that made every pseudonym, 16 bytes.
pub(super) const META_FINGERPRINT: &[u8] = b"fingerprint";
/// `meta`: the counters, see `counters.rs`.
pub(super) const META_COUNTERS: &[u8] = b"counters";
/// `meta`: present while free pages may keep erased bytes.
pub(super) const META_REWRITE_DUE: &[u8] = b"rewrite-due";

/// Names an example for good: sequences are never given twice. Shown as `scam_detection-42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExampleId {
    /// The category that it is stored under.
    pub category: Category,
    /// Counts up from 1 in each category.
    pub sequence: u64,
}

impl fmt::Display for ExampleId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.category.name(), self.sequence)
    }
}

impl std::str::FromStr for ExampleId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.rsplit_once('-')
            .and_then(|(category, sequence)| {
                let id = Self {
                    category: Category::from_name(category)?,
                    sequence: sequence.parse().ok()?,
                };
                // One spelling only: `+1` and `01` parse as numbers too.
                (id.to_string() == text).then_some(id)
            })
            .ok_or_else(|| Error::InvalidArgument {
                field: "example_id".to_owned(),
                problem: "send {category}-{sequence}, as ListExamples gives it".to_owned(),
            })
    }
}

impl ExampleId {
    pub(super) const KEY_LENGTH: usize = 9;

    pub(super) fn key(self) -> [u8; Self::KEY_LENGTH] {
        let mut key = [0; Self::KEY_LENGTH];
        key[0] = self.category as u8;
        key[1..].copy_from_slice(&self.sequence.to_be_bytes());
        key
    }

    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let (&category, sequence) = key.split_first()?;
        Some(Self {
            category: Category::from_number(i32::from(category))?,
            sequence: u64::from_be_bytes(sequence.try_into().ok()?),
        })
    }
}

/// The key of `remembered` and `outbox`.
pub(super) const fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(super) fn number_from_key(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// The key of `pending`: several corrections may wait for one original, and are applied as they came.
pub(super) fn pending_key(original: Pseudonym, arrival: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&original.0);
    key[16..].copy_from_slice(&arrival.to_be_bytes());
    key
}

pub(super) fn pseudonym_from_key(key: &[u8]) -> Option<Pseudonym> {
    Some(Pseudonym(key.get(..16)?.try_into().ok()?))
}
