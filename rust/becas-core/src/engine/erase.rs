//! Erasure: people, guilds, age; copies; and proof that what is stored is sound.

use std::path::Path;

use super::{ENVIRONMENT, Engine};
use crate::{error::Result, pseudonym::IdKind, store::Forgotten};

impl Engine {
    /// Erases everything about a user, free pages included.
    pub fn forget(&self, user_id: &str, now_ms: i64) -> Result<Forgotten> {
        self.store.forget(self.key.pseudonym(IdKind::User, user_id), now_ms)
    }

    /// Grants or withdraws a guild's consent; how many examples that erased.
    pub fn set_consent(&self, guild_id: &str, granted: bool, now_ms: i64) -> Result<u64> {
        let guild = self.key.pseudonym(IdKind::Guild, guild_id);
        self.store.set_consent(guild, granted, now_ms).map(|erased| erased.examples)
    }

    /// Erases what is older than the configured maximum age; how many examples.
    pub fn expire(&self, now_ms: i64) -> Result<u64> {
        self.store.expire(now_ms)
    }

    /// Forgets outbox entries up to a cursor.
    pub fn outbox_trim(&self, up_to: u64) -> Result<()> {
        self.store.outbox_trim(up_to).map(drop)
    }

    /// Problems found by reading everything; empty when sound.
    pub fn verify(&self) -> Result<Vec<String>> {
        Ok(self.store.verify()?.problems)
    }

    /// Drops what is damaged; the problems that there were.
    pub fn repair(&self) -> Result<Vec<String>> {
        Ok(self.store.repair()?.problems)
    }

    /// Copies the store, as of one moment, into `{directory}/examples`; without the key.
    pub fn copy_to(&self, directory: &Path) -> Result<()> {
        self.store.copy_to(&directory.join(ENVIRONMENT))
    }
}
