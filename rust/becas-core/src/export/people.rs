//! Users and guilds as small numbers, for counting how much of a dataset is one person's.

use std::num::NonZeroU64;

use super::{matched::Row, selection::Selection};

/// For each row its user and its guild; empty where no share is limited.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) users: Numbered,
    pub(super) guilds: Numbered,
}

impl People {
    /// Numbers what the selection limits.
    pub(super) fn of(rows: &[Row], selection: &Selection) -> Self {
        let mut people = Self::default();
        if selection.user_share.is_some() {
            people.users = Numbered::of(rows.iter().map(|row| row.user));
        }
        if selection.guild_share.is_some() {
            people.guilds = Numbered::of(rows.iter().map(|row| row.guild));
        }
        people
    }
}

/// Each distinct value as a number from 0.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    /// By row; `None` where the example names nobody.
    numbers: Vec<Option<u32>>,
    /// How many distinct ones there are.
    pub(super) distinct: usize,
}

impl Numbered {
    /// Numbers in ascending order of the values.
    pub(super) fn of(values: impl Iterator<Item = Option<NonZeroU64>> + Clone) -> Self {
        let mut sorted: Vec<NonZeroU64> = values.clone().flatten().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let number = |value| sorted.binary_search(&value).ok().map(super::numbers::index);
        Self {
            numbers: values.map(|value| value.and_then(number)).collect(),
            distinct: sorted.len(),
        }
    }

    /// The number of a row, if it has one and numbers were given.
    pub(super) fn get(&self, row: u32) -> Option<u32> {
        self.numbers.get(row as usize).copied().flatten()
    }
}
