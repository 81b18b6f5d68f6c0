//! What the store counts since it was opened, for dashboards; statistics are elsewhere and durable.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of `Metrics::commit_events`; one more bucket has no bound.
pub const COMMIT_EVENTS_BOUNDS: [u64; 8] = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384];

/// Upper bounds of `Metrics::commit_times`, in microseconds; one more bucket has no bound.
pub const COMMIT_MICROSECONDS_BOUNDS: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Events known under their id.
    pub duplicates: u64,
    /// Events beaten by an example with the same input and label.
    pub same_input: u64,
    /// Events beaten by an example with the same input and another label.
    pub conflicts: u64,
    /// Examples that a better one with the same input replaced.
    pub replaced: u64,
    /// Examples that a full category gave up.
    pub evictions: u64,
    /// Events of guilds that have not consented.
    pub refused: u64,
    /// Durable commits of events.
    pub commits: u64,
    /// Time spent in them, fsync included.
    pub commit_time: Duration,
    /// Commits by how many events they held: at most the bound, see [`COMMIT_EVENTS_BOUNDS`].
    pub commit_events: [u64; COMMIT_EVENTS_BOUNDS.len() + 1],
    /// Events in all of them.
    pub committed_events: u64,
    /// Commits by how long they took: at most the bound, see [`COMMIT_MICROSECONDS_BOUNDS`].
    pub commit_times: [u64; COMMIT_MICROSECONDS_BOUNDS.len() + 1],
    /// Times the map grew or the file was rewritten.
    pub map_changes: u64,
    /// Bytes that wait for the writer now.
    pub queued_bytes: u64,
    /// Event ids remembered now, of stored examples and others.
    pub known_events: u64,
    /// Records that could not be read when everything was read last, at the start or by a repair.
    pub damaged_records: u64,
}

/// What one transaction adds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) duplicates: u64,
    pub(super) same_input: u64,
    pub(super) conflicts: u64,
    pub(super) replaced: u64,
    pub(super) evictions: u64,
    pub(super) refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Meter {
    duplicates: AtomicU64,
    same_input: AtomicU64,
    conflicts: AtomicU64,
    replaced: AtomicU64,
    evictions: AtomicU64,
    refused: AtomicU64,
    commits: AtomicU64,
    commit_nanoseconds: AtomicU64,
    commit_events: [AtomicU64; COMMIT_EVENTS_BOUNDS.len() + 1],
    committed_events: AtomicU64,
    commit_times: [AtomicU64; COMMIT_MICROSECONDS_BOUNDS.len() + 1],
    map_changes: AtomicU64,
    pub(super) known_events: AtomicU64,
    damaged_records: AtomicU64,
}

impl Meter {
    pub(super) fn add(&self, tally: Tally) {
        self.duplicates.fetch_add(tally.duplicates, Relaxed);
        self.same_input.fetch_add(tally.same_input, Relaxed);
        self.conflicts.fetch_add(tally.conflicts, Relaxed);
        self.replaced.fetch_add(tally.replaced, Relaxed);
        self.evictions.fetch_add(tally.evictions, Relaxed);
        self.refused.fetch_add(tally.refused, Relaxed);
    }

    pub(super) fn commit(&self, events: usize, took: Duration) {
        let size = COMMIT_EVENTS_BOUNDS.partition_point(|bound| *bound < events as u64);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let time = COMMIT_MICROSECONDS_BOUNDS.partition_point(|bound| bound * 1_000 < nanoseconds);
        self.commits.fetch_add(1, Relaxed);
        self.commit_events[size].fetch_add(1, Relaxed);
        self.committed_events.fetch_add(events as u64, Relaxed);
        self.commit_times[time].fetch_add(1, Relaxed);
        self.commit_nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    pub(super) fn map_changed(&self) {
        self.map_changes.fetch_add(1, Relaxed);
    }

    pub(super) fn found_damaged(&self, records: u64) {
        self.damaged_records.store(records, Relaxed);
    }

    pub(super) fn read(&self, queued_bytes: u64) -> Metrics {
        Metrics {
            duplicates: self.duplicates.load(Relaxed),
            same_input: self.same_input.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            replaced: self.replaced.load(Relaxed),
            evictions: self.evictions.load(Relaxed),
            refused: self.refused.load(Relaxed),
            commits: self.commits.load(Relaxed),
            commit_time: Duration::from_nanos(self.commit_nanoseconds.load(Relaxed)),
            commit_events: std::array::from_fn(|bucket| self.commit_events[bucket].load(Relaxed)),
            committed_events: self.committed_events.load(Relaxed),
            commit_times: std::array::from_fn(|bucket| self.commit_times[bucket].load(Relaxed)),
            map_changes: self.map_changes.load(Relaxed),
            queued_bytes,
            known_events: self.known_events.load(Relaxed),
            damaged_records: self.damaged_records.load(Relaxed),
        }
    }
}
