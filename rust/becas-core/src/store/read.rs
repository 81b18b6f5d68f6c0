//! Reading: short transactions, however much is asked for, so that no reader keeps pages from being used again.

use std::ops::Bound;

use heed::{RoTxn, types::Bytes};

use super::{
    codec,
    codec::{Header, Record},
    consent,
    environment::{Tables, lmdb},
    fields::damaged,
    schema::{self, ExampleId, number_key},
    waiting::{Filed, Labelling, LabellingCase, OutboxEntry},
    writer::Shared,
};
use crate::{
    category::Category,
    error::{Error, Result},
    example::Example,
    pseudonym::Pseudonym,
    score::Tier,
};

/// Records and bytes that one transaction reads at most.
const CHUNK_RECORDS: usize = 512;
const CHUNK_BYTES: usize = 1 << 20;
/// Records that one page of a list looks at, where few of them match.
const PAGE_RECORDS: usize = 10_000;

/// Which examples a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this category; all where none.
    pub category: Option<Category>,
    /// Only from this tier up.
    pub min_tier: Option<Tier>,
    /// Also examples that a correction replaced.
    pub include_superseded: bool,
}

impl Filter {
    fn admits(self, header: &Header) -> bool {
        self.min_tier.is_none_or(|least| header.tier >= least)
            && (self.include_superseded || !header.superseded)
    }
}

/// Part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of storage: by category, then sequence.
    pub examples: Vec<(ExampleId, Example)>,
    /// Where to go on; none at the end. A page may be short, or empty, and more follow.
    pub next: Option<ExampleId>,
}

type Found<'txn> = (ExampleId, &'txn [u8]);

/// Records after a cursor, of one category or of all.
pub(super) fn after<'txn>(
    tables: &Tables,
    txn: &'txn RoTxn<'_>,
    category: Option<Category>,
    after: Option<ExampleId>,
) -> Result<impl Iterator<Item = Result<Found<'txn>>> + use<'txn>> {
    let first = category.map(|category| ExampleId { category, sequence: 0 }.key());
    let last = category.map(|category| ExampleId { category, sequence: u64::MAX }.key());
    // A cursor of another category may come from an older filter: the range decides.
    let cursor = after.map(ExampleId::key).filter(|cursor| first.is_none_or(|key| *cursor >= key));
    let from = match (&cursor, &first) {
        (Some(cursor), _) => Bound::Excluded(&cursor[..]),
        (None, Some(first)) => Bound::Included(&first[..]),
        (None, None) => Bound::Unbounded,
    };
    let to = last.as_ref().map_or(Bound::Unbounded, |key| Bound::Included(&key[..]));
    let empty = matches!((&cursor, &last), (Some(cursor), Some(last)) if cursor >= last);
    let found = if empty {
        None
    } else {
        let examples = tables.examples.remap_types::<Bytes, Bytes>();
        Some(examples.range(txn, &(from, to)).map_err(lmdb)?)
    };
    let mut before = None;
    Ok(found.into_iter().flatten().map(move |found| {
        let (key, bytes) = found.map_err(lmdb)?;
        let id = ExampleId::from_key(key).ok_or_else(|| damaged("a key of examples"))?;
        // A record's crc does not cover its key: one that stands in a wrong place has a number that is not its own.
        if before >= Some(id) {
            return Err(codec::damaged(id, "it stands behind a later one"));
        }
        before = Some(id);
        Ok((id, bytes))
    }))
}

impl Shared {
    pub(super) fn get(&self, id: ExampleId) -> Result<Example> {
        self.environment.read(|tables, txn| {
            let found = tables.examples.get(txn, &id.key()).map_err(lmdb)?;
            let bytes = found.ok_or_else(|| Error::NotFound { what: format!("example {id}") })?;
            Ok(codec::decode(id, bytes)?.to_example())
        })
    }

    pub(super) fn list(
        &self,
        filter: Filter,
        from: Option<ExampleId>,
        limit: usize,
    ) -> Result<Page> {
        self.environment.read(|tables, txn| {
            let mut page = Page::default();
            let (mut looked_at, mut bytes_read) = (0, 0);
            for found in after(tables, txn, filter.category, from)? {
                let (id, bytes) = found?;
                let record = codec::decode(id, bytes)?;
                if filter.admits(&record.header) {
                    if page.examples.len() == limit {
                        page.next = page.examples.last().map(|(id, _)| *id);
                        break;
                    }
                    page.examples.push((id, record.to_example()));
                }
                looked_at += 1;
                bytes_read += bytes.len();
                if looked_at == PAGE_RECORDS || bytes_read >= 4 * CHUNK_BYTES {
                    page.next = Some(id);
                    break;
                }
            }
            Ok(page)
        })
    }

    /// Shows every record of a category, each chunk in a transaction of its own.
    pub(super) fn scan(
        &self,
        category: Category,
        mut see: impl FnMut(ExampleId, &Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut cursor = None;
        loop {
            let (mut records, mut size) = (0, 0);
            self.environment.read(|tables, txn| {
                for found in after(tables, txn, Some(category), cursor)? {
                    let (id, bytes) = found?;
                    see(id, &codec::decode(id, bytes)?)?;
                    cursor = Some(id);
                    records += 1;
                    size += bytes.len();
                    if records == CHUNK_RECORDS || size >= CHUNK_BYTES {
                        break;
                    }
                }
                Ok(())
            })?;
            if records == 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn read_many(
        &self,
        ids: &[ExampleId],
        mut see: impl FnMut(ExampleId, Option<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        let mut rest = ids.iter().peekable();
        while rest.peek().is_some() {
            self.environment.read(|tables, txn| {
                let mut size = 0;
                for id in rest.by_ref().take(CHUNK_RECORDS) {
                    match tables.examples.get(txn, &id.key()).map_err(lmdb)? {
                        Some(bytes) => {
                            size += bytes.len();
                            see(*id, Some(&codec::decode(*id, bytes)?))?;
                        }
                        None => see(*id, None)?,
                    }
                    if size >= CHUNK_BYTES {
                        break;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    pub(super) fn consent(&self, guild: Pseudonym) -> Result<bool> {
        self.environment.read(|tables, txn| self.consented(tables, txn, guild))
    }

    pub(super) fn consent_at_once(&self, guild: Pseudonym) -> Result<Option<bool>> {
        self.environment.try_read(|tables, txn| self.consented(tables, txn, guild))
    }

    fn consented(&self, tables: &Tables, txn: &RoTxn<'_>, guild: Pseudonym) -> Result<bool> {
        let found = tables.consent.get(txn, &guild.0).map_err(lmdb)?;
        Ok(found.map_or(self.config.consent_by_default, |word| {
            consent::decode(&guild.0, word).is_ok_and(|word| word.granted)
        }))
    }

    pub(super) fn outbox(&self, from: u64, limit: usize) -> Result<Vec<OutboxEntry>> {
        self.environment.read(|tables, txn| {
            let key = number_key(from);
            let range = (Bound::Excluded(&key[..]), Bound::Unbounded);
            let found = tables.outbox.range(txn, &range).map_err(lmdb)?;
            let mut entries = Vec::new();
            for found in found {
                if entries.len() == limit {
                    break;
                }
                let (key, bytes) = found.map_err(lmdb)?;
                // A damaged one is passed over, or no later one would ever be seen; `verify` names it.
                if let (Some(cursor), Ok(filed)) =
                    (schema::number_from_key(key), Filed::decode(bytes))
                {
                    let Filed { event, correction, .. } = filed;
                    entries.push(OutboxEntry { cursor, event, correction });
                }
            }
            Ok(entries)
        })
    }

    pub(super) fn labelling_queue(
        &self,
        from: Option<Pseudonym>,
        limit: usize,
    ) -> Result<Vec<LabellingCase>> {
        self.environment.read(|tables, txn| {
            let from = from.map(|original| original.0);
            let lower = from.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key[..]));
            let mut cases = Vec::new();
            let found = tables.labelling.range(txn, &(lower, Bound::Unbounded)).map_err(lmdb)?;
            for found in found {
                if cases.len() == limit {
                    break;
                }
                let (_, bytes) = found.map_err(lmdb)?;
                // A damaged one is passed over; `verify` names it.
                match Labelling::decode(bytes) {
                    Ok(Labelling::Open(case)) => cases.push(*case),
                    Ok(Labelling::Solved { .. }) | Err(_) => {}
                }
            }
            Ok(cases)
        })
    }
}
