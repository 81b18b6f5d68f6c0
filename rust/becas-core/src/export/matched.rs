//! The first pass: what matches, as a few dozen bytes an example.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU64,
};

use rayon::prelude::*;

use super::{
    Context,
    numbers::first_word,
    quarantine::Confirmed,
    selection::{Grouping, Selection},
    shingle::Shingles,
    sketch::Sketches,
    source::Source,
};
use crate::{
    category::{Category, Outcome},
    error::{Error, Result},
    pseudonym::Pseudonym,
    score::{Score, Tier},
    store::{ExampleId, Record},
};

/// What choosing needs to know of an example; its text stays in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    sequence: u64,
    /// Tells whether the example is still what it was when it was chosen.
    pub(super) checksum: u32,
    /// The author; pseudonyms are keyed hashes, so that eight bytes of them tell people apart.
    pub(super) user: Option<NonZeroU64>,
    /// The guild, likewise.
    pub(super) guild: Option<NonZeroU64>,
    /// Index of the label in its table.
    pub(super) label: u32,
    pub(super) score: Score,
    pub(super) category: Category,
    pub(super) tier: Tier,
    pub(super) outcome: Outcome,
}

impl Row {
    fn of(id: ExampleId, record: &Record<'_>, label: u32) -> Self {
        let example = &record.header;
        Self {
            sequence: id.sequence,
            checksum: record.checksum,
            user: example.user.map(short),
            guild: example.guild.map(short),
            label,
            score: example.score,
            category: id.category,
            tier: example.tier,
            outcome: example.outcome,
        }
    }

    /// Where the example is stored.
    pub(super) const fn id(&self) -> ExampleId {
        ExampleId { category: self.category, sequence: self.sequence }
    }
}

/// Eight bytes of a keyed hash, which tell people apart.
pub(super) fn short(pseudonym: Pseudonym) -> NonZeroU64 {
    NonZeroU64::new(first_word(&pseudonym.0)).unwrap_or(NonZeroU64::MIN)
}

/// All that matched, in the order of the categories and then of the store.
#[derive(Debug, Default)]
pub(super) struct Matched {
    pub(super) rows: Vec<Row>,
    pub(super) labels: Labels,
    /// Of the messages.
    pub(super) sketches: Sketches,
    /// Examples that would have matched, but come from sources that no labeller has confirmed.
    pub(super) quarantined: usize,
    /// Users whom a labeller has confirmed; 0 where the selection quarantines nobody.
    pub(super) confirmed_users: usize,
}

impl Matched {
    /// Reads the categories of a selection once, and before it all of them where sources may be in quarantine.
    pub(super) fn collect(
        source: &dyn Source,
        selection: &Selection,
        context: &Context<'_>,
    ) -> Result<Self> {
        let confirmed = match selection.quarantine_from {
            Some(_) => Confirmed::read(source)?,
            None => Confirmed::default(),
        };
        let parts: Vec<Self> = selection
            .categories
            .par_iter()
            .map(|category| Self::of(*category, source, selection, context, &confirmed))
            .collect::<Result<_>>()?;
        let all = Self { confirmed_users: confirmed.users(), ..Self::default() };
        parts.into_iter().try_fold(all, Self::with)
    }

    /// What matched of one category.
    fn of(
        category: Category,
        source: &dyn Source,
        selection: &Selection,
        context: &Context<'_>,
        confirmed: &Confirmed,
    ) -> Result<Self> {
        let mut matched = Self::default();
        source.scan(category, &mut |id, record| {
            if !selection.matches(&record.header) {
                return Ok(());
            }
            if confirmed.quarantines(&record.header, selection) {
                matched.quarantined += 1;
                return Ok(());
            }
            matched.add(id, record, context)
        })?;
        Ok(matched)
    }

    /// This, and after it what matched of the next category.
    fn with(mut self, mut next: Self) -> Result<Self> {
        let first_row = row_index(self.rows.len())?;
        row_index(self.rows.len() + next.rows.len())?;
        self.sketches.append(&next.sketches, first_row);
        let first_label = self.labels.append(next.labels);
        for row in &mut next.rows {
            row.label += first_label;
        }
        self.rows.append(&mut next.rows);
        self.quarantined += next.quarantined;
        Ok(self)
    }

    fn add(&mut self, id: ExampleId, record: &Record<'_>, context: &Context<'_>) -> Result<()> {
        let index = row_index(self.rows.len())?;
        let label = self.labels.index(id.category, record.label());
        self.rows.push(Row::of(id, record, label));
        if let Some(message) = (context.message)(record.input()) {
            self.sketches.add(index, &Shingles::of(&message));
        }
        Ok(())
    }
}

fn row_index(rows: usize) -> Result<u32> {
    u32::try_from(rows).map_err(|_| Error::InvalidArgument {
        field: "category".to_owned(),
        problem: "more than 4 billion examples match: narrow the filters".to_owned(),
    })
}

/// The labels that occur, each stored once for its category.
#[derive(Debug, Default)]
pub(super) struct Labels {
    indices: BTreeMap<Category, HashMap<Box<str>, u32>>,
    names: Vec<Box<str>>,
}

impl Labels {
    fn index(&mut self, category: Category, label: &str) -> u32 {
        let indices = self.indices.entry(category).or_default();
        if let Some(index) = indices.get(label) {
            return *index;
        }
        let index = super::numbers::index(self.names.len());
        self.names.push(label.into());
        indices.insert(label.into(), index);
        index
    }

    /// Adds the labels of other categories; the first of them has the index that is returned.
    fn append(&mut self, mut others: Self) -> u32 {
        let first = super::numbers::index(self.names.len());
        self.names.append(&mut others.names);
        for (category, mut indices) in others.indices {
            for index in indices.values_mut() {
                *index += first;
            }
            self.indices.insert(category, indices);
        }
        first
    }

    /// The text of a label.
    pub(super) fn name(&self, index: u32) -> &str {
        &self.names[index as usize]
    }
}

/// The group of a row: equal for equal groups, ordered by category.
pub(super) fn group_of(row: &Row, grouping: Option<Grouping>) -> (Category, u32) {
    let group = match grouping {
        None => 0,
        Some(Grouping::Label) => row.label,
        Some(Grouping::Outcome) => match row.outcome {
            Outcome::Success | Outcome::Corrected => Outcome::Success as u32,
            Outcome::Failure => Outcome::Failure as u32,
            Outcome::Uncertain => Outcome::Uncertain as u32,
        },
    };
    (row.category, group)
}
