//! What the written dataset is made of, counted from what was written.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    line::split_name,
    plan::{Plan, Planned},
};
use crate::proto::Manifest;

/// Digests of what was written so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) data: blake3::Hasher,
    pub(super) data_bytes: u64,
    pub(super) ids: blake3::Hasher,
}

/// The manifest of a plan whose lines were all written but those that are `gone`.
pub(super) fn manifest(plan: &Plan, gone: &[bool], tally: &Tally) -> Manifest {
    let written = || plan.lines.iter().zip(gone).filter(|(_, gone)| !**gone).map(|(line, _)| line);
    let points: u64 = written().map(|line| u64::from(line.row.score.points())).sum();
    let examples = written().count();
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    let mean_quality = if examples == 0 { 0.0 } else { points as f64 / (10_000 * examples) as f64 };
    Manifest {
        dataset_id: tally.data.finalize().to_hex().to_string(),
        request: Some(plan.selection.request.clone()),
        seed: plan.selection.seed,
        examples: number(examples),
        by_tier: count(written().map(|line| line.row.tier.name())),
        by_label: count(written().map(|line| plan.labels.name(line.row.label))),
        by_outcome: count(written().map(|line| line.row.outcome.name())),
        by_split: count(written().map(|line| split_name(line.split))),
        by_category: count(written().map(|line| line.row.category.name())),
        mean_quality,
        example_ids_digest: tally.ids.finalize().to_hex().to_string(),
        redactor_version: plan.redactor_version.clone(),
        scorer_version: plan.scorer_version.clone(),
        omitted_groups: plan.omitted.clone(),
        near_duplicates_dropped: number(plan.near_duplicates_dropped),
        data_bytes: i64::try_from(tally.data_bytes).unwrap_or(i64::MAX),
        matched: number(plan.matched),
        users: distinct(written().filter_map(|line: &Planned| line.row.user)),
        guilds: distinct(written().filter_map(|line: &Planned| line.row.guild)),
        gone: number(gone.iter().filter(|gone| **gone).count()),
        quarantined: number(plan.quarantined),
        confirmed_users: number(plan.confirmed_users),
    }
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, i64> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> i64 {
    number(values.collect::<BTreeSet<T>>().len())
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
