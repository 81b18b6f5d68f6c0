//! What can go wrong, one variant for each thing that a caller can do about it.

/// Any failure of the core. Messages never hold raw text or raw ids.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request's bytes or fields are unusable.
    #[error("{field}: {problem}")]
    InvalidArgument {
        /// Path of the field: `min_quality`, `events[3].payload`.
        field: String,
        /// What is wrong and what to send instead.
        problem: String,
    },
    /// The thing asked for does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for, as a pseudonym or public name.
        what: String,
    },
    /// The store has reached its configured size; reading goes on.
    #[error(
        "the store is full at {limit_bytes} bytes: raise store.map_size_limit, or lower store.capacity"
    )]
    StoreFull {
        /// The configured limit.
        limit_bytes: u64,
    },
    /// No space is left on the disk; reading goes on, and so does writing once there is space.
    #[error(
        "no space is left on the disk: free some; nothing was written, and no restart is needed"
    )]
    DiskFull,
    /// As many read transactions as there are places for: try again shortly.
    #[error("as many reads are under way as there are places for: try again shortly")]
    TooManyReaders,
    /// The queue of writes is full: try again shortly.
    #[error(
        "{queued_bytes} bytes are waiting to be written: try again shortly, or send less at once"
    )]
    Overloaded {
        /// What waits.
        queued_bytes: u64,
    },
    /// The caller's deadline passed before the write began; nothing was written.
    #[error("the deadline passed before the write began")]
    DeadlineExceeded,
    /// The key file is missing, open to others, or another store's.
    #[error("key file {path}: {problem}")]
    Key {
        /// Where it is.
        path: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The store on disk is damaged, of another version, or already open.
    #[error("store: {problem}")]
    Store {
        /// What is wrong and what to do.
        problem: String,
    },
    /// The disk failed; the store takes no more writes until it is opened again.
    #[error("disk: {problem}")]
    Io {
        /// What the system said.
        problem: String,
    },
    /// The configuration is unusable: all problems at once.
    #[error("configuration: {0}")]
    Config(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// The result of any call into the core.
pub type Result<T> = std::result::Result<T, Error>;
