//! What an export will write, decided before the first byte.

use rayon::prelude::*;

use super::{
    Context, System,
    balance::{self, Balanced},
    matched::{Labels, Matched, Row},
    near,
    parts::{Parts, PartsOf},
    seeded::Draw,
    selection::Selection,
    source::Source,
    split,
};
use crate::{
    error::Result,
    proto::{ExportRequest, OmittedGroup, Split},
};

/// A decided export: which examples, on which side, in which order. Holds no text.
#[derive(Debug)]
pub struct Plan {
    pub(super) selection: Selection,
    /// In the order of the file.
    pub(super) lines: Vec<Planned>,
    pub(super) labels: Labels,
    pub(super) matched: usize,
    pub(super) near_duplicates_dropped: usize,
    pub(super) quarantined: usize,
    pub(super) confirmed_users: usize,
    pub(super) omitted: Vec<OmittedGroup>,
    pub(super) system: System,
    pub(super) redactor_version: String,
    pub(super) scorer_version: String,
}

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) row: Row,
    pub(super) split: Split,
}

/// Decides an export: match ► cluster ► drop copies ► balance ► split ► order.
///
/// Memory: some 200 bytes for each example that matches, 600 where all texts are long. The same store, key and
/// request give the same plan.
pub fn plan(source: &dyn Source, request: &ExportRequest, context: &Context<'_>) -> Result<Plan> {
    let selection = Selection::of(request, context.key)?;
    let Matched { rows, labels, sketches, quarantined, confirmed_users } =
        Matched::collect(source, &selection, context)?;
    let clusters = near::clusters(sketches, rows.len());
    let kept = near::without_copies(&rows, &clusters, selection.seed);
    let near_duplicates_dropped = rows.len() - kept.len();
    let Balanced { chosen, omitted } = balance::balance(&rows, kept, &labels, &selection)?;
    let splits = split::split(&rows, &clusters, &chosen, selection.seed);
    drop(clusters);
    Ok(Plan {
        lines: in_order(&rows, &chosen, &splits, selection.seed),
        matched: rows.len(),
        near_duplicates_dropped,
        quarantined,
        confirmed_users,
        omitted,
        labels,
        system: context.system,
        redactor_version: context.redactor_version.to_owned(),
        scorer_version: context.scorer_version.to_owned(),
        selection,
    })
}

/// The lines of the chosen rows in the order that the seed draws.
fn in_order(rows: &[Row], chosen: &[u32], splits: &[Split], seed: u64) -> Vec<Planned> {
    let row = |position: u32| rows[chosen[position as usize] as usize];
    let mut order: Vec<(u64, u32)> = (0..super::numbers::index(chosen.len()))
        .into_par_iter()
        .map(|position| (Draw::Order.number(seed, row(position).id()), position))
        .collect();
    // By id where two draws are the same, whatever the order of what was chosen.
    order.par_sort_unstable_by_key(|(draw, position)| (*draw, row(*position).id()));
    order
        .into_iter()
        .map(|(_, position)| Planned { row: row(position), split: splits[position as usize] })
        .collect()
}

impl Plan {
    /// Lines that will be written, if nothing goes in between.
    pub fn examples(&self) -> usize {
        self.lines.len()
    }

    /// The pieces of the export, to be asked for one by one: for callers that cannot lend the source for long.
    pub fn into_parts(self) -> Result<Parts> {
        Parts::new(self)
    }

    /// The pieces of the export, read from the source as they are asked for.
    pub fn parts(self, source: &dyn Source) -> Result<PartsOf<'_>> {
        Ok(self.into_parts()?.of(source))
    }
}
