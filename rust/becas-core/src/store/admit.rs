//! The rules of admission: what becomes of one event, given everything before it.

use std::ops::Range;

use heed::RwTxn;

use super::{
    codec::{self, Header},
    environment::{Failure, Tables, lmdb},
    index::{Index, Place, eviction_rank, ranked_sequence},
    metrics::Tally,
    reason,
    remembered::{self, Chunk, Entry, Fate, short_label},
    schema::{self, ExampleId, number_key},
};
use crate::{
    category::{Category, EventKind},
    correct::Original,
    error::{Error, Result},
    example::{CorrectionOf, Example, InputDigest, Prepared, Verdict},
    pseudonym::Pseudonym,
    score::Tier,
};

/// Makes the twin of a corrected event, or none where no rule gives a label.
pub type TwinMaker = fn(&Original<'_>, &CorrectionOf) -> Option<Example>;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Stored as an example.
    Accepted,
    /// Known under this id, or beaten by an example with the same input.
    Duplicate,
    /// Counted, not stored.
    Rejected,
    /// Its guild has not consented; nothing is kept of it.
    Refused,
}

/// The store's part of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// What became of it.
    pub status: Status,
    /// Why: the event's own reasons where it was rejected, and those of [`reason`].
    pub reasons: Vec<&'static str>,
}

impl Admission {
    const fn plain(status: Status) -> Self {
        Self { status, reasons: Vec::new() }
    }
}

/// An event as the writer takes it: its example is a record already, made on the caller's thread.
#[derive(Debug)]
pub(super) struct Item {
    event: Pseudonym,
    guild: Option<Pseudonym>,
    user: Option<Pseudonym>,
    time_ms: i64,
    kind: EventKind,
    category: Category,
    tier: Tier,
    label: Box<str>,
    offer: Offer,
    correction: Option<Box<CorrectionOf>>,
}

#[derive(Debug)]
enum Offer {
    Example { header: Header, record: Range<usize> },
    Rejected(Vec<&'static str>),
}

impl Item {
    /// Encodes an event; its record goes to the end of `records`.
    pub(super) fn encode(prepared: Prepared, records: &mut Vec<u8>) -> Result<Self> {
        let offer = match prepared.verdict {
            Verdict::Example(example) => {
                if example.category != prepared.category || example.event != prepared.event {
                    return Err(Error::InvalidArgument {
                        field: "event".to_owned(),
                        problem: "its example has another id or category than itself".to_owned(),
                    });
                }
                let start = records.len();
                let header = codec::encode(&example, records)?;
                Offer::Example { header, record: start..records.len() }
            }
            Verdict::Rejected(reasons) => Offer::Rejected(reasons),
        };
        Ok(Self {
            event: prepared.event,
            guild: prepared.guild,
            user: prepared.user,
            time_ms: prepared.time_ms,
            kind: prepared.kind,
            category: prepared.category,
            tier: prepared.tier,
            label: short_label(prepared.label.as_str()).into(),
            offer,
            correction: prepared.correction,
        })
    }

    fn remembered(&self, fate: Fate) -> Entry {
        Entry {
            event: self.event,
            fate,
            kind: self.kind,
            category: self.category,
            tier: self.tier,
            time_ms: self.time_ms,
            user: self.user,
            guild: self.guild,
            label: self.label.clone(),
        }
    }
}

/// What admission is told by configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) capacity: usize,
    pub(super) consent_by_default: bool,
    pub(super) window_ms: i64,
    pub(super) window_events: usize,
    pub(super) twin: TwinMaker,
}

/// One write transaction in the making: the records go to LMDB, what they mean to the index.
pub(super) struct Plan<'a, 'e> {
    pub(super) txn: &'a mut RwTxn<'e>,
    pub(super) tables: &'a Tables,
    pub(super) index: &'a mut Index,
    pub(super) rules: &'a Rules,
    pub(super) now_ms: i64,
    pub(super) tally: Tally,
    first_remembered: u64,
    remembered: Vec<Entry>,
}

/// A record as admission sees it.
pub(super) struct Held {
    pub(super) id: ExampleId,
    pub(super) header: Header,
    pub(super) label: String,
    pub(super) output: String,
}

impl<'a, 'e> Plan<'a, 'e> {
    pub(super) fn new(
        txn: &'a mut RwTxn<'e>,
        tables: &'a Tables,
        index: &'a mut Index,
        rules: &'a Rules,
        now_ms: i64,
    ) -> Self {
        let first_remembered = index.counters.remembered;
        Self {
            txn,
            tables,
            index,
            rules,
            now_ms,
            tally: Tally::default(),
            first_remembered,
            remembered: Vec::new(),
        }
    }

    /// Decides about one event.
    pub(super) fn event(
        &mut self,
        item: &Item,
        records: &[u8],
    ) -> std::result::Result<Admission, Failure> {
        if !self.consented(item.guild) {
            self.tally.refused += 1;
            return Ok(Admission::plain(Status::Refused));
        }
        if self.find(&item.event)?.is_some() {
            self.tally.duplicates += 1;
            return Ok(Admission::plain(Status::Duplicate));
        }
        let waiting = self.take_waiting(&item.event, item.guild)?;
        let mut admission = match &item.offer {
            Offer::Rejected(reasons) => {
                self.index.counters.stats.reject(item.category, reasons);
                self.remember(item.remembered(Fate::Rejected));
                Admission { status: Status::Rejected, reasons: reasons.clone() }
            }
            Offer::Example { header, record } => {
                self.offer(item, header, &records[record.clone()])?
            }
        };
        if !waiting.is_empty() && admission.status == Status::Accepted {
            admission.reasons.push(reason::SUPERSEDED);
        }
        for correction in &waiting {
            self.correct(correction)?.into_iter().for_each(|reason| admission.add(reason));
        }
        if let Some(correction) = &item.correction {
            self.file(item.event, correction)?.into_iter().for_each(|reason| admission.add(reason));
        }
        Ok(admission)
    }

    fn consented(&self, guild: Option<Pseudonym>) -> bool {
        guild.and_then(|guild| self.index.consent(&guild)).unwrap_or(self.rules.consent_by_default)
    }

    fn offer(
        &mut self,
        item: &Item,
        header: &Header,
        record: &[u8],
    ) -> std::result::Result<Admission, Failure> {
        let mut reasons = Vec::new();
        let holder = self.holder(header.category, &header.digest);
        if let Some(holder) = &holder
            && !newcomer_wins(header, &holder.header)
        {
            let newcomer = codec::decode(holder.id, record)?;
            let why = if newcomer.label() == holder.label {
                self.tally.same_input += 1;
                reason::SAME_INPUT
            } else {
                self.tally.conflicts += 1;
                reason::CONFLICT
            };
            self.remember(item.remembered(Fate::Duplicate));
            return Ok(Admission { status: Status::Duplicate, reasons: vec![why] });
        }
        if !self.fits(header, usize::from(holder.is_some())) {
            self.index.counters.stats.reject(item.category, &[reason::CAPACITY]);
            self.remember(item.remembered(Fate::Rejected));
            return Ok(Admission { status: Status::Rejected, reasons: vec![reason::CAPACITY] });
        }
        if let Some(holder) = holder {
            self.remove(holder.id, &holder.header, &holder.label, Fate::Gone)?;
            self.tally.replaced += 1;
            reasons.push(reason::REPLACED);
        }
        let id = self.store(header, record)?;
        self.index.add_event(&item.event, Place::Example(id));
        Ok(Admission { status: Status::Accepted, reasons })
    }

    /// Whether a category has room for a newcomer once `leaving` of its examples are gone: it is not full, or holds
    /// something worse.
    pub(super) fn fits(&self, header: &Header, leaving: usize) -> bool {
        self.index.stored(header.category) - leaving < self.rules.capacity
            || self
                .index
                .worst(header.category)
                .is_none_or(|worst| worst < eviction_rank(header, u64::MAX))
    }

    /// Writes a record that fits, and evicts what it drives out.
    pub(super) fn store(
        &mut self,
        header: &Header,
        record: &[u8],
    ) -> std::result::Result<ExampleId, Failure> {
        let category = header.category;
        while self.index.stored(category) >= self.rules.capacity {
            let Some(rank) = self.index.worst(category) else { break };
            let id = ExampleId { category, sequence: ranked_sequence(rank) };
            match self.held(id) {
                Ok(Some(held)) => {
                    self.remove(id, &held.header, &held.label, Fate::Gone)?;
                    self.tally.evictions += 1;
                    failpoint!("evict::removed");
                }
                // Damaged since it was indexed: `verify` names it; ingest goes on with the next.
                Ok(None) | Err(_) => self.index.drop_rank(category, rank),
            }
        }
        let id = ExampleId { category, sequence: self.index.counters.next_sequence(category) };
        self.tables.examples.put(self.txn, &id.key(), record)?;
        self.index.add_input(&header.digest, id);
        self.index.add_rank(header, id.sequence);
        let stats = &mut self.index.counters.stats;
        stats.add(header);
        stats.category_mut(category).gold_ever += u64::from(header.tier == Tier::Gold);
        Ok(id)
    }

    /// Deletes a record; its event stays known, as gone or as erased.
    pub(super) fn remove(
        &mut self,
        id: ExampleId,
        header: &Header,
        label: &str,
        fate: Fate,
    ) -> std::result::Result<(), Failure> {
        self.tables.examples.delete(self.txn, &id.key())?;
        if !header.yielded {
            self.index.remove_input(&header.digest, id);
        }
        self.index.remove_rank(header, id.sequence);
        self.index.counters.stats.remove(header);
        // A twin's event is its original's, which is known in its own right.
        if !header.corrected_twin {
            self.index.remove_event(&header.event, Place::Example(id));
            self.remember(match fate {
                Fate::Erased => Entry::erased(header.event),
                Fate::Gone | Fate::Rejected | Fate::Duplicate => Entry {
                    event: header.event,
                    fate,
                    kind: header.kind,
                    category: header.category,
                    tier: header.tier,
                    time_ms: header.time_ms,
                    user: header.user,
                    guild: header.guild,
                    label: short_label(label).into(),
                },
            });
        }
        Ok(())
    }

    fn remember(&mut self, entry: Entry) {
        let number = self.first_remembered + self.remembered.len() as u64;
        self.index.add_event(&entry.event, Place::Remembered(number));
        self.remembered.push(entry);
    }

    /// Where an event is, if it is known.
    pub(super) fn find(&self, event: &Pseudonym) -> Result<Option<Place>> {
        for place in self.index.event(event) {
            let known = match place {
                Place::Example(id) => self
                    .tables
                    .examples
                    .get(self.txn, &id.key())
                    .map_err(lmdb)?
                    .and_then(codec::event_of),
                Place::Remembered(number) => self.entry(number)?.map(|entry| entry.event),
            };
            if known == Some(*event) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// A remembered event by its number.
    pub(super) fn entry(&self, number: u64) -> Result<Option<Entry>> {
        if let Some(offset) = number.checked_sub(self.first_remembered) {
            return Ok(self.remembered.get(usize::try_from(offset).unwrap_or(usize::MAX)).cloned());
        }
        let found = self
            .tables
            .remembered
            .get_lower_than_or_equal_to(self.txn, &number_key(number))
            .map_err(lmdb)?;
        let Some((key, bytes)) = found else { return Ok(None) };
        let Some(first) = schema::number_from_key(key) else { return Ok(None) };
        let offset = usize::try_from(number - first).unwrap_or(usize::MAX);
        Ok(Chunk::entries(first, bytes).into_iter().nth(offset))
    }

    /// The example that answers for an input. A damaged one cannot defend its place; `verify` names it.
    pub(super) fn holder(&self, category: Category, digest: &InputDigest) -> Option<Held> {
        self.index
            .input(digest)
            .filter_map(|place| match place {
                Place::Example(id) if id.category == category => self.held(id).ok().flatten(),
                Place::Example(_) | Place::Remembered(_) => None,
            })
            .find(|held| held.header.digest == *digest)
    }

    /// A record by its id.
    pub(super) fn held(&self, id: ExampleId) -> Result<Option<Held>> {
        let found = self.tables.examples.get(self.txn, &id.key()).map_err(lmdb)?;
        let Some(bytes) = found else { return Ok(None) };
        let record = codec::decode(id, bytes)?;
        Ok(Some(Held {
            id,
            header: record.header,
            label: record.label().to_owned(),
            output: record.output().to_owned(),
        }))
    }

    /// Writes what the events of the transaction share: memory of the unstored, and the counters.
    pub(super) fn finish(mut self) -> std::result::Result<Tally, Failure> {
        let chunks = remembered::encode(self.now_ms, &self.remembered);
        for (offset, chunk) in &chunks {
            let key = number_key(self.first_remembered + offset);
            self.tables.remembered.put_with_flags(self.txn, heed::PutFlags::APPEND, &key, chunk)?;
        }
        self.index.counters.remembered += self.remembered.len() as u64;
        self.trim(8 + 2 * chunks.len())?;
        let counters = self.index.counters.encode();
        self.tables.meta.put(self.txn, schema::META_COUNTERS, &counters)?;
        Ok(self.tally)
    }

    /// Drops events from memory that are past the window, a few chunks at a time.
    fn trim(&mut self, chunks: usize) -> std::result::Result<(), Failure> {
        for _ in 0..chunks {
            let Some((first, chunk)) = self.oldest_chunk()? else { break };
            let old = self.now_ms.saturating_sub(chunk.arrived_ms) > self.rules.window_ms;
            if !old && self.index.known_events() <= self.rules.window_events {
                break;
            }
            self.tables.remembered.delete(self.txn, &number_key(first))?;
            failpoint!("remembered::trimmed");
            for (number, entry) in (first..).zip(&chunk.entries) {
                self.index.remove_event(&entry.event, Place::Remembered(number));
            }
            self.index.oldest_remembered = first + chunk.entries.len() as u64;
        }
        Ok(())
    }

    /// The first chunk; a damaged one is as old as the next that can be read, since they came in this order.
    fn oldest_chunk(&self) -> std::result::Result<Option<(u64, Chunk)>, Failure> {
        let mut damaged = None;
        for found in self.tables.remembered.iter(self.txn)? {
            let (key, bytes) = found?;
            let Some(first) = schema::number_from_key(key) else { break };
            match (Chunk::decode(first, bytes), damaged.take()) {
                (Ok(chunk), None) => return Ok(Some((first, chunk))),
                (Ok(next), Some((first, entries))) => {
                    return Ok(Some((first, Chunk { arrived_ms: next.arrived_ms, entries })));
                }
                (Err(_), None) => damaged = Some((first, Chunk::entries(first, bytes))),
                (Err(_), before) => damaged = before,
            }
        }
        Ok(damaged.map(|(first, entries)| (first, Chunk { arrived_ms: self.now_ms, entries })))
    }
}

impl Admission {
    fn add(&mut self, reason: &'static str) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

/// Whether an example that is no twin takes the place of one with the same input.
fn newcomer_wins(newcomer: &Header, holder: &Header) -> bool {
    if holder.corrected_twin {
        false
    } else if holder.superseded {
        // The holder's label is known to be wrong, and only a person's word is better than no answer.
        newcomer.human_validated
    } else {
        beats(newcomer, holder)
    }
}

/// The ordinary order: validated by a person, then the higher score, then the earlier, then the lower id.
pub(super) fn beats(newcomer: &Header, holder: &Header) -> bool {
    let rank = |header: &Header| {
        (
            header.human_validated,
            header.score,
            std::cmp::Reverse(header.time_ms),
            std::cmp::Reverse(header.event),
        )
    };
    rank(newcomer) > rank(holder)
}
