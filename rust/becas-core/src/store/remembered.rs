//! What stays of an event that is not, or no longer, stored: enough for idempotency and for its twin.

use super::fields::{Reader, Writer, damaged};
use crate::{
    category::{Category, EventKind},
    error::Result,
    pseudonym::Pseudonym,
    score::Tier,
};

const VERSION: u8 = 1;

/// One page with LMDB's header: more would need runs of free pages, which are slow to find.
const CHUNK_BYTES: usize = 4_000;

/// The longest label kept; yes/no labels are what twins of unstored events need, so longer ones are left out.
const LABEL_BYTES: usize = 32;

/// Why an event is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Fate {
    /// Below the lowest tier, or worse than everything in a full category.
    Rejected = 1,
    /// Beaten by an example with the same input.
    Duplicate = 2,
    /// Stored once; evicted, beaten or expired since.
    Gone = 3,
    /// Erased: nothing but the id is left, and nothing is ever made of it again.
    Erased = 4,
}

/// A remembered event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: Pseudonym,
    pub(super) fate: Fate,
    pub(super) kind: EventKind,
    pub(super) category: Category,
    pub(super) tier: Tier,
    pub(super) time_ms: i64,
    pub(super) user: Option<Pseudonym>,
    pub(super) guild: Option<Pseudonym>,
    pub(super) label: Box<str>,
}

/// The label as it is remembered.
pub(super) fn short_label(label: &str) -> &str {
    if label.len() <= LABEL_BYTES { label } else { "" }
}

impl Entry {
    /// What is left after erasure; kind, category and tier would say what was decided about the member.
    pub(super) fn erased(event: Pseudonym) -> Self {
        Self {
            event,
            fate: Fate::Erased,
            kind: EventKind::CustomExample,
            category: Category::ViolationDetection,
            tier: Tier::Reject,
            time_ms: 0,
            user: None,
            guild: None,
            label: Box::default(),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer
            .pseudonym(self.event)
            .raw(&[self.fate as u8, self.kind as u8, self.category as u8, self.tier as u8])
            .time(self.time_ms)
            .pseudonym_or_none(self.user)
            .pseudonym_or_none(self.guild);
        let label = short_label(&self.label);
        // At most LABEL_BYTES.
        writer.byte(u8::try_from(label.len()).unwrap_or(0)).raw(label.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            event: reader.pseudonym()?,
            fate: match reader.byte()? {
                1 => Fate::Rejected,
                2 => Fate::Duplicate,
                3 => Fate::Gone,
                4 => Fate::Erased,
                _ => return None,
            },
            kind: EventKind::from_number(reader.byte()?)?,
            category: Category::from_number(i32::from(reader.byte()?))?,
            tier: Tier::from_number(i32::from(reader.byte()?))?,
            time_ms: reader.time()?,
            user: reader.pseudonym_or_none()?,
            guild: reader.pseudonym_or_none()?,
            label: {
                let length = usize::from(reader.byte()?);
                std::str::from_utf8(reader.take(length)?).ok()?.into()
            },
        })
    }
}

/// Consecutive entries of one commit, and when they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// When the service got them, milliseconds since the epoch.
    pub(super) arrived_ms: i64,
    pub(super) entries: Vec<Entry>,
}

/// Entries as chunks that fit a page each: `(offset of the first entry, bytes)`.
pub(super) fn encode(arrived_ms: i64, entries: &[Entry]) -> Vec<(u64, Vec<u8>)> {
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < entries.len() {
        let mut body = Writer::new(VERSION);
        body.time(arrived_ms);
        let mut end = start;
        while end < entries.len() && (end == start || body.len() < CHUNK_BYTES - 128) {
            entries[end].write(&mut body);
            end += 1;
        }
        chunks.push((start as u64, body.finish()));
        start = end;
    }
    chunks
}

impl Chunk {
    /// The chunk as it lies on disk, in one piece.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Writer::new(VERSION);
        body.time(self.arrived_ms);
        self.entries.iter().for_each(|entry| entry.write(&mut body));
        body.finish()
    }

    /// The entries, of a damaged chunk too: whatever of them still reads like one, as nothing but ids.
    ///
    /// A byte of those may be wrong, which matters little for an id: it is known, or matches no event. Nothing may be
    /// made of anything else, so they count as erased. Those behind the first that makes no sense are lost.
    pub(super) fn entries(first: u64, bytes: &[u8]) -> Vec<Entry> {
        if let Ok(chunk) = Self::decode(first, bytes) {
            return chunk.entries;
        }
        let mut reader = Reader::unsealed(bytes);
        let _arrived = reader.time();
        std::iter::from_fn(|| Entry::read(&mut reader))
            .map(|entry| Entry::erased(entry.event))
            .collect()
    }

    pub(super) fn decode(first: u64, bytes: &[u8]) -> Result<Self> {
        let what = || format!("the memory of events from {first}");
        let mut reader = Reader::new(bytes, VERSION, &what())?;
        let arrived_ms = reader.time().ok_or_else(|| damaged(&what()))?;
        let mut entries = Vec::new();
        while !reader.is_empty() {
            entries.push(Entry::read(&mut reader).ok_or_else(|| damaged(&what()))?);
        }
        Ok(Self { arrived_ms, entries })
    }
}
