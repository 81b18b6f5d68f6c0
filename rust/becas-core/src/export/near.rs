//! Clusters of near-copies, and the cap on how many of a cluster are taken.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::{matched::Row, seeded::Draw, sketch::Sketches, union::Union};

/// How many near-copies of one message a dataset may hold in each category.
const KEPT_OF_A_CLUSTER: usize = 3;
/// Each text that shares a word pair is compared with so many before it, so that a pair that a million texts have
/// costs no million squared.
const WINDOW: usize = 256;
/// Counters of the word pairs; pairs with the same upper bits share one.
const COUNTER_BITS: u32 = 20;

/// For each row the smallest row of its cluster; a row without near-copies is its own.
///
/// Near-copies share four fifths of the smaller text's hashes, so that whatever the order, each has one of the other's
/// among its first few. Those in which texts meet are the rarest ones (prefix filtering: Chaudhuri, Ganti and Kaushik
/// 2006; Bayardo, Ma and Srikant 2007). Near-copies of near-copies are of one cluster.
pub(super) fn clusters(mut sketches: Sketches, rows: usize) -> Vec<u32> {
    sketches.sort_by_size();
    let alone = || Union::new(super::numbers::index(rows));
    meetings(&sketches)
        .par_chunk_by(|one, two| one >> 32 == two >> 32)
        .fold(alone, |mut union, bucket| {
            join_near(&sketches, bucket, &mut union);
            union
        })
        .reduce(alone, Union::of_both)
        .into_roots()
}

/// Joins the near-copies among texts that share a hash, the shortest first.
fn join_near(sketches: &Sketches, bucket: &[u64], union: &mut Union) {
    for place in 1..bucket.len() {
        let text = text_of(bucket[place]);
        let least = (4 * sketches.size(text)).div_ceil(5);
        for other in bucket[place.saturating_sub(WINDOW)..place].iter().rev() {
            let other = text_of(*other);
            if sketches.size(other) < least {
                break;
            }
            let (row, other_row) = (sketches.row(text), sketches.row(other));
            if sketches.may_be_near(text, other)
                // In a wave of copies nearly all are joined already.
                && union.root(row) != union.root(other_row)
                && sketches.are_near(text, other)
            {
                union.join(row, other_row);
            }
        }
    }
}

/// Where texts meet: a hash and a text that has it among its rarest ones, ascending.
fn meetings(sketches: &Sketches) -> Vec<u64> {
    let mut counts = vec![0_u32; 1 << COUNTER_BITS];
    let counter = |hash: u32| (hash >> (32 - COUNTER_BITS)) as usize;
    for text in 0..sketches.len() {
        for hash in sketches.hashes(text) {
            counts[counter(*hash)] += 1;
        }
    }
    let with_count = |hash: &u32| u64::from(counts[counter(*hash)]) << 32 | u64::from(*hash);
    let mut meetings: Vec<u64> = (0..super::numbers::index(sketches.len()))
        .into_par_iter()
        .flat_map_iter(|text| {
            let hashes = sketches.hashes(text as usize);
            let mut rarest: Vec<u64> = hashes.iter().map(with_count).collect();
            rarest.sort_unstable();
            rarest.truncate(hashes.len() - sketches.shared_with_near_copies(text as usize) + 1);
            // A hash that was counted once is nobody else's.
            rarest.retain(|hash| hash >> 32 > 1);
            rarest.into_iter().map(move |hash| hash << 32 | u64::from(text))
        })
        .collect();
    meetings.par_sort_unstable();
    meetings
}

/// The text of a meeting.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn text_of(meeting: u64) -> usize {
    meeting as u32 as usize
}

/// The rows that stay when each category keeps the best three of a cluster, ascending.
pub(super) fn without_copies(rows: &[Row], clusters: &[u32], seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..super::numbers::index(rows.len())).collect();
    order.par_sort_by_cached_key(|index| {
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
