//! Erasure: of a person, of a guild that withdraws consent, of what has passed its age.

use std::ops::Bound;

use heed::types::Bytes;

use super::{
    admit::Plan,
    codec::{self, Record},
    consent::Word,
    environment::{Environment, Failure},
    read::after,
    remembered::{Chunk, Entry, Fate},
    schema::{self, ExampleId, number_key},
    waiting::{Filed, Labelling},
    writer::Writer,
};
use crate::{
    category::Category,
    error::{Error, Result},
    example::CorrectionOf,
    pseudonym::Pseudonym,
};

/// Examples deleted in one transaction, and looked at in one.
const DELETED_AT_ONCE: usize = 2_000;
const LOOKED_AT_ONCE: usize = 20_000;
/// Pages that the deletion of one record copies, at worst, and a share of their parents.
const COPIED_BYTES: u64 = 8 << 10;

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Examples.
    pub examples: u64,
    /// Corrections that waited, labelling cases, outbox entries, and the author of events that are not stored.
    pub others: u64,
    /// Datasets that were exported with one of the examples.
    pub datasets: Vec<String>,
}

/// Whose records go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Person(Pseudonym),
    Guild(Pseudonym),
}

impl Whose {
    fn example(self, record: &Record<'_>) -> bool {
        match self {
            Self::Person(person) => {
                record.header.user == Some(person) || record.people().any(|one| one == person)
            }
            Self::Guild(guild) => record.header.guild == Some(guild),
        }
    }

    fn entry(self, entry: &Entry) -> bool {
        match self {
            Self::Person(person) => entry.user == Some(person),
            Self::Guild(guild) => entry.guild == Some(guild),
        }
    }

    fn correction(self, correction: &CorrectionOf) -> bool {
        match self {
            Self::Person(person) => correction.people.contains(&person),
            Self::Guild(guild) => correction.guild == Some(guild),
        }
    }

    fn labelling(self, labelling: &Labelling) -> bool {
        match (self, labelling) {
            (_, Labelling::Solved { .. }) => false,
            (Self::Person(person), Labelling::Open(case)) => case.concerns(person),
            (Self::Guild(_), Labelling::Open(case)) => self.correction(&case.correction),
        }
    }
}

impl Writer {
    /// Erases everything about a person, then rewrites the file.
    ///
    /// The file is rewritten even where nothing is found: what was replaced, evicted or expired before is in no table
    /// any more, and its bytes still lie on free pages.
    pub(super) fn forget(&mut self, person: Pseudonym, now_ms: i64) -> Result<Forgotten> {
        self.now_ms = now_ms;
        self.erase(Whose::Person(person))
    }

    /// Keeps a guild's word; where it withdraws, erases what there is of it.
    pub(super) fn set_consent(
        &mut self,
        guild: Pseudonym,
        granted: bool,
        now_ms: i64,
    ) -> Result<Forgotten> {
        self.now_ms = now_ms;
        self.transact(0, true, |plan| {
            plan.tables.consent.put(plan.txn, &guild.0, &Word { guild, granted }.encode())?;
            plan.index.set_consent(guild, granted);
            if granted { Ok(()) } else { plan.owe_rewrite() }
        })?;
        failpoint!("consent::kept");
        if granted { Ok(Forgotten::default()) } else { self.erase(Whose::Guild(guild)) }
    }

    fn erase(&mut self, whose: Whose) -> Result<Forgotten> {
        let mut forgotten = Forgotten::default();
        // Before the first deletion, so that the rewrite is made up for after a crash between any two of them.
        self.transact(0, true, |plan| {
            plan.owe_rewrite()?;
            Ok(())
        })?;
        failpoint!("erase::owed");
        let mut ids = Vec::new();
        for category in Category::ALL {
            // What cannot be read cannot be shown to concern nobody.
            ids.append(&mut self.matching(category, |id, bytes| {
                codec::decode(id, bytes).map_or(true, |record| whose.example(&record))
            })?);
        }
        forgotten.datasets = self.datasets_with(&ids)?;
        forgotten.examples = self.delete(&ids, Fate::Erased)?;
        let room = self.shared.environment.info()?.used_bytes / 4;
        forgotten.others = self.transact(room, true, |plan| {
            Ok(plan.erase_waiting(whose)? + plan.erase_remembered(whose)?)
        })?;
        self.rewrite()?;
        Ok(forgotten)
    }

    /// Rewrites the file, so that only what is stored is in it.
    pub(super) fn rewrite(&mut self) -> Result<()> {
        self.check_usable()?;
        let environment = &self.shared.environment;
        let rewritten = environment.rewrite().and_then(|()| environment.sync_directory());
        self.shared.meter.map_changed();
        rewritten.map_err(|error| {
            let failed = matches!(error, Error::Io { .. });
            if failed { self.stop_writing(error) } else { error }
        })
    }

    fn matching(
        &self,
        category: Category,
        matches: impl Fn(ExampleId, &[u8]) -> bool,
    ) -> Result<Vec<ExampleId>> {
        matching(&self.shared.environment, category, matches)
    }

    fn delete(&mut self, ids: &[ExampleId], fate: Fate) -> Result<u64> {
        for chunk in ids.chunks(DELETED_AT_ONCE) {
            self.transact(COPIED_BYTES * chunk.len() as u64, true, |plan| {
                chunk.iter().try_for_each(|id| plan.delete(*id, fate))
            })?;
            failpoint!("erase::deleted");
        }
        Ok(ids.len() as u64)
    }

    /// Deletes examples past their category's age, and corrections that waited longer than ids are remembered.
    pub(super) fn expire(&mut self, now_ms: i64) -> Result<u64> {
        self.now_ms = now_ms;
        let ages: Vec<(Category, i64)> = self
            .shared
            .config
            .retention_days
            .iter()
            .filter_map(|(name, days)| {
                let age = i64::from(*days) * super::DAY_MS;
                Some((Category::from_name(name)?, now_ms.saturating_sub(age)))
            })
            .collect();
        let mut expired = 0;
        for (category, oldest) in &ages {
            let ids = self.matching(*category, |id, bytes| {
                codec::decode_unchecked(id, bytes)
                    .is_some_and(|record| record.header.time_ms < *oldest)
            })?;
            expired += self.delete(&ids, Fate::Gone)?;
            failpoint!("expire::deleted");
        }
        let oldest_waiting = now_ms.saturating_sub(self.rules.window_ms);
        self.transact(COPIED_BYTES * 64, true, |plan| plan.expire_waiting(&ages, oldest_waiting))?;
        self.shared.environment.clear_stale_readers()?;
        let info = self.shared.environment.info()?;
        // Deleting may have gone beyond the limit, which must not stay.
        if info.map_bytes > self.shared.environment.limit() {
            self.rewrite()?;
        }
        Ok(expired)
    }

    /// Drops outbox entries up to a cursor.
    pub(super) fn trim_outbox(&mut self, upto: u64) -> Result<u64> {
        self.transact(0, true, |plan| {
            let last = number_key(upto);
            let range = (Bound::Unbounded, Bound::Included(&last[..]));
            let trimmed = plan.tables.outbox.delete_range(plan.txn, &range)? as u64;
            failpoint!("outbox::trimmed");
            Ok(trimmed)
        })
    }
}

/// The examples of a category that match.
fn matching(
    environment: &Environment,
    category: Category,
    matches: impl Fn(ExampleId, &[u8]) -> bool,
) -> Result<Vec<ExampleId>> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let last = environment.read(|tables, txn| {
            let mut last = None;
            for found in after(tables, txn, Some(category), cursor)?.take(LOOKED_AT_ONCE) {
                let (id, bytes) = found?;
                if matches(id, bytes) {
                    ids.push(id);
                }
                last = Some(id);
            }
            Ok(last)
        })?;
        match last {
            None => return Ok(ids),
            last => cursor = last,
        }
    }
}

impl Plan<'_, '_> {
    /// Erased bytes lie on free pages until the file is rewritten.
    fn owe_rewrite(&mut self) -> std::result::Result<(), Failure> {
        Ok(self.tables.meta.put(self.txn, schema::META_REWRITE_DUE, &[1])?)
    }

    fn delete(&mut self, id: ExampleId, fate: Fate) -> std::result::Result<(), Failure> {
        let found = self.tables.examples.get(self.txn, &id.key())?;
        let Some(bytes) = found.map(<[u8]>::to_vec) else { return Ok(()) };
        let Some(record) = codec::decode_unchecked(id, &bytes) else {
            // Nothing of it is known, so nothing refers to it.
            self.tables.examples.delete(self.txn, &id.key())?;
            return Ok(());
        };
        self.remove(id, &record.header, record.label(), fate)
    }

    fn erase_waiting(&mut self, whose: Whose) -> std::result::Result<u64, Failure> {
        let pending = self.delete_where(self.tables.pending, |_, bytes| {
            Ok(whose.correction(&Filed::decode(bytes)?.correction))
        })?;
        for key in &pending {
            self.no_longer_waits(key);
        }
        let outbox = self.delete_where(self.tables.outbox, |_, bytes| {
            Ok(whose.correction(&Filed::decode(bytes)?.correction))
        })?;
        let labelling = self.delete_where(self.tables.labelling, |_, bytes| {
            Ok(whose.labelling(&Labelling::decode(bytes)?))
        })?;
        Ok((pending.len() + outbox.len() + labelling.len()) as u64)
    }

    pub(super) fn no_longer_waits(&mut self, key: &[u8]) {
        if let Some(original) = schema::pseudonym_from_key(key) {
            self.index.remove_pending(original);
        }
    }

    pub(super) fn delete_where(
        &mut self,
        table: heed::Database<'static, Bytes, Bytes>,
        matches: impl Fn(&[u8], &[u8]) -> Result<bool>,
    ) -> std::result::Result<Vec<Vec<u8>>, Failure> {
        let mut keys = Vec::new();
        for found in table.iter(self.txn)? {
            let (key, bytes) = found?;
            // What cannot be read cannot be shown to concern nobody.
            if matches(key, bytes).unwrap_or(true) {
                keys.push(key.to_vec());
            }
        }
        for key in &keys {
            table.delete(self.txn, key)?;
        }
        Ok(keys)
    }

    /// Leaves nothing of a damaged chunk but ids. They are as new as any: when they came cannot be told.
    pub(super) fn keep_ids_of_damaged(&mut self) -> std::result::Result<(), Failure> {
        let mut changed = Vec::new();
        let mut chunks = self.tables.remembered.iter(self.txn)?.peekable();
        while let Some(found) = chunks.next() {
            let (key, bytes) = found?;
            let Some(first) = schema::number_from_key(key) else { continue };
            if Chunk::decode(first, bytes).is_ok() {
                continue;
            }
            let next = match chunks.peek() {
                Some(Ok((key, _))) => schema::number_from_key(key),
                Some(Err(_)) | None => None,
            };
            let end = next.unwrap_or(self.index.counters.remembered);
            let mut entries = Chunk::entries(first, bytes);
            // Numbers in the place of ids that are lost, so that every later entry keeps its own number.
            let lost = first + entries.len() as u64..end;
            entries.extend(
                lost.map(|number| Entry::erased(Pseudonym(u128::from(number).to_be_bytes()))),
            );
            changed.push((first, Chunk { arrived_ms: self.now_ms, entries }.encode()));
        }
        drop(chunks);
        for (first, bytes) in changed {
            self.tables.remembered.put(self.txn, &number_key(first), &bytes)?;
        }
        Ok(())
    }

    fn erase_remembered(&mut self, whose: Whose) -> std::result::Result<u64, Failure> {
        // What cannot be read cannot be shown to concern nobody.
        self.keep_ids_of_damaged()?;
        let mut changed = Vec::new();
        let mut erased = 0;
        for found in self.tables.remembered.iter(self.txn)? {
            let (key, bytes) = found?;
            let first = schema::number_from_key(key).unwrap_or_default();
            let mut chunk = Chunk::decode(first, bytes)?;
            let mut here = 0;
            for entry in chunk.entries.iter_mut().filter(|entry| whose.entry(entry)) {
                *entry = Entry::erased(entry.event);
                here += 1;
            }
            if here > 0 {
                erased += here;
                changed.push((first, chunk.encode()));
            }
        }
        for (first, bytes) in changed {
            self.tables.remembered.put(self.txn, &number_key(first), &bytes)?;
        }
        Ok(erased)
    }

    fn expire_waiting(
        &mut self,
        ages: &[(Category, i64)],
        oldest_waiting: i64,
    ) -> std::result::Result<(), Failure> {
        let pending = self.delete_where(self.tables.pending, |_, bytes| {
            Ok(Filed::decode(bytes)?.arrived_ms < oldest_waiting)
        })?;
        for key in &pending {
            self.no_longer_waits(key);
        }
        self.delete_where(self.tables.labelling, |_, bytes| {
            Ok(match Labelling::decode(bytes)? {
                Labelling::Solved { arrived_ms } => arrived_ms < oldest_waiting,
                Labelling::Open(case) => ages.iter().any(|(category, oldest)| {
                    case.category == *category && case.correction.time_ms < *oldest
                }),
            })
        })?;
        Ok(())
    }
}
