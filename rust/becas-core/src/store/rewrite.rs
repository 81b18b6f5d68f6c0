//! Data files that are made apart and then take their place whole: the first one, and the one after an erasure.

use std::{fs, io, path::Path};

use heed::PutFlags;

use super::{
    directory,
    environment::{Environment, Opened, SLACK, disk, lmdb, remove_directory},
    schema::{self, Name},
};
use crate::error::{Error, Result};

/// Records in one transaction of a rewrite.
const REWRITE_RECORDS: usize = 20_000;

impl Environment {
    /// Writes every live record into a fresh file that takes the place of the old one.
    ///
    /// LMDB's own compacting copy keeps whole pages, and with them what lies between the records of a page: bytes of
    /// erased ones among it. Records written anew leave no such gaps.
    pub(super) fn rewrite(&self) -> Result<()> {
        let mut alone = self.alone();
        let old = alone.take().ok_or(Error::Closed)?;
        let fresh_directory = self.directory.join(schema::REWRITE_DIRECTORY);
        let copied = copy_records(&old, &fresh_directory).map_err(|error| self.told_apart(error));
        // Closes the old environment, since the guard is held alone and no transaction is left.
        drop(old);
        failpoint!("rewrite::copied");
        let replaced = copied.and_then(|()| put_in_place(&self.directory).map_err(disk));
        let removed = remove_directory(&fresh_directory);
        *alone = Some(Opened::open(&self.directory, self.map_size)?);
        replaced.and(removed)
    }

    /// Writes every live record, as of one moment, into a fresh environment in another directory, which it makes.
    ///
    /// Record by record, as a rewrite does, so that the copy holds neither free pages nor what lies between records.
    /// Readers and the writer go on meanwhile; only a map that has to grow waits.
    pub(super) fn copy_to(&self, directory: &Path) -> Result<()> {
        if Self::exists(directory) {
            return Err(Error::Io { problem: "a copy is there already".to_owned() });
        }
        let entered = self.enter();
        copy_records(entered.opened()?, directory).map_err(|error| self.told_apart(error))?;
        // It counts readers of the copy, which has none.
        fs::remove_file(directory.join(schema::READERS_FILE)).map_err(disk)
    }

    /// Puts the names of the files on disk; until then a power cut brings back the file that a rewrite replaced.
    pub(super) fn sync_directory(&self) -> Result<()> {
        directory::sync(&self.directory).map_err(disk)
    }
}

/// Makes the data file apart, so that a crash in the middle leaves none rather than half of one.
pub(super) fn create(directory: &Path) -> Result<()> {
    let fresh_directory = directory.join(schema::REWRITE_DIRECTORY);
    directory::create(&fresh_directory, 0o700).map_err(disk)?;
    drop(Opened::open(&fresh_directory, SLACK)?);
    failpoint!("create::made");
    put_in_place(directory).and_then(|()| directory::sync(directory)).map_err(disk)?;
    remove_directory(&fresh_directory)
}

/// A file that was made apart takes the place of the one that counted.
fn put_in_place(directory: &Path) -> io::Result<()> {
    let fresh_directory = directory.join(schema::REWRITE_DIRECTORY);
    fs::rename(fresh_directory.join(schema::DATA_FILE), directory.join(schema::DATA_FILE))?;
    failpoint!("rewrite::renamed");
    // It counts the old file's transactions; a process that still reads the old file keeps its own.
    match fs::remove_file(directory.join(schema::READERS_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy_records(old: &Opened, fresh_directory: &Path) -> Result<()> {
    directory::create(fresh_directory, 0o700).map_err(disk)?;
    let size = old.env.real_disk_size().map_err(lmdb)?.saturating_mul(2);
    let fresh = Opened::open(fresh_directory, size.saturating_add(64 << 20))?;
    let from = old.env.read_txn().map_err(lmdb)?;
    for name in Name::ALL {
        let mut records = old.tables.named(name).iter(&from).map_err(lmdb)?.peekable();
        while records.peek().is_some() {
            let mut txn = fresh.env.write_txn().map_err(lmdb)?;
            for record in records.by_ref().take(REWRITE_RECORDS) {
                let (key, value) = record.map_err(lmdb)?;
                if name == Name::Meta && key == schema::META_REWRITE_DUE {
                    continue;
                }
                fresh
                    .tables
                    .named(name)
                    .put_with_flags(&mut txn, PutFlags::APPEND, key, value)
                    .map_err(lmdb)?;
            }
            txn.commit().map_err(lmdb)?;
            failpoint!("rewrite::copying");
        }
    }
    Ok(())
}
