//! What an export will write, decided before the first byte.

use super::{
    Context, System, balance,
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
/// Memory: some 200 bytes for each example that matches, whatever its text. The same store, key and request give
/// the same plan.
pub fn plan(source: &dyn Source, request: &ExportRequest, context: &Context<'_>) -> Result<Plan> {
    let selection = Selection::of(request, context.key)?;
    let mut matched = Matched::collect(source, &selection, context)?;
    let clusters = near::clusters(source, &matched, context)?;
    matched.signatures = Vec::new();
    let rows = &matched.rows;
    let kept = near::without_copies(rows, &clusters, selection.seed);
    let near_duplicates_dropped = rows.len() - kept.len();
    let balanced = balance::balance(rows, kept, &matched.labels, &selection)?;
    let splits = split::split(rows, &clusters, &balanced.chosen, selection.seed);
    let mut lines: Vec<Planned> = balanced
        .chosen
        .iter()
        .zip(splits)
        .map(|(index, split)| Planned { row: rows[*index as usize], split })
        .collect();
    lines.sort_by_cached_key(|line| {
        let id = line.row.id();
        (Draw::Order.number(selection.seed, id), id)
    });
    Ok(Plan {
        lines,
        matched: rows.len(),
        near_duplicates_dropped,
        omitted: balanced.omitted,
        labels: matched.labels,
        system: context.system,
        redactor_version: context.redactor_version.to_owned(),
        scorer_version: context.scorer_version.to_owned(),
        selection,
    })
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
