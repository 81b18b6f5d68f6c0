//! The store of examples: admission with durable receipts, exact statistics, reading, erasure.
//!
//! One thread writes. Callers wait for the commit that holds their events, and concurrent callers share one.

/// A named place where a test ends the process; nothing without the feature `failpoints`.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}

mod admit;
mod codec;
mod consent;
mod counters;
mod datasets;
pub(crate) mod directory;
mod environment;
mod erase;
mod fields;
mod index;
mod key_file;
mod load;
mod metrics;
mod queue;
mod read;
pub mod reason;
mod remembered;
mod rewrite;
mod schema;
mod supersede;
#[cfg(test)]
mod tests;
mod verify;
mod waiting;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Instant,
};

pub use self::{
    admit::{Admission, Status, TwinMaker},
    codec::{Header, Record},
    counters::{CategoryStats, Stats},
    environment::EnvironmentInfo,
    erase::Forgotten,
    key_file::load_or_create_key,
    metrics::{COMMIT_EVENTS_BOUNDS, COMMIT_MICROSECONDS_BOUNDS, Metrics},
    queue::Reservation,
    read::{Filter, Page},
    schema::ExampleId,
    verify::Report,
    waiting::{LabellingCase, OutboxEntry},
};
use self::{
    admit::{Item, Rules},
    environment::Environment,
    metrics::Meter,
    queue::{Call, Queue},
    writer::{Listener, Shared, Writer},
};
use crate::{
    category::Category,
    config, correct,
    error::{Error, Result},
    example::{Example, Prepared},
    pseudonym::{Key, Pseudonym},
};

const DAY_MS: i64 = 86_400_000;

/// An open store. Clones share it; the last one to go closes it.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    /// Whose threads and locks these are.
    process: u32,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// Events on their way to a commit.
#[derive(Debug)]
pub struct Ticket(mpsc::Receiver<Result<Vec<Admission>>>);

impl Ticket {
    /// Blocks until the commit that holds the events is durable.
    pub fn wait(&self) -> Result<Vec<Admission>> {
        self.0.recv().unwrap_or(Err(Error::Closed))
    }

    /// The same without blocking: none while nothing is decided. Gives the decisions once.
    pub fn poll(&self) -> Option<Result<Vec<Admission>>> {
        match self.0.try_recv() {
            Ok(decided) => Some(decided),
            Err(mpsc::TryRecvError::Empty) => None,
            Err(mpsc::TryRecvError::Disconnected) => Some(Err(Error::Closed)),
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Whether a directory holds a store, so that its key must be there too.
    pub fn exists(directory: &Path) -> bool {
        Environment::exists(directory)
    }

    /// Opens a store, or creates it.
    ///
    /// Refuses a directory that is open elsewhere or on a network filesystem, a newer schema, and another key.
    pub fn open(directory: &Path, key: &Key, config: &config::Store) -> Result<Self> {
        Self::open_with(directory, key, config, correct::twin)
    }

    /// Opens a store with other rules for twins.
    pub fn open_with(
        directory: &Path,
        key: &Key,
        config: &config::Store,
        twin: TwinMaker,
    ) -> Result<Self> {
        let environment = Environment::open(directory, config)?;
        load::check_identity(&environment, key)?;
        environment.clear_stale_readers()?;
        let rewrite_is_due = environment.read(load::rewrite_is_due)?;
        if rewrite_is_due {
            environment.rewrite()?;
            environment.sync_directory()?;
        }
        let (index, damaged) = load::index(&environment)?;
        let shared = Arc::new(Shared {
            environment,
            queue: Arc::new(Queue::new(config.queue_bytes, config.commit_events)),
            meter: Meter::default(),
            listener: Listener::default(),
            config: config.clone(),
        });
        shared.meter.found_damaged(damaged);
        let rules = Rules {
            capacity: usize::try_from(config.capacity).unwrap_or(usize::MAX),
            consent_by_default: config.consent_by_default,
            window_ms: i64::from(config.idempotency_days) * DAY_MS,
            window_events: usize::try_from(config.idempotency_ids).unwrap_or(usize::MAX),
            twin,
        };
        let writer = Writer::new(Arc::clone(&shared), index, rules);
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::Io { problem: error.to_string() })?;
        let process = std::process::id();
        Ok(Self { handle: Arc::new(Handle { process, shared, writer: Mutex::new(Some(writer)) }) })
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Decides about events, in order, and blocks until the decisions are durable.
    ///
    /// All of a call is in one commit or, on an error, nothing of it. `now_ms` is the wall clock, milliseconds since
    /// the epoch; past `deadline` a call that was not begun is dropped.
    pub fn admit(
        &self,
        events: Vec<Prepared>,
        now_ms: i64,
        deadline: Option<Instant>,
    ) -> Result<Vec<Admission>> {
        self.submit(events, None, now_ms, deadline)?.wait()
    }

    /// Room before the writer for a request of so many bytes, before any work for it.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation> {
        self.shared().queue.reserve(bytes)
    }

    /// Queues events without waiting, so that a stream can send the next before the last is answered.
    ///
    /// Without a reservation they have to find room now.
    pub fn submit(
        &self,
        events: Vec<Prepared>,
        reservation: Option<Reservation>,
        now_ms: i64,
        deadline: Option<Instant>,
    ) -> Result<Ticket> {
        let (reply, answer) = mpsc::sync_channel(1);
        if events.is_empty() {
            let _sent = reply.send(Ok(Vec::new()));
            return Ok(Ticket(answer));
        }
        let mut records = Vec::new();
        let items = events
            .into_iter()
            .map(|prepared| Item::encode(prepared, &mut records))
            .collect::<Result<_>>()?;
        failpoint!("ingest::encoded");
        let call = Call { items, records, now_ms, deadline, reply };
        let queue = &self.shared().queue;
        let reservation = reservation.map_or_else(|| queue.reserve(call.bytes()), Ok)?;
        queue.call(call, reservation)?;
        Ok(Ticket(answer))
    }

    /// Calls `told` after each group of calls that was answered, for whoever polls tickets; it must not block.
    ///
    /// Takes the place of what was told before.
    pub fn on_answers(&self, told: impl Fn() + Send + 'static) {
        self.shared().listener.set(Box::new(told));
    }

    /// Exact totals as of the last commit, at the same cost at any size.
    pub fn stats(&self) -> Result<Stats> {
        self.shared().environment.read(|tables, txn| Ok(load::counters(tables, txn)?.stats))
    }

    /// One example.
    pub fn get(&self, id: ExampleId) -> Result<Example> {
        self.shared().get(id)
    }

    /// A page of examples after `after`, at most `limit`; the cost does not grow with the store.
    pub fn list(&self, filter: Filter, after: Option<ExampleId>, limit: usize) -> Result<Page> {
        self.shared().list(filter, after, limit)
    }

    /// Every example of a category, by sequence. Examples that come or go meanwhile may or may not be seen.
    ///
    /// `see` holds up the growth of the map, and may not ask the store for anything.
    pub fn scan(
        &self,
        category: Category,
        see: impl FnMut(ExampleId, &Record<'_>) -> Result<()>,
    ) -> Result<()> {
        self.shared().scan(category, see)
    }

    /// Examples by id, in the order asked for; none where one is gone. For `see` holds what [`Self::scan`] says.
    pub fn read_many(
        &self,
        ids: &[ExampleId],
        see: impl FnMut(ExampleId, Option<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        self.shared().read_many(ids, see)
    }

    /// Whether a guild's events may be used.
    pub fn consent(&self, guild: Pseudonym) -> Result<bool> {
        self.shared().consent(guild)
    }

    /// The same without waiting for anybody; none while the store grows or is rewritten.
    pub fn consent_at_once(&self, guild: Pseudonym) -> Result<Option<bool>> {
        self.shared().consent_at_once(guild)
    }

    /// Corrections after a cursor, oldest first; 0 begins at the first that is left.
    pub fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>> {
        self.shared().outbox(after, limit)
    }

    /// Corrected events that wait for a person's label, by original; `after` is the last one's original.
    pub fn labelling_queue(
        &self,
        after: Option<Pseudonym>,
        limit: usize,
    ) -> Result<Vec<LabellingCase>> {
        self.shared().labelling_queue(after, limit)
    }

    /// Drops outbox entries up to and including a cursor; returns how many.
    pub fn outbox_trim(&self, upto: u64) -> Result<u64> {
        self.command(move |writer| writer.trim_outbox(upto))
    }

    /// Erases everything about a person, and rewrites the file so that no free page keeps its bytes.
    ///
    /// The ids of the erased events stay known, as nothing but ids: neither a redelivery nor a late correction brings
    /// anything back, for as long as ids are remembered from `now_ms` on. Costs a pass over the whole store; ingest
    /// waits for it.
    pub fn forget(&self, user: Pseudonym, now_ms: i64) -> Result<Forgotten> {
        self.command(move |writer| writer.forget(user, now_ms))
    }

    /// Remembers which examples a dataset holds, so that [`Store::forget`] can name it.
    pub fn file_dataset(&self, dataset_id: &str, ids: Vec<ExampleId>, now_ms: i64) -> Result<()> {
        let dataset_id = dataset_id.to_owned();
        self.command(move |writer| writer.file_dataset(&dataset_id, ids, now_ms))
    }

    /// Keeps a guild's word. Where it withdraws, its events are refused from now on and what is stored of it is
    /// erased as by [`Store::forget`]; returns how much that was.
    pub fn set_consent(&self, guild: Pseudonym, granted: bool, now_ms: i64) -> Result<Forgotten> {
        self.command(move |writer| writer.set_consent(guild, granted, now_ms))
    }

    /// Deletes examples past the configured age of their category, and what waited past the idempotency window;
    /// returns how many examples that was. To be called now and then, with the wall clock.
    pub fn expire(&self, now_ms: i64) -> Result<u64> {
        self.command(move |writer| writer.expire(now_ms))
    }

    /// Copies what is stored, as of one moment, into a fresh environment in `directory`, which it makes.
    ///
    /// Reading and ingest go on meanwhile.
    pub fn copy_to(&self, directory: &Path) -> Result<()> {
        let shared = self.shared();
        // A map cannot grow while it is read: what may come until the copy is done gets its room before.
        let room = shared.environment.info()?.used_bytes / 4;
        if shared.environment.make_room(room, false)? {
            shared.meter.map_changed();
        }
        shared.environment.copy_to(directory)
    }

    /// The cursor of the newest correction that was ever put in the outbox; 0 before the first.
    pub fn outbox_end(&self) -> Result<u64> {
        self.shared().environment.read(|tables, txn| Ok(load::counters(tables, txn)?.outbox))
    }

    /// Rewrites the file to the size of what is stored; readers and ingest wait for it.
    pub fn compact(&self) -> Result<()> {
        self.command(Writer::rewrite)
    }

    /// Statistics counted again from the records, for comparison with [`Store::stats`].
    pub fn recount(&self) -> Result<Stats> {
        self.shared().environment.read(verify::recount)
    }

    /// Checks every record and that all of it fits together, as of one moment.
    pub fn verify(&self) -> Result<Report> {
        self.shared().environment.read(verify::verify)
    }

    /// Drops what [`Store::verify`] finds damaged, and counts again; returns what was found.
    pub fn repair(&self) -> Result<Report> {
        self.command(Writer::repair)
    }

    fn command<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.shared().queue.command(Box::new(move |writer| {
            // Nobody waits any more if this fails.
            let _gone = reply.send(command(writer));
        }))?;
        answer.recv().unwrap_or(Err(Error::Closed))
    }

    /// Counts since the store was opened.
    pub fn metrics(&self) -> Metrics {
        self.shared().meter.read(self.shared().queue.queued_bytes())
    }

    /// Sizes and state of the environment.
    pub fn env_info(&self) -> Result<EnvironmentInfo> {
        self.shared().environment.info()
    }

    /// Finishes what is queued, and closes; every later call is [`Error::Closed`].
    pub fn close(&self) {
        self.handle.close();
    }
}

impl Handle {
    fn close(&self) {
        // A forked child has no writer to wait for, and the files are its parent's to close.
        if self.process != std::process::id() {
            return;
        }
        self.shared.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic of the writer was reported when it happened; its callers got `Closed`.
            let _ended = writer.join();
            self.shared.environment.close();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
