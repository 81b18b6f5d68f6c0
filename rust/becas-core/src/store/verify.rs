//! Counting again from the records, and comparing everything with everything.

use std::collections::{HashMap, HashSet};

use heed::RoTxn;

use super::{
    admit::Plan,
    codec,
    consent::{self, Word},
    counters::{Counters, Stats},
    datasets,
    environment::{Failure, Tables, lmdb},
    load,
    remembered::Chunk,
    schema::{self, ExampleId, Name},
    waiting::{self, Filed, Labelling},
    writer::Writer,
};
use crate::{category::Category, error::Result};

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Examples that are whole.
    pub examples: u64,
    /// Events remembered that are not stored.
    pub remembered: u64,
    /// Examples whose record does not match its crc or cannot be read.
    pub damaged: Vec<ExampleId>,
    /// Everything that does not fit, the damaged examples too, in words; no text or id of a user in them.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether nothing was found.
    pub const fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Statistics from the records alone. What only ever counted up, rejections and gold ever stored, is taken over.
pub(super) fn recount(tables: &Tables, txn: &RoTxn<'_>) -> Result<Stats> {
    let (stats, damaged) = count(tables, txn, |_, _| {})?;
    match damaged.first() {
        None => Ok(stats),
        Some(id) => Err(codec::damaged(*id, "its record cannot be read")),
    }
}

/// A problem of a table whose records have no names.
fn unreadable(name: Name, records: u64) -> Option<String> {
    (records > 0).then(|| format!("{}: {records} records are damaged", name.as_str()))
}

fn count(
    tables: &Tables,
    txn: &RoTxn<'_>,
    mut each: impl FnMut(ExampleId, &codec::Header),
) -> Result<(Stats, Vec<ExampleId>)> {
    let kept = load::counters(tables, txn)?.stats;
    let mut stats = Stats::default();
    stats.rejected_by_reason.clone_from(&kept.rejected_by_reason);
    for category in Category::ALL {
        let (to, from) = (stats.category_mut(category), kept.category(category));
        (to.rejected, to.gold_ever) = (from.rejected, from.gold_ever);
    }
    let mut unreadable = Vec::new();
    for found in tables.examples.iter(txn).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        // `misplaced` tells.
        let Some(id) = ExampleId::from_key(key) else { continue };
        match codec::decode(id, bytes) {
            Ok(record) => {
                stats.add(&record.header);
                each(id, &record.header);
            }
            Err(_) => unreadable.push(id),
        }
    }
    Ok((stats, unreadable))
}

/// Compares records, counters and memory of one moment.
pub(super) fn verify(tables: &Tables, txn: &RoTxn<'_>) -> Result<Report> {
    let mut report = Report::default();
    let mut events = HashSet::new();
    let mut inputs = HashMap::new();
    let mut twice = Vec::new();
    let (stats, damaged_ids) = count(tables, txn, |id, header| {
        if !header.corrected_twin && !events.insert(header.event) {
            twice.push(format!("example {id}: its event is stored twice"));
        }
        if !header.yielded
            && let Some(other) = inputs.insert((header.category, header.digest), id)
        {
            twice.push(format!("examples {other} and {id}: the same input is stored twice"));
        }
    })?;
    report.problems.append(&mut twice);
    report.examples = Category::ALL.map(|category| stats.category(category).stored()).iter().sum();
    let counters = load::counters(tables, txn)?;
    // What is damaged was counted when it was whole.
    if damaged_ids.is_empty() && stats != counters.stats {
        for category in Category::ALL {
            if stats.category(category) != counters.stats.category(category) {
                report.problems.push(format!(
                    "{}: the counters say {:?}, the records {:?}",
                    category.name(),
                    counters.stats.category(category),
                    stats.category(category)
                ));
            }
        }
    }
    let named =
        damaged_ids.iter().map(|id| codec::damaged(*id, "its record cannot be read").to_string());
    report.problems.extend(named);
    report.damaged = damaged_ids;
    report.problems.append(&mut misplaced(tables, txn, &counters)?);
    let mut next = None;
    for found in tables.remembered.iter(txn).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        let first = schema::number_from_key(key).unwrap_or_default();
        if next.is_some_and(|next| next != first) {
            report.problems.push(format!("remembered events before {first} are missing"));
        }
        match Chunk::decode(first, bytes) {
            Ok(chunk) => {
                for entry in &chunk.entries {
                    if !events.insert(entry.event) {
                        report.problems.push(format!("remembered chunk {first}: an event twice"));
                    }
                }
                report.remembered += chunk.entries.len() as u64;
                next = Some(first + chunk.entries.len() as u64);
            }
            Err(error) => {
                report.problems.push(error.to_string());
                next = None;
            }
        }
    }
    if next.is_some_and(|next| next != counters.remembered) {
        report.problems.push("the last remembered events are missing".to_owned());
    }
    for (name, is_whole) in WHOLE {
        let mut damaged = 0;
        for found in tables.named(name).iter(txn).map_err(lmdb)? {
            let (key, bytes) = found.map_err(lmdb)?;
            damaged += u64::from(!is_whole(key, bytes));
        }
        report.problems.extend(unreadable(name, damaged));
    }
    Ok(report)
}

/// Whether a record and its key can be read and belong together.
type IsWhole = fn(&[u8], &[u8]) -> bool;

/// The tables whose records stand for themselves.
const WHOLE: [(Name, IsWhole); 5] = [
    (Name::Pending, waiting::is_whole),
    (Name::Outbox, |_, bytes| Filed::decode(bytes).is_ok()),
    (Name::Labelling, |key, bytes| match Labelling::decode(bytes) {
        Ok(Labelling::Open(case)) => case.original.0 == key,
        Ok(Labelling::Solved { .. }) => true,
        Err(_) => false,
    }),
    (Name::Consent, consent::is_whole),
    (Name::Datasets, |_, bytes| datasets::read(bytes).is_ok()),
];

/// Examples whose key cannot be theirs: a record's crc does not cover it.
fn misplaced(tables: &Tables, txn: &RoTxn<'_>, counters: &Counters) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut before = None;
    for found in tables.examples.iter(txn).map_err(lmdb)? {
        let (key, _) = found.map_err(lmdb)?;
        let Some(id) = ExampleId::from_key(key) else {
            problems.push("examples: a key cannot be read".to_owned());
            continue;
        };
        if before >= Some(id) {
            problems.push(format!("example {id}: it stands behind a later one"));
        }
        if id.sequence > counters.last_sequence(id.category) {
            problems.push(format!("example {id}: this number was never given"));
        }
        before = Some(id);
    }
    Ok(problems)
}

impl Writer {
    /// Drops what is damaged, counts again, and reads everything anew.
    ///
    /// Of remembered events the ids stay that can still be told; a guild whose word is damaged has not consented.
    pub(super) fn repair(&mut self) -> Result<Report> {
        let report = self.shared.environment.read(verify)?;
        let stats =
            self.shared.environment.read(|tables, txn| Ok(count(tables, txn, |_, _| {})?.0))?;
        self.transact(0, true, |plan| {
            plan.drop_damaged()?;
            plan.index.counters.stats = stats.clone();
            Ok(())
        })?;
        let (index, damaged) = load::index(&self.shared.environment)?;
        self.index = index;
        self.shared.meter.found_damaged(damaged);
        Ok(report)
    }
}

impl Plan<'_, '_> {
    fn drop_damaged(&mut self) -> std::result::Result<(), Failure> {
        self.delete_where(self.tables.examples, |key, bytes| {
            Ok(ExampleId::from_key(key).is_none_or(|id| codec::decode(id, bytes).is_err()))
        })?;
        let mut words = Vec::new();
        for found in self.tables.consent.iter(self.txn)? {
            let (key, bytes) = found?;
            if !consent::is_whole(key, bytes) {
                let withdrawn = |guild| Word { guild, granted: false };
                words.extend(
                    consent::decode(key, bytes)
                        .ok()
                        .or_else(|| schema::pseudonym_from_key(key).map(withdrawn)),
                );
            }
        }
        for (name, is_whole) in WHOLE {
            self.delete_where(self.tables.named(name), |key, bytes| Ok(!is_whole(key, bytes)))?;
        }
        for word in words {
            self.tables.consent.put(self.txn, &word.guild.0, &word.encode())?;
        }
        self.keep_ids_of_damaged()
    }
}
