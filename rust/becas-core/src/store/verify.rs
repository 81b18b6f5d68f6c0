//! Counting again from the records, and comparing everything with everything.

use std::collections::{HashMap, HashSet};

use heed::RoTxn;

use super::{
    codec,
    counters::Stats,
    environment::{Tables, lmdb},
    fields::damaged,
    load,
    remembered::Chunk,
    schema::{self, ExampleId},
    waiting::{Filed, Labelling},
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
        let id = ExampleId::from_key(key).ok_or_else(|| damaged("a key of examples"))?;
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
    for table in [tables.pending, tables.outbox] {
        for found in table.iter(txn).map_err(lmdb)? {
            if let Err(error) = Filed::decode(found.map_err(lmdb)?.1) {
                report.problems.push(error.to_string());
            }
        }
    }
    for found in tables.labelling.iter(txn).map_err(lmdb)? {
        if let Err(error) = Labelling::decode(found.map_err(lmdb)?.1) {
            report.problems.push(error.to_string());
        }
    }
    Ok(report)
}

impl Writer {
    /// Drops damaged examples, counts again, and reads everything anew.
    pub(super) fn repair(&mut self) -> Result<Report> {
        let report = self.shared.environment.read(verify)?;
        let stats =
            self.shared.environment.read(|tables, txn| Ok(count(tables, txn, |_, _| {})?.0))?;
        self.transact(0, true, |plan| {
            for id in &report.damaged {
                plan.tables.examples.delete(plan.txn, &id.key())?;
            }
            plan.index.counters.stats = stats.clone();
            Ok(())
        })?;
        self.index = self.shared.environment.read(load::index)?;
        Ok(report)
    }
}
