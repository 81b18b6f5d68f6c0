//! Sides of the split, so that nobody and no copied message stands on two of them.

use rayon::prelude::*;

use super::{matched::Row, people::Numbered, seeded::Draw, union::Union};
use crate::proto::Split;

/// Sides with their tenths of the dataset, in the order in which a tie between them is decided: a dataset
/// too small for three sides goes without validation first.
const SIDES: [(Split, i64); 3] = [(Split::Train, 8), (Split::Test, 1), (Split::Validation, 1)];

/// The side of each chosen row, in their order.
///
/// Chosen rows are connected by a user (by the guild where there is no user) and by a cluster of near-copies.
/// Connected parts are placed whole: the largest first, equal ones in the order of the seed, each on the side
/// that lacks most examples of its 80, 10 or 10 per cent, so that one large part does not upset the ratios.
pub(super) fn split(rows: &[Row], clusters: &[u32], chosen: &[u32], seed: u64) -> Vec<Split> {
    let parts = parts(rows, clusters, chosen);
    let mut order: Vec<u32> = (0..super::numbers::index(chosen.len())).collect();
    let mut sizes = vec![0_i64; chosen.len()];
    for part in &parts {
        sizes[*part as usize] += 1;
    }
    order.retain(|part| sizes[*part as usize] > 0);
    order.par_sort_by_cached_key(|part| {
        let canonical = rows[chosen[*part as usize] as usize].id();
        (-sizes[*part as usize], Draw::Split.number(seed, canonical))
    });
    let total: i64 = sizes.iter().sum();
    // Ten times what each side lacks: tenths stay whole numbers.
    let mut lacking = SIDES.map(|(_, tenths)| tenths * total);
    let mut side_of_part = vec![Split::Train; chosen.len()];
    for part in order {
        let mut side = 0;
        for other in 1..SIDES.len() {
            if lacking[other] > lacking[side] {
                side = other;
            }
        }
        lacking[side] -= 10 * sizes[part as usize];
        side_of_part[part as usize] = SIDES[side].0;
    }
    parts.iter().map(|part| side_of_part[*part as usize]).collect()
}

/// For each chosen row the position of the first chosen row of its connected part.
fn parts(rows: &[Row], clusters: &[u32], chosen: &[u32]) -> Vec<u32> {
    let row = |chosen: &u32| &rows[*chosen as usize];
    let users = Numbered::of(chosen.iter().map(|chosen| row(chosen).user));
    let guilds = Numbered::of(
        chosen.iter().map(|chosen| row(chosen).guild.filter(|_| row(chosen).user.is_none())),
    );
    let mut union = Union::new(super::numbers::index(chosen.len()));
    let mut first_of_cluster = vec![None; rows.len()];
    let mut first_of_user = vec![None; users.distinct];
    let mut first_of_guild = vec![None; guilds.distinct];
    for (position, chosen) in (0_u32..).zip(chosen) {
        let mut connect = |first: &mut Option<u32>| match *first {
            Some(first) => union.join(first, position),
            None => *first = Some(position),
        };
        connect(&mut first_of_cluster[clusters[*chosen as usize] as usize]);
        users.get(position).into_iter().for_each(|user| connect(&mut first_of_user[user as usize]));
        guilds
            .get(position)
            .into_iter()
            .for_each(|guild| connect(&mut first_of_guild[guild as usize]));
    }
    union.into_roots()
}
