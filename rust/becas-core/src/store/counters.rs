//! Totals kept in the same transaction as what they count, so that statistics are exact at any size.

use std::collections::BTreeMap;

use super::{
    codec::Header,
    fields::{Reader, Writer, damaged},
};
use crate::{category::Category, error::Result, score::Tier};

const VERSION: u8 = 1;

/// Totals of one category; superseded examples count only under `superseded`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CategoryStats {
    /// Gold examples.
    pub gold: u64,
    /// Silver examples.
    pub silver: u64,
    /// Bronze examples.
    pub bronze: u64,
    /// Sum of their scores, in 1/10,000.
    pub quality_points: u64,
    /// Those with retrieved precedents.
    pub rag_enhanced: u64,
    /// Examples that a correction replaced.
    pub superseded: u64,
    /// Rejected events.
    pub rejected: u64,
    /// Gold examples ever stored; never falls.
    pub gold_ever: u64,
}

impl CategoryStats {
    /// Stored examples, superseded ones not counted.
    pub const fn total(&self) -> u64 {
        self.gold + self.silver + self.bronze
    }

    /// Mean score, 0 to 1; 0 where there is none.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ten-thousandths")]
    pub fn mean_quality(&self) -> f64 {
        match self.total() {
            0 => 0.0,
            total => self.quality_points as f64 / (total as f64 * 10_000.0),
        }
    }

    /// Records on disk.
    pub(super) const fn stored(&self) -> u64 {
        self.total() + self.superseded
    }

    fn tier(&mut self, tier: Tier) -> &mut u64 {
        match tier {
            Tier::Gold => &mut self.gold,
            Tier::Silver => &mut self.silver,
            // A twin may have any tier that its correction has; nothing below bronze is stored.
            Tier::Bronze | Tier::Reject => &mut self.bronze,
        }
    }
}

/// Exact totals at the moment of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    categories: [CategoryStats; Category::ALL.len()],
    /// Rejected events by reason; an event may have several.
    pub rejected_by_reason: BTreeMap<String, u64>,
}

impl Stats {
    /// The totals of a category.
    pub const fn category(&self, category: Category) -> &CategoryStats {
        &self.categories[category as usize - 1]
    }

    pub(super) const fn category_mut(&mut self, category: Category) -> &mut CategoryStats {
        &mut self.categories[category as usize - 1]
    }

    /// The sum over all categories.
    pub fn all(&self) -> CategoryStats {
        self.categories.iter().fold(CategoryStats::default(), |sum, one| CategoryStats {
            gold: sum.gold + one.gold,
            silver: sum.silver + one.silver,
            bronze: sum.bronze + one.bronze,
            quality_points: sum.quality_points + one.quality_points,
            rag_enhanced: sum.rag_enhanced + one.rag_enhanced,
            superseded: sum.superseded + one.superseded,
            rejected: sum.rejected + one.rejected,
            gold_ever: sum.gold_ever + one.gold_ever,
        })
    }

    /// Examples of human_correction.
    pub const fn human_corrections(&self) -> u64 {
        self.category(Category::HumanCorrection).total()
    }

    /// Counts a stored record in.
    pub(super) fn add(&mut self, header: &Header) {
        self.count(header, |total, by| *total += by);
    }

    /// Counts a stored record out.
    pub(super) fn remove(&mut self, header: &Header) {
        // Saturating: a damaged counter must not stop erasure; `verify` reports it.
        self.count(header, |total, by| *total = total.saturating_sub(by));
    }

    fn count(&mut self, header: &Header, apply: fn(&mut u64, u64)) {
        let totals = self.category_mut(header.category);
        if header.superseded {
            apply(&mut totals.superseded, 1);
            return;
        }
        apply(totals.tier(header.tier), 1);
        apply(&mut totals.quality_points, u64::from(header.score.points()));
        apply(&mut totals.rag_enhanced, u64::from(header.rag_enhanced));
    }

    /// Counts a rejected event.
    pub(super) fn reject(&mut self, category: Category, reasons: &[&'static str]) {
        self.category_mut(category).rejected += 1;
        for reason in reasons {
            match self.rejected_by_reason.get_mut(*reason) {
                Some(count) => *count += 1,
                None => {
                    self.rejected_by_reason.insert((*reason).to_owned(), 1);
                }
            }
        }
    }
}

/// The statistics, and the numbers to give out next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) stats: Stats,
    sequences: [u64; Category::ALL.len()],
    /// Entries ever remembered: the number of the next one.
    pub(super) remembered: u64,
    /// Corrections that ever waited.
    pub(super) arrivals: u64,
    /// Entries ever put in the outbox.
    pub(super) outbox: u64,
}

impl Counters {
    /// A sequence that was never given before.
    pub(super) const fn next_sequence(&mut self, category: Category) -> u64 {
        let last = &mut self.sequences[category as usize - 1];
        *last += 1;
        *last
    }

    /// The last sequence given out; 0 before the first.
    pub(super) const fn last_sequence(&self, category: Category) -> u64 {
        self.sequences[category as usize - 1]
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer.number(self.remembered).number(self.arrivals).number(self.outbox);
        for (one, sequence) in self.stats.categories.iter().zip(self.sequences) {
            for value in [
                sequence,
                one.gold,
                one.silver,
                one.bronze,
                one.quality_points,
                one.rag_enhanced,
                one.superseded,
                one.rejected,
                one.gold_ever,
            ] {
                writer.number(value);
            }
        }
        writer.number(self.stats.rejected_by_reason.len() as u64);
        for (reason, count) in &self.stats.rejected_by_reason {
            writer.text(reason).number(*count);
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "the record of counters";
        let mut reader = Reader::new(bytes, VERSION, what)?;
        Self::read(&mut reader).ok_or_else(|| damaged(what))
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut counters = Self {
            remembered: reader.number()?,
            arrivals: reader.number()?,
            outbox: reader.number()?,
            ..Self::default()
        };
        for (one, sequence) in counters.stats.categories.iter_mut().zip(&mut counters.sequences) {
            *sequence = reader.number()?;
            *one = CategoryStats {
                gold: reader.number()?,
                silver: reader.number()?,
                bronze: reader.number()?,
                quality_points: reader.number()?,
                rag_enhanced: reader.number()?,
                superseded: reader.number()?,
                rejected: reader.number()?,
                gold_ever: reader.number()?,
            };
        }
        for _ in 0..reader.number()? {
            let reason = reader.text()?.to_owned();
            counters.stats.rejected_by_reason.insert(reason, reader.number()?);
        }
        Some(counters)
    }
}
