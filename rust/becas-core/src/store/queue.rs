//! The queue before the writer: bounded in bytes, handed over in groups, with no timer.
//!
//! While one group is being made durable the next one gathers, so that commits grow with the load.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::Instant,
};

use super::{
    admit::{Admission, Item},
    writer::Writer,
};
use crate::error::{Error, Result};

/// What an event takes in the queue besides its record.
const EVENT_BYTES: usize = size_of::<Item>();
/// Records in one commit, in bytes: bounds the time to an answer where events are large.
const GROUP_BYTES: usize = 16 << 20;

/// One caller's events.
pub(super) struct Call {
    pub(super) items: Vec<Item>,
    pub(super) records: Vec<u8>,
    pub(super) now_ms: i64,
    pub(super) deadline: Option<Instant>,
    pub(super) reply: mpsc::SyncSender<Result<Vec<Admission>>>,
}

impl Call {
    pub(super) fn bytes(&self) -> usize {
        self.records.len() + self.items.len() * EVENT_BYTES
    }
}

/// Room for a call, held from the arrival of its request on, so that what finds none is refused before any work.
///
/// Until the events are encoded they count with the bytes of their request. Dropping it frees the room.
pub struct Reservation {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.queue.lock().free(self.bytes);
        }
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reservation").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Anything else that writes; it runs between groups, alone.
pub(super) type Command = Box<dyn FnOnce(&mut Writer) + Send>;

enum Work {
    Call(Call),
    Command(Command),
}

/// What the writer does next.
pub(super) enum Next {
    Group(Vec<Call>),
    Command(Command),
    Close,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
    bytes: usize,
    closed: bool,
}

impl Waiting {
    fn free(&mut self, bytes: usize) {
        // Nothing is counted any more once the queue is abandoned.
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    limit_bytes: usize,
    group_events: usize,
}

impl Queue {
    pub(super) fn new(limit_bytes: u64, group_events: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
            group_events,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses at once when full; what is larger than the whole queue passes when nothing else waits.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Error::Closed);
        }
        if waiting.bytes > 0 && waiting.bytes + bytes > self.limit_bytes {
            return Err(Error::Overloaded { queued_bytes: waiting.bytes as u64 });
        }
        waiting.bytes += bytes;
        drop(waiting);
        Ok(Reservation { queue: Arc::clone(self), bytes })
    }

    /// Takes a call in the place of what was reserved for it.
    pub(super) fn call(&self, call: Call, mut reservation: Reservation) -> Result<()> {
        let reserved = mem::take(&mut reservation.bytes);
        let mut waiting = self.lock();
        waiting.free(reserved);
        if waiting.closed {
            return Err(Error::Closed);
        }
        waiting.bytes += call.bytes();
        waiting.work.push_back(Work::Call(call));
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    pub(super) fn command(&self, command: Command) -> Result<()> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Error::Closed);
        }
        waiting.work.push_back(Work::Command(command));
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes no more; what waits is still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Drops what waits: nobody is left to do it.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.work.clear();
        waiting.bytes = 0;
    }

    pub(super) fn queued_bytes(&self) -> u64 {
        self.lock().bytes as u64
    }

    /// Waits for work; events up to the next command, in order, as many as one commit takes.
    pub(super) fn next(&self) -> Next {
        let mut waiting = self
            .changed
            .wait_while(self.lock(), |waiting| waiting.work.is_empty() && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let mut group = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        while let Some(work) = waiting.work.pop_front() {
            match work {
                Work::Command(command) if group.is_empty() => return Next::Command(command),
                Work::Command(_) => {
                    waiting.work.push_front(work);
                    break;
                }
                Work::Call(call) => {
                    let full = events + call.items.len() > self.group_events
                        || bytes + call.bytes() > GROUP_BYTES;
                    if full && !group.is_empty() {
                        waiting.work.push_front(Work::Call(call));
                        break;
                    }
                    events += call.items.len();
                    bytes += call.bytes();
                    group.push(call);
                }
            }
        }
        waiting.free(bytes);
        if group.is_empty() { Next::Close } else { Next::Group(group) }
    }
}
