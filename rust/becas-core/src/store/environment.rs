//! The LMDB environment: opened once, durable always, grown and rewritten only while nobody is inside.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError},
};

use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls,
    types::Bytes,
};
use rustix::fs::{FallocateFlags, FlockOperation, StatVfs, fallocate, flock, statfs, statvfs};

use super::{
    directory, rewrite,
    schema::{self, Name},
};
use crate::{
    config,
    error::{Error, Result},
};

type Table = Database<'static, Bytes, Bytes>;

/// Read transactions at one time; each takes a slot in the lock file.
const READERS: u32 = 1_024;
const PAGE: u64 = 4_096;
/// Kept free in the map for the pages that a commit copies besides what it adds.
pub(super) const SLACK: u64 = 256 << 10;
/// A disk with less than this is full: it could not take even a small commit.
const NEARLY_NOTHING: u64 = 64 << 10;
/// What LMDB's table of readers takes: a cache line each, and a page for its head.
const READERS_BYTES: u64 = READERS as u64 * 64 + PAGE;

/// The databases of an open environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables {
    pub(super) examples: Table,
    pub(super) remembered: Table,
    pub(super) meta: Table,
    pub(super) pending: Table,
    pub(super) outbox: Table,
    pub(super) labelling: Table,
    pub(super) consent: Table,
    pub(super) datasets: Table,
}

impl Tables {
    pub(super) fn named(&self, name: Name) -> Table {
        match name {
            Name::Examples => self.examples,
            Name::Remembered => self.remembered,
            Name::Meta => self.meta,
            Name::Pending => self.pending,
            Name::Outbox => self.outbox,
            Name::Labelling => self.labelling,
            Name::Consent => self.consent,
            Name::Datasets => self.datasets,
        }
    }
}

/// An open environment and its databases.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) env: Env<WithoutTls>,
    pub(super) tables: Tables,
}

/// Sizes and state of the environment, for metrics and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvironmentInfo {
    /// Bytes of address space.
    pub map_bytes: u64,
    /// Bytes up to the last page in use; free pages among them are used again.
    pub used_bytes: u64,
    /// Counts up with every commit.
    pub last_transaction: u64,
    /// LMDB's flags; only NOTLS is ever set.
    pub flags: u32,
    /// Read transactions under way, also those of backups.
    pub readers: u32,
}

/// Why a transaction did not happen.
#[derive(Debug)]
pub(super) enum Failure {
    /// No page left in the map; nothing was changed.
    MapFull,
    /// No space on the disk; nothing was changed.
    DiskFull,
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<heed::Error> for Failure {
    fn from(error: heed::Error) -> Self {
        if matches!(error, heed::Error::Mdb(MdbError::MapFull)) {
            return Self::MapFull;
        }
        let error = lmdb(error);
        if matches!(error, Error::DiskFull) { Self::DiskFull } else { Self::Other(error) }
    }
}

/// LMDB's errors as ours.
pub(super) fn lmdb(error: heed::Error) -> Error {
    match error {
        heed::Error::EnvAlreadyOpened => already_open(),
        heed::Error::Io(error) => disk(error),
        heed::Error::Mdb(MdbError::Other(number)) => disk(io::Error::from_raw_os_error(number)),
        // What LMDB says of every transaction after the one whose meta page could not be written.
        heed::Error::Mdb(MdbError::Panic) => Error::Io { problem: error.to_string() },
        heed::Error::Mdb(MdbError::ReadersFull) => Error::TooManyReaders,
        heed::Error::Mdb(_) | heed::Error::Encoding(_) | heed::Error::Decoding(_) => {
            Error::Store { problem: error.to_string() }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn disk(error: io::Error) -> Error {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        Error::DiskFull
    } else {
        Error::Io { problem: error.to_string() }
    }
}

fn already_open() -> Error {
    Error::Store {
        problem: "already open: stop the other process, or use the handle that is there".to_owned(),
    }
}

fn page_aligned(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(PAGE).saturating_mul(PAGE)).unwrap_or(usize::MAX & !4_095)
}

/// The environment of a directory, held for this process alone.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) directory: PathBuf,
    pub(super) map_size: u64,
    limit: u64,
    /// Readers and the writer share it; growing, rewriting and closing take it alone.
    opened: RwLock<Option<Opened>>,
    /// Its lock goes with the process, however that ends.
    lock: Mutex<Option<File>>,
}

impl Environment {
    pub(super) fn exists(directory: &Path) -> bool {
        directory.join(schema::DATA_FILE).exists()
    }

    pub(super) fn open(directory: &Path, config: &config::Store) -> Result<Self> {
        directory::create(directory, 0o700).map_err(disk)?;
        if !config.allow_network_filesystem {
            refuse_network(directory)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(directory.join(schema::LOCK_FILE))
            .map_err(disk)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            if error == rustix::io::Errno::WOULDBLOCK { already_open() } else { disk(error.into()) }
        })?;
        // A rewrite that was cut short: the old file is whole and still the one that counts.
        remove_directory(&directory.join(schema::REWRITE_DIRECTORY))?;
        if !Self::exists(directory) {
            rewrite::create(directory)?;
        }
        let opened = Opened::open(directory, config.map_size)?;
        Ok(Self {
            directory: directory.to_owned(),
            map_size: config.map_size,
            limit: config.map_size_limit,
            opened: RwLock::new(Some(opened)),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Keeps the environment from growing, being rewritten or closed. Never take a second one on the same thread:
    /// a writer that waits between the two would wait for good.
    pub(super) fn enter(&self) -> Entered<'_> {
        Entered(self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, Option<Opened>> {
        self.opened.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same at once; none while it grows, is rewritten or closed, or somebody waits for that.
    fn try_enter(&self) -> Option<Entered<'_>> {
        match self.opened.try_read() {
            Ok(opened) => Some(Entered(opened)),
            Err(TryLockError::Poisoned(poisoned)) => Some(Entered(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Runs a short read transaction.
    pub(super) fn read<T>(&self, body: impl FnOnce(&Tables, &RoTxn<'_>) -> Result<T>) -> Result<T> {
        self.enter().read(body)
    }

    /// The same without waiting for anybody; none where it would have to.
    pub(super) fn try_read<T>(
        &self,
        body: impl FnOnce(&Tables, &RoTxn<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.try_enter().map(|entered| entered.read(body)).transpose()
    }

    /// Makes room for so many more bytes, up to the limit; deleting may go beyond it by an eighth, since LMDB needs
    /// free pages even to free pages. Tells whether the map grew.
    pub(super) fn make_room(&self, bytes: u64, deleting: bool) -> Result<bool> {
        let limit = if deleting { self.limit + self.limit / 8 + (16 << 20) } else { self.limit };
        let wanted = {
            let info = self.info()?;
            let wanted = info.used_bytes.saturating_add(bytes).saturating_add(SLACK);
            if wanted <= info.map_bytes || info.map_bytes >= limit {
                return Ok(false);
            }
            wanted.max(info.map_bytes.saturating_mul(2)).min(limit)
        };
        let alone = self.alone();
        let opened = alone.as_ref().ok_or(Error::Closed)?;
        failpoint!("map::before_growth");
        // SAFETY: LMDB allows a new map size only while this process has no transaction. Every transaction lives
        // inside an `Entered` guard, and this thread holds the lock alone.
        #[expect(unsafe_code, reason = "heed marks resizing as unsafe")]
        unsafe { opened.env.resize(page_aligned(wanted)) }.map_err(lmdb)?;
        failpoint!("map::after_growth");
        Ok(true)
    }

    /// What a failed write means: LMDB calls one that a full disk cut short an I/O error.
    pub(super) fn told_apart(&self, error: Error) -> Error {
        let full = |disk: StatVfs| disk.f_bavail.saturating_mul(disk.f_frsize) < NEARLY_NOTHING;
        if matches!(error, Error::Io { .. }) && statvfs(&self.directory).is_ok_and(full) {
            Error::DiskFull
        } else {
            error
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn info(&self) -> Result<EnvironmentInfo> {
        let entered = self.enter();
        let env = &entered.opened()?.env;
        let info = env.info();
        Ok(EnvironmentInfo {
            map_bytes: info.map_size as u64,
            used_bytes: (info.last_page_number as u64 + 1) * PAGE,
            last_transaction: info.last_txn_id as u64,
            flags: env.get_flags().map_err(lmdb)?,
            readers: info.number_of_readers,
        })
    }

    /// Gives up the reader slots of processes that died inside a transaction, which would keep pages from reuse.
    pub(super) fn clear_stale_readers(&self) -> Result<usize> {
        self.enter().opened()?.env.clear_stale_readers().map_err(lmdb)
    }

    /// Waits for transactions to end, and closes.
    pub(super) fn close(&self) {
        let mut alone = self.alone();
        drop(alone.take());
        // After the environment, so that whoever opens next finds it closed.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The right to have transactions.
pub(super) struct Entered<'a>(RwLockReadGuard<'a, Option<Opened>>);

impl Entered<'_> {
    pub(super) fn opened(&self) -> Result<&Opened> {
        self.0.as_ref().ok_or(Error::Closed)
    }

    fn read<T>(&self, body: impl FnOnce(&Tables, &RoTxn<'_>) -> Result<T>) -> Result<T> {
        let opened = self.opened()?;
        let txn = opened.env.read_txn().map_err(lmdb)?;
        body(&opened.tables, &txn)
    }
}

pub(super) fn remove_directory(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(error)),
        _ => Ok(()),
    }
}

impl Opened {
    pub(super) fn open(directory: &Path, map_size: u64) -> Result<Self> {
        reserve_readers(directory).map_err(disk)?;
        let used = fs::metadata(directory.join(schema::DATA_FILE)).map_or(0, |data| data.len());
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options
            .map_size(page_aligned(map_size.max(used.saturating_add(SLACK))))
            .max_readers(READERS)
            .max_dbs(u32::try_from(Name::ALL.len()).unwrap_or(u32::MAX));
        // SAFETY: the map is undefined behaviour if the file changes under it. The directory is private (mode 700),
        // on a local filesystem, and its lock file is held, so that nothing but LMDB in this process writes there;
        // heed refuses to open it a second time in this process.
        #[expect(unsafe_code, reason = "heed marks memory maps as unsafe")]
        let env = unsafe { options.open(directory) }.map_err(lmdb)?;
        let weak = EnvFlags::NO_SYNC
            | EnvFlags::NO_META_SYNC
            | EnvFlags::WRITE_MAP
            | EnvFlags::MAP_ASYNC
            | EnvFlags::NO_LOCK;
        if env.get_flags().map_err(lmdb)? & weak.bits() != 0 {
            return Err(Error::Store {
                problem: "opened with flags under which an acknowledged event may be lost"
                    .to_owned(),
            });
        }
        let tables = Tables::open(&env)?;
        Ok(Self { env, tables })
    }
}

impl Tables {
    fn open(env: &Env<WithoutTls>) -> Result<Self> {
        let txn: RwTxn<'_> = env.write_txn().map_err(lmdb)?;
        let [examples, remembered, meta, pending, outbox, labelling, consent, datasets] = env
            .create_databases_and_commit(txn, |opener, txn| {
                let mut tables = Vec::with_capacity(Name::ALL.len());
                for name in Name::ALL {
                    tables.push(opener.create_database::<Bytes, Bytes>(txn, Some(name.as_str()))?);
                }
                match <[_; 8]>::try_from(tables) {
                    Ok(tables) => Ok(CommitOrAbort::Commit(tables)),
                    Err(_) => Ok::<_, heed::Error>(CommitOrAbort::Abort(())),
                }
            })
            .map_err(lmdb)?
            .commit()
            .ok_or(Error::Closed)?;
        Ok(Self { examples, remembered, meta, pending, outbox, labelling, consent, datasets })
    }
}

/// Takes the space of the table of readers at once: it is a map, and to touch a page of it that a full disk cannot
/// give kills the process.
fn reserve_readers(directory: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(directory.join(schema::READERS_FILE))?;
    match fallocate(&file, FallocateFlags::empty(), 0, READERS_BYTES) {
        // A filesystem that cannot promise space takes it as it comes.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        reserved => Ok(reserved?),
    }
}

fn refuse_network(directory: &Path) -> Result<()> {
    // From linux/magic.h and the filesystems' own headers.
    const NETWORK: [(u32, &str); 9] = [
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB2"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0x00C3_6400, "Ceph"),
        (0x5346_414F, "AFS"),
        (0x0BD0_0BD0, "Lustre"),
    ];
    let kind = statfs(directory).map_err(|error| disk(error.into()))?.f_type;
    // The kernel's type is signed or not, and of either width, by platform; the magic is its lowest 32 bits.
    let magic = i128::from(kind) & 0xFFFF_FFFF;
    match NETWORK.iter().find(|(number, _)| i128::from(*number) == magic) {
        None => Ok(()),
        Some((_, name)) => Err(Error::Store {
            problem: format!(
                "its directory is on {name}, where LMDB is not safe: use a local disk, or set store.allow_network_filesystem"
            ),
        }),
    }
}
