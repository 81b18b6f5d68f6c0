//! Taking equally from each group, within the shares of users and guilds.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::{
    fill::{Fill, Group, Limits, Rule},
    matched::{Labels, Row, group_of},
    people::People,
    seeded::Draw,
    selection::{Grouping, Selection},
};
use crate::{
    category::{Category, Outcome},
    error::{Error, Result},
    proto::OmittedGroup,
};

/// Up to so many groups all have the same size; above, the median group's size is a cap.
const EQUAL_GROUPS: usize = 20;

/// What balancing left.
#[derive(Debug)]
pub(super) struct Balanced {
    /// The chosen rows, by group and then best first.
    pub(super) chosen: Vec<u32>,
    /// The groups left out, by category and then in the order of their first example.
    pub(super) omitted: Vec<OmittedGroup>,
}

/// Chooses among `kept`, indices into `rows`.
///
/// Every category is balanced on its own. Up to 20 groups of at least `min_group` give as many as the smallest of them;
/// of more, none gives more than the median one has (of an even number the smaller of the two in the middle). The
/// best are taken first. Shares are of the whole dataset; a group that they leave under `min_group` is left
/// out as well, for else one user's flood in one label would shrink all labels.
pub(super) fn balance(
    rows: &[Row],
    kept: Vec<u32>,
    labels: &Labels,
    selection: &Selection,
) -> Result<Balanced> {
    let ordered = best_first(rows, kept, selection);
    let grouping = selection.balance;
    let group = |index: &u32| group_of(&rows[*index as usize], grouping);
    let min_group = |members: &[u32]| selection.min_group(rows[members[0] as usize].category);
    let mut omitted: Vec<(&[u32], usize)> = Vec::new();
    let mut groups: Vec<&[u32]> = Vec::new();
    for members in ordered.chunk_by(|one, two| group(one) == group(two)) {
        if grouping.is_some() && members.len() < min_group(members) {
            omitted.push((members, members.len()));
        } else {
            groups.push(members);
        }
    }
    let people = People::of(rows, selection);
    let taken = loop {
        let ruled = ruled(&groups, rows, grouping.is_some());
        let fill = within_shares(&Limits::new(&ruled, &people, selection), selection);
        if fill.total == 0 && fill.stopped_by_max {
            return Err(too_few(groups.len()));
        }
        let starved = if grouping.is_some() { fill.starved(&ruled, min_group) } else { Vec::new() };
        if starved.is_empty() {
            break fill.taken;
        }
        for position in starved.into_iter().rev() {
            omitted.push((groups.remove(position), fill.taken[position].len()));
        }
    };
    omitted.sort_by_key(|(members, _)| group(&members[0]));
    Ok(Balanced {
        chosen: taken.into_iter().flatten().collect(),
        omitted: omitted
            .into_iter()
            .map(|(members, size)| {
                omitted_group(&rows[members[0] as usize], size, labels, grouping)
            })
            .collect(),
    })
}

/// By group; within it by score, then by the seed.
fn best_first(rows: &[Row], mut kept: Vec<u32>, selection: &Selection) -> Vec<u32> {
    kept.par_sort_by_cached_key(|index| {
        let row = &rows[*index as usize];
        let tie = Draw::Tie.number(selection.seed, row.id());
        (group_of(row, selection.balance), Reverse(row.score), tie)
    });
    kept
}

fn ruled<'a>(groups: &[&'a [u32]], rows: &[Row], balanced: bool) -> Vec<Group<'a>> {
    let category = |members: &&[u32]| rows[members[0] as usize].category;
    groups
        .chunk_by(|one, two| category(one) == category(two))
        .flat_map(|groups| {
            let rule = match groups.len() {
                _ if !balanced => Rule::UpTo(usize::MAX),
                ..=EQUAL_GROUPS => Rule::Equal,
                _ => Rule::UpTo(median(groups)),
            };
            groups.iter().map(move |members| Group { members, category: category(members), rule })
        })
        .collect()
}

fn median(groups: &[&[u32]]) -> usize {
    let mut sizes: Vec<usize> = groups.iter().map(|members| members.len()).collect();
    sizes.sort_unstable();
    sizes[(sizes.len() - 1) / 2]
}

/// The largest dataset in which the limits on people, taken of its own size, hold.
///
/// The limits grow with the size and the size grows with the limits, so the largest size that its own limits
/// still fill is found by bisection.
fn within_shares(limits: &Limits<'_>, selection: &Selection) -> Fill {
    let free = limits.fill(usize::MAX, usize::MAX);
    if selection.user_share.is_none() && selection.guild_share.is_none() {
        return free;
    }
    let attempt = |size: usize| {
        limits.fill(
            people_limit(selection.user_share, size),
            people_limit(selection.guild_share, size),
        )
    };
    let unshrunk = attempt(free.total);
    if unshrunk.total == free.total {
        return unshrunk;
    }
    let (mut low, mut high) = (0, free.total - 1);
    let mut best = attempt(low);
    while low < high {
        let middle = high - (high - low) / 2;
        let fill = attempt(middle);
        if fill.total >= middle {
            low = middle;
            best = fill;
        } else {
            high = middle - 1;
        }
    }
    best
}

/// So many examples may be one person's (or guild's) in a dataset of `size`; at least one.
fn people_limit(share: Option<f64>, size: usize) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes fit 32 bits and shares lie between 0 and 1"
    )]
    share.map_or(usize::MAX, |share| ((share * size as f64).floor() as usize).max(1))
}

fn too_few(groups: usize) -> Error {
    Error::InvalidArgument {
        field: "max_examples".to_owned(),
        problem: format!(
            "there are {groups} groups, and each gives equally: send at least {groups}, or balance = false"
        ),
    }
}

fn omitted_group(
    row: &Row,
    size: usize,
    labels: &Labels,
    grouping: Option<Grouping>,
) -> OmittedGroup {
    let group = match grouping {
        Some(Grouping::Outcome) => match row.outcome {
            Outcome::Success | Outcome::Corrected => Outcome::Success.name(),
            Outcome::Failure => Outcome::Failure.name(),
            Outcome::Uncertain => Outcome::Uncertain.name(),
        },
        Some(Grouping::Label) | None => labels.name(row.label),
    };
    OmittedGroup {
        category: number(row.category),
        group: group.to_owned(),
        examples: i64::try_from(size).unwrap_or(i64::MAX),
    }
}

const fn number(category: Category) -> i32 {
    category as i32
}
