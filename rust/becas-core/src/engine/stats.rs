//! Totals in messages of the contract, and metrics by name.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{Engine, decode};
use crate::{
    category::Category,
    error::Result,
    event::category_of,
    proto,
    store::{COMMIT_EVENTS_BOUNDS, COMMIT_MICROSECONDS_BOUNDS, CategoryStats, Stats},
};

const BINS: usize = 20;
const BIN_POINTS: usize = 10_000 / BINS;

/// How measured values are spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// (upper bound, values up to it), ascending; the last bound is infinite.
    pub buckets: Vec<(f64, f64)>,
    /// Sum of the values.
    pub sum: f64,
}

impl Engine {
    /// Exact totals, at the same cost at any size.
    pub fn stats(&self) -> Result<proto::GetTrainingStatsResponse> {
        Ok(message(&self.store.stats()?))
    }

    /// The same totals, counted anew from every record.
    pub fn recount(&self) -> Result<proto::GetTrainingStatsResponse> {
        Ok(message(&self.store.recount()?))
    }

    /// Stored examples by score, by an encoded GetQualityHistogramRequest.
    pub fn quality_histogram(&self, request: &[u8]) -> Result<proto::GetQualityHistogramResponse> {
        let request: proto::GetQualityHistogramRequest = decode(request)?;
        let chosen = match request.category {
            0 => Category::ALL.to_vec(),
            number => vec![category_of(number, "category")?],
        };
        let mut bins = vec![0; BINS];
        for category in chosen {
            self.store.scan(category, |_, record| {
                if !record.header.superseded {
                    bins[(usize::from(record.header.score.points()) / BIN_POINTS).min(BINS - 1)] +=
                        1;
                }
                Ok(())
            })?;
        }
        Ok(proto::GetQualityHistogramResponse { bins })
    }

    /// Histograms by name.
    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    pub fn histograms(&self) -> BTreeMap<&'static str, Histogram> {
        let store = self.store.metrics();
        let sizes = COMMIT_EVENTS_BOUNDS.map(|bound| bound as f64);
        let times = COMMIT_MICROSECONDS_BOUNDS.map(|bound| bound as f64 / 1e6);
        BTreeMap::from([
            (
                "commit_events",
                histogram(&sizes, &store.commit_events, store.committed_events as f64),
            ),
            (
                "commit_seconds",
                histogram(&times, &store.commit_times, store.commit_time.as_secs_f64()),
            ),
        ])
    }

    /// Counters and gauges by name; seconds and bytes are named as such.
    #[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
    pub fn metrics(&self) -> Result<BTreeMap<&'static str, f64>> {
        let store = self.store.metrics();
        let environment = self.store.env_info()?;
        Ok(BTreeMap::from([
            ("events_total", self.events.load(Ordering::Relaxed) as f64),
            ("events_invalid_total", self.invalid.load(Ordering::Relaxed) as f64),
            ("unknown_fields_total", self.unknown_fields.load(Ordering::Relaxed) as f64),
            ("duplicates_total", store.duplicates as f64),
            ("same_input_total", store.same_input as f64),
            ("conflicts_total", store.conflicts as f64),
            ("replaced_total", store.replaced as f64),
            ("evictions_total", store.evictions as f64),
            ("refused_total", store.refused as f64),
            ("map_changes_total", store.map_changes as f64),
            ("queued_bytes", store.queued_bytes as f64),
            ("map_bytes", environment.map_bytes as f64),
            ("used_bytes", environment.used_bytes as f64),
            ("readers", f64::from(environment.readers)),
            ("damaged_records", store.damaged_records as f64),
        ]))
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
fn histogram(bounds: &[f64], counts: &[u64], sum: f64) -> Histogram {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let so_far = counts.iter().scan(0, |total, count| {
        *total += count;
        Some(*total as f64)
    });
    Histogram { buckets: bounds.zip(so_far).collect(), sum }
}

fn message(stats: &Stats) -> proto::GetTrainingStatsResponse {
    let all = stats.all();
    proto::GetTrainingStatsResponse {
        total_examples: whole(all.total()),
        categories: Category::ALL.map(|category| row(category, stats.category(category))).to_vec(),
        tiers: Some(tiers(&all)),
        human_corrections: whole(stats.human_corrections()),
        rag_enhanced: whole(all.rag_enhanced),
        superseded: whole(all.superseded),
        rejected_by_reason: stats
            .rejected_by_reason
            .iter()
            .map(|(reason, count)| (reason.clone(), whole(*count)))
            .collect(),
    }
}

fn row(category: Category, stats: &CategoryStats) -> proto::CategoryStats {
    proto::CategoryStats {
        category: category as i32,
        total: whole(stats.total()),
        tiers: Some(tiers(stats)),
        mean_quality: stats.mean_quality(),
        superseded: whole(stats.superseded),
        rejected: whole(stats.rejected),
        gold_ever: whole(stats.gold_ever),
    }
}

fn tiers(stats: &CategoryStats) -> proto::TierCounts {
    proto::TierCounts {
        gold: whole(stats.gold),
        silver: whole(stats.silver),
        bronze: whole(stats.bronze),
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
