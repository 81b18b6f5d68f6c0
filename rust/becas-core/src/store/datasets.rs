//! Which examples every exported dataset holds, so that an erasure can name the datasets that it concerns.

use std::collections::HashSet;

use prost::encoding::{decode_varint, encode_varint};

use super::{
    environment::Failure,
    fields::{Reader, Writer as Fields, damaged},
    schema::ExampleId,
    writer::Writer,
};
use crate::{category::Category, error::Result};

const VERSION: u8 = 1;
/// Datasets remembered; past it the ones filed longest ago are dropped.
const KEPT: usize = 1_000;

/// When the dataset was filed, milliseconds since the epoch, and its examples: runs of a category, a count, and the
/// sequences as differences, all varints.
fn encode(filed_ms: i64, mut ids: Vec<ExampleId>) -> Vec<u8> {
    ids.sort_unstable();
    let mut runs = Vec::new();
    for run in ids.chunk_by(|left, right| left.category == right.category) {
        encode_varint(run[0].category as u64, &mut runs);
        encode_varint(run.len() as u64, &mut runs);
        let mut before = 0;
        for id in run {
            encode_varint(id.sequence - before, &mut runs);
            before = id.sequence;
        }
    }
    let mut fields = Fields::new(VERSION);
    fields.time(filed_ms).raw(&runs);
    fields.finish()
}

pub(super) fn read(bytes: &[u8]) -> Result<(i64, Vec<ExampleId>)> {
    let mut reader = Reader::new(bytes, VERSION, "a dataset")?;
    let filed_ms = reader.time().ok_or_else(|| damaged("a dataset"))?;
    let ids = runs(reader.rest()).ok_or_else(|| damaged("a dataset"))?;
    Ok((filed_ms, ids))
}

fn runs(mut left: &[u8]) -> Option<Vec<ExampleId>> {
    let mut ids = Vec::new();
    while !left.is_empty() {
        let number = i32::try_from(decode_varint(&mut left).ok()?).ok()?;
        let category = Category::from_number(number)?;
        let count = decode_varint(&mut left).ok()?;
        let mut sequence = 0_u64;
        for _ in 0..count {
            sequence = sequence.checked_add(decode_varint(&mut left).ok()?)?;
            ids.push(ExampleId { category, sequence });
        }
    }
    Some(ids)
}

impl Writer {
    /// Remembers what a dataset holds; the same one again changes nothing but its age.
    pub(super) fn file_dataset(
        &mut self,
        dataset_id: &str,
        ids: Vec<ExampleId>,
        now_ms: i64,
    ) -> Result<()> {
        let record = encode(now_ms, ids);
        self.transact(record.len() as u64, true, |plan| {
            plan.tables.datasets.put(plan.txn, dataset_id.as_bytes(), &record)?;
            failpoint!("dataset::filed");
            let excess = usize::try_from(plan.tables.datasets.len(plan.txn)?)
                .unwrap_or(usize::MAX)
                .saturating_sub(KEPT);
            if excess == 0 {
                return Ok(());
            }
            let mut filed = Vec::new();
            for found in plan.tables.datasets.iter(plan.txn)? {
                let (key, bytes) = found?;
                // What cannot be read goes first.
                filed.push((read(bytes).map_or(i64::MIN, |(filed_ms, _)| filed_ms), key.to_vec()));
            }
            filed.sort_unstable();
            for (_, key) in &filed[..excess] {
                plan.tables.datasets.delete(plan.txn, key)?;
            }
            Ok::<_, Failure>(())
        })
    }

    /// The datasets that hold one of these examples, in order.
    pub(super) fn datasets_with(&self, ids: &[ExampleId]) -> Result<Vec<String>> {
        let ids: HashSet<ExampleId> = ids.iter().copied().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.shared.environment.read(|tables, txn| {
            let mut found = Vec::new();
            for entry in tables.datasets.iter(txn).map_err(super::environment::lmdb)? {
                let (key, bytes) = entry.map_err(super::environment::lmdb)?;
                // What cannot be read cannot be shown to concern nobody.
                if read(bytes).map_or(true, |(_, held)| held.iter().any(|id| ids.contains(id))) {
                    found.push(String::from_utf8_lossy(key).into_owned());
                }
            }
            Ok(found)
        })
    }
}
