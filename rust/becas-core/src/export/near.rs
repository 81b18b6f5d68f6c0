//! Clusters of near-copies, and the cap on how many of a cluster are taken.

use std::cmp::Reverse;

use super::{
    Context,
    matched::{Matched, Row},
    minhash::{BANDS, Signature, low_half},
    seeded::Draw,
    shingle::Shingles,
    source::Source,
    union::Union,
};
use crate::error::Result;

/// How many near-copies of one message a dataset may hold in each category.
const KEPT_OF_A_CLUSTER: usize = 3;
/// An agreement from which two texts count as near-copies unread: 1 pair in 70,000 has it at a Jaccard index of 0.8.
const SURELY_NEAR: usize = 62;
/// An agreement under which they count as different unread: 5 deviations below that of a Jaccard index of 0.8.
const SURELY_FAR: usize = 35;
/// The agreement at a Jaccard index of 0.8: decides once too many pairs were read.
const PROBABLY_NEAR: usize = 50;
/// Each text of a bucket is compared with so many before it, so that a bucket of a million costs no million squared.
const WINDOW: usize = 64;
/// Pairs that may be read from the store, for each signature and in any case.
const READS_PER_SIGNATURE: usize = 4;
const READS_AT_LEAST: usize = 100_000;

/// For each row the smallest row of its cluster; a row without near-copies is its own.
///
/// Texts that share a band of their signatures are compared; near-copies of near-copies are of one cluster.
pub(super) fn clusters(
    source: &dyn Source,
    matched: &Matched,
    context: &Context<'_>,
) -> Result<Vec<u32>> {
    let mut search = Search {
        source,
        matched,
        context,
        union: Union::new(super::numbers::index(matched.rows.len())),
        reads_left: READS_AT_LEAST.max(READS_PER_SIGNATURE * matched.signatures.len()),
    };
    let mut keys: Vec<u64> = Vec::with_capacity(matched.signatures.len());
    for band in 0..BANDS {
        keys.clear();
        keys.extend(
            matched
                .signatures
                .iter()
                .zip(0_u64..)
                .map(|((_, signature), position)| u64::from(signature.band(band)) << 32 | position),
        );
        keys.sort_unstable();
        for bucket in keys.chunk_by(|one, two| one >> 32 == two >> 32) {
            search.bucket(bucket)?;
        }
    }
    Ok(search.union.into_roots())
}

struct Search<'a> {
    source: &'a dyn Source,
    matched: &'a Matched,
    context: &'a Context<'a>,
    union: Union,
    reads_left: usize,
}

impl Search<'_> {
    fn bucket(&mut self, bucket: &[u64]) -> Result<()> {
        for place in 1..bucket.len() {
            let (row, signature) = self.signed(bucket[place]);
            let mut text = None;
            for other in &bucket[place.saturating_sub(WINDOW)..place] {
                let (other_row, other_signature) = self.signed(*other);
                if self.union.root(row) != self.union.root(other_row) {
                    let agreement = signature.agreement(&other_signature);
                    if self.are_near(agreement, row, other_row, &mut text)? {
                        self.union.join(row, other_row);
                    }
                }
            }
        }
        Ok(())
    }

    fn signed(&self, key: u64) -> (u32, Signature) {
        self.matched.signatures[low_half(key) as usize]
    }

    fn are_near(
        &mut self,
        agreement: usize,
        row: u32,
        other: u32,
        text: &mut Option<Shingles>,
    ) -> Result<bool> {
        match agreement {
            SURELY_NEAR.. => Ok(true),
            ..SURELY_FAR => Ok(false),
            _ if self.reads_left == 0 => Ok(agreement >= PROBABLY_NEAR),
            _ => {
                self.reads_left -= 1;
                let text = match text {
                    Some(text) => text,
                    None => text.insert(self.read(row)?),
                };
                Ok(text.is_near_copy_of(&self.read(other)?))
            }
        }
    }

    /// Empty, and so near to nothing, where the example is gone.
    fn read(&self, row: u32) -> Result<Shingles> {
        let mut shingles = Shingles::default();
        self.source.read_many(&[self.matched.rows[row as usize].id()], &mut |_, example| {
            let message = example.as_ref().and_then(self.context.message);
            shingles = message.map(|text| Shingles::of(&text)).unwrap_or_default();
            Ok(())
        })?;
        Ok(shingles)
    }
}

/// The rows that stay when each category keeps the best three of a cluster, ascending.
pub(super) fn without_copies(rows: &[Row], clusters: &[u32], seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..super::numbers::index(rows.len())).collect();
    order.sort_by_cached_key(|index| {
        let row = &rows[*index as usize];
        let tie = Draw::Tie.number(seed, row.id());
        (clusters[*index as usize], row.category, Reverse(row.score), tie)
    });
    let of_one_cluster = |one: &u32, two: &u32| {
        clusters[*one as usize] == clusters[*two as usize]
            && rows[*one as usize].category == rows[*two as usize].category
    };
    let mut kept: Vec<u32> = order
        .chunk_by(of_one_cluster)
        .flat_map(|cluster| cluster.iter().copied().take(KEPT_OF_A_CLUSTER))
        .collect();
    kept.sort_unstable();
    kept
}
