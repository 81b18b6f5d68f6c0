//! Filling a dataset in rounds, one example from each group a round.

use super::{people::People, selection::Selection};
use crate::category::Category;

/// Examples of one category among which the dataset is not to prefer, best first; never empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group<'a> {
    pub(super) members: &'a [u32],
    pub(super) category: Category,
    pub(super) rule: Rule,
}

/// When a group has given enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// As soon as one group of the category has no more.
    Equal,
    /// At so many examples.
    UpTo(usize),
}

/// What a fill must respect.
#[derive(Debug)]
pub(super) struct Limits<'a> {
    groups: &'a [Group<'a>],
    people: &'a People,
    max_examples: usize,
    /// Whether a last round may serve only some of the groups.
    partial_round: bool,
}

/// A filled dataset.
#[derive(Debug)]
pub(super) struct Fill {
    /// By group, best first.
    pub(super) taken: Vec<Vec<u32>>,
    pub(super) total: usize,
    /// The limit on examples ended it.
    pub(super) stopped_by_max: bool,
    /// By group: it had no more to give when its category ended.
    exhausted: Vec<bool>,
}

impl Fill {
    /// Positions of the groups that hold the others back, ascending: under their `min_group` with nothing left to give.
    ///
    /// Where groups are equal only the first is named: without it the others may do.
    pub(super) fn starved(
        &self,
        groups: &[Group<'_>],
        min_group: impl Fn(&[u32]) -> usize,
    ) -> Vec<usize> {
        let starved = |position: &usize| {
            self.exhausted[*position]
                && self.taken[*position].len() < min_group(groups[*position].members)
        };
        let equal = |position: &usize| groups[*position].rule == Rule::Equal;
        let all: Vec<usize> = (0..groups.len()).filter(starved).collect();
        match all.iter().copied().find(equal) {
            Some(first) => vec![first],
            None => all,
        }
    }
}

impl<'a> Limits<'a> {
    pub(super) fn new(groups: &'a [Group<'a>], people: &'a People, selection: &Selection) -> Self {
        Self {
            groups,
            people,
            max_examples: selection.max_examples.unwrap_or(usize::MAX),
            partial_round: selection.balance.is_none(),
        }
    }

    /// Fills with at most so many examples of one user and of one guild.
    pub(super) fn fill(&self, user_limit: usize, guild_limit: usize) -> Fill {
        let mut filling = Filling {
            limits: self,
            user_limit,
            guild_limit,
            of_user: vec![0; self.people.users.distinct],
            of_guild: vec![0; self.people.guilds.distinct],
            cursors: vec![0; self.groups.len()],
            fill: Fill {
                taken: vec![Vec::new(); self.groups.len()],
                total: 0,
                stopped_by_max: false,
                exhausted: vec![false; self.groups.len()],
            },
        };
        filling.run();
        filling.fill
    }
}

struct Filling<'a> {
    limits: &'a Limits<'a>,
    user_limit: usize,
    guild_limit: usize,
    of_user: Vec<usize>,
    of_guild: Vec<usize>,
    cursors: Vec<usize>,
    fill: Fill,
}

impl Filling<'_> {
    fn run(&mut self) {
        let mut active: Vec<usize> = (0..self.limits.groups.len()).collect();
        while !active.is_empty() {
            let room = self.limits.max_examples - self.fill.total;
            if room == 0 || (room < active.len() && !self.limits.partial_round) {
                self.fill.stopped_by_max = true;
                return;
            }
            active = self.round(&active);
        }
    }

    /// One example from each of the groups; returns those that can give more.
    fn round(&mut self, active: &[usize]) -> Vec<usize> {
        let groups = self.limits.groups;
        let mut still = Vec::with_capacity(active.len());
        for category in active.chunk_by(|one, two| groups[*one].category == groups[*two].category) {
            for (position, group) in category.iter().enumerate() {
                if self.fill.total == self.limits.max_examples || self.take(*group) {
                    still.push(*group);
                } else if groups[*group].rule == Rule::Equal {
                    // The round cannot be completed: what the category gave in it goes back.
                    let given = &category[..position];
                    for group in given {
                        self.give_back(*group);
                    }
                    still.truncate(still.len() - given.len());
                    break;
                }
            }
        }
        still.retain(|group| match groups[*group].rule {
            Rule::Equal => true,
            Rule::UpTo(limit) => self.fill.taken[*group].len() < limit,
        });
        still
    }

    /// Takes the best that the limits on people admit; false where there is none.
    fn take(&mut self, group: usize) -> bool {
        let members = self.limits.groups[group].members;
        while let Some(row) = members.get(self.cursors[group]).copied() {
            self.cursors[group] += 1;
            if self.has_room(row) {
                self.count(row, usize::wrapping_add);
                self.fill.taken[group].push(row);
                self.fill.total += 1;
                return true;
            }
        }
        self.fill.exhausted[group] = true;
        false
    }

    fn give_back(&mut self, group: usize) {
        if let Some(row) = self.fill.taken[group].pop() {
            self.count(row, usize::wrapping_sub);
            self.fill.total -= 1;
        }
    }

    fn has_room(&self, row: u32) -> bool {
        let people = self.limits.people;
        let user = people.users.get(row).map(|user| self.of_user[user as usize]);
        let guild = people.guilds.get(row).map(|guild| self.of_guild[guild as usize]);
        user.is_none_or(|count| count < self.user_limit)
            && guild.is_none_or(|count| count < self.guild_limit)
    }

    fn count(&mut self, row: u32, change: fn(usize, usize) -> usize) {
        if let Some(user) = self.limits.people.users.get(row) {
            self.of_user[user as usize] = change(self.of_user[user as usize], 1);
        }
        if let Some(guild) = self.limits.people.guilds.get(row) {
            self.of_guild[guild as usize] = change(self.of_guild[guild as usize], 1);
        }
    }
}
