//! Sources that no labeller has confirmed, and what waits because of them.

use std::{collections::HashSet, num::NonZeroU64};

use super::{matched::short, selection::Selection, source::Source};
use crate::{category::Category, error::Result, store::Header};

/// The sources of which a labeller confirmed at least one example, in whatever category.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    users: HashSet<NonZeroU64>,
    guilds: HashSet<NonZeroU64>,
}

impl Confirmed {
    /// Reads every category, for a labeller's word on a member holds for all of them.
    pub(super) fn read(source: &dyn Source) -> Result<Self> {
        let mut confirmed = Self::default();
        for category in Category::ALL {
            source.scan(category, &mut |_, record| {
                confirmed.add(&record.header);
                Ok(())
            })?;
        }
        Ok(confirmed)
    }

    fn add(&mut self, example: &Header) {
        if example.human_validated && !example.superseded {
            self.users.extend(example.user.map(short));
            self.guilds.extend(example.guild.map(short));
        }
    }

    /// Distinct users.
    pub(super) fn users(&self) -> usize {
        self.users.len()
    }

    /// Whether an example waits: nobody confirmed it, nor anything else of its user, or of its guild where it names no
    /// user.
    pub(super) fn quarantines(&self, example: &Header, selection: &Selection) -> bool {
        let holds = selection.quarantine_from.is_some_and(|least| self.users() >= least);
        let known = match (example.user, example.guild) {
            (Some(user), _) => self.users.contains(&short(user)),
            (None, Some(guild)) => self.guilds.contains(&short(guild)),
            (None, None) => false,
        };
        holds && !known && !example.human_validated
    }
}
