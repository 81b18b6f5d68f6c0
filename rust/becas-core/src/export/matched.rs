//! The first pass: what matches, as a few dozen bytes an example.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU64,
};

use super::{
    Context,
    minhash::Signature,
    numbers::first_word,
    quarantine::Confirmed,
    selection::{Grouping, Selection},
    shingle::Shingles,
    source::Source,
};
use crate::{
    category::{Category, Outcome},
    error::{Error, Result},
    example::Example,
    pseudonym::Pseudonym,
    score::{Score, Tier},
    store::ExampleId,
};

/// What choosing needs to know of an example; its text stays in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    sequence: u64,
    /// Tells whether the example is still what it was when it was chosen.
    pub(super) stamp: u32,
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
    fn of(id: ExampleId, example: &Example, label: u32) -> Self {
        Self {
            sequence: id.sequence,
            stamp: stamp(example),
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

/// A hash of everything that choosing depends on.
pub(super) fn stamp(example: &Example) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&example.digest);
    hasher.update(&example.score.points().to_le_bytes());
    hasher.update(&[example.tier as u8, example.outcome as u8, u8::from(example.superseded)]);
    hasher.update(&example.time_ms.to_le_bytes());
    for person in [example.user, example.guild] {
        hasher.update(&[u8::from(person.is_some())]);
        hasher.update(&person.map_or([0; 16], |pseudonym| pseudonym.0));
    }
    hasher.update(example.label.as_str().as_bytes());
    let hash = hasher.finalize();
    let bytes = hash.as_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
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
    /// Signatures of the messages, with the indices of their rows.
    pub(super) signatures: Vec<(u32, Signature)>,
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
        let mut matched = Self { confirmed_users: confirmed.users(), ..Self::default() };
        for category in &selection.categories {
            source.scan(*category, &mut |id, example| {
                if !selection.matches(example) {
                    return Ok(());
                }
                if confirmed.quarantines(example, selection) {
                    matched.quarantined += 1;
                    return Ok(());
                }
                matched.add(id, example, context)
            })?;
        }
        Ok(matched)
    }

    fn add(&mut self, id: ExampleId, example: &Example, context: &Context<'_>) -> Result<()> {
        let index = u32::try_from(self.rows.len()).map_err(|_| Error::InvalidArgument {
            field: "category".to_owned(),
            problem: "more than 4 billion examples match: narrow the filters".to_owned(),
        })?;
        let label = self.labels.index(id.category, example.label.as_str());
        self.rows.push(Row::of(id, example, label));
        let message = (context.message)(example).map(|text| Shingles::of(&text));
        if let Some(signature) = message.as_ref().and_then(Signature::of) {
            self.signatures.push((index, signature));
        }
        Ok(())
    }
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
