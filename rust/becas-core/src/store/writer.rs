//! The one thread that writes: it commits groups of calls, and answers each after the commit that holds it.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Instant,
};

use super::{
    admit::{Admission, Plan, Rules},
    environment::{Environment, Failure},
    index::Index,
    metrics::{Meter, Tally},
    queue::{Call, Next, Queue},
};
use crate::{
    config,
    error::{Error, Result},
};

/// Pages that a commit copies for each event it deletes from somewhere in the middle, at worst.
const COPIED_BYTES_PER_EVENT: u64 = 1_024;

/// What callers, readers and the writer share.
pub(super) struct Shared {
    pub(super) environment: Environment,
    pub(super) queue: Arc<Queue>,
    pub(super) meter: Meter,
    pub(super) listener: Listener,
    pub(super) config: config::Store,
}

/// Whoever wants to know that calls were answered.
#[derive(Default)]
pub(super) struct Listener(Mutex<Option<Box<dyn Fn() + Send>>>);

impl Listener {
    pub(super) fn set(&self, told: Box<dyn Fn() + Send>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    fn tell(&self) {
        if let Some(told) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            told();
        }
    }
}

/// State of the writing thread.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) index: Index,
    pub(super) rules: Rules,
    /// The wall clock as the last caller gave it.
    pub(super) now_ms: i64,
    /// The disk failed in the middle of a commit: what it holds is unknown until it is read again.
    failed: Option<String>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, index: Index, rules: Rules) -> Self {
        Self { shared, index, rules, now_ms: 0, failed: None }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        // Also when this thread panics: callers must not wait for an answer that never comes.
        let _abandon = Abandon(Arc::clone(&self.shared));
        loop {
            match self.shared.queue.next() {
                Next::Group(calls) => {
                    self.commit(calls);
                    self.shared.listener.tell();
                }
                Next::Command(command) => command(&mut self),
                Next::Close => break,
            }
            self.shared.meter.known_events.store(self.index.known_events() as u64, Relaxed);
        }
    }

    fn commit(&mut self, mut calls: Vec<Call>) {
        let begun = Instant::now();
        calls.retain(|call| {
            let late = call.deadline.is_some_and(|deadline| deadline <= begun);
            if late {
                // The caller may be gone; then nobody needs the answer.
                let _gone = call.reply.send(Err(Error::DeadlineExceeded));
            }
            !late
        });
        let Some(now_ms) = calls.iter().map(|call| call.now_ms).max() else { return };
        self.now_ms = now_ms;
        let events: usize = calls.iter().map(|call| call.items.len()).sum();
        let bytes: usize = calls.iter().map(Call::bytes).sum();
        let room = 2 * bytes as u64 + COPIED_BYTES_PER_EVENT * events as u64;
        let done = self.transact(room, false, |plan| {
            calls.iter().map(|call| answer(plan, call)).collect::<std::result::Result<Vec<_>, _>>()
        });
        self.shared.meter.commit(events, begun.elapsed());
        match done {
            Ok(answers) => {
                failpoint!("acknowledge::before");
                for (call, answer) in calls.iter().zip(answers) {
                    let _gone = call.reply.send(Ok(answer));
                    failpoint!("acknowledge::after_one");
                }
            }
            Err(error) => {
                for call in &calls {
                    let _gone = call.reply.send(Err(again(&error)));
                }
            }
        }
    }

    /// Runs one write transaction to its durable end; the index follows, or goes back with it.
    pub(super) fn transact<T>(
        &mut self,
        room: u64,
        deleting: bool,
        mut body: impl FnMut(&mut Plan<'_, '_>) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        self.check_usable()?;
        self.grow(room, deleting)?;
        loop {
            match self.attempt(&shared.environment, &mut body) {
                Ok((done, tally)) => {
                    self.index.keep();
                    shared.meter.add(tally);
                    return Ok(done);
                }
                Err(failure) => {
                    self.index.take_back();
                    match failure {
                        Failure::Other(error) => return Err(error),
                        Failure::DiskFull => return Err(Error::DiskFull),
                        Failure::MapFull => {
                            let before = shared.environment.info()?;
                            self.grow(before.map_bytes, deleting)?;
                            if shared.environment.info()?.map_bytes == before.map_bytes {
                                let limit_bytes = shared.environment.limit();
                                return Err(Error::StoreFull { limit_bytes });
                            }
                        }
                    }
                }
            }
        }
    }

    /// Refuses once the disk has failed.
    pub(super) fn check_usable(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(problem) => Err(Error::Io { problem: problem.clone() }),
        }
    }

    fn grow(&self, room: u64, deleting: bool) -> Result<()> {
        if self.shared.environment.make_room(room, deleting)? {
            self.shared.meter.map_changed();
        }
        Ok(())
    }

    fn attempt<T>(
        &mut self,
        environment: &Environment,
        body: &mut impl FnMut(&mut Plan<'_, '_>) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<(T, Tally), Failure> {
        let entered = environment.enter();
        let opened = entered.opened()?;
        self.index.begin();
        let mut txn = opened.env.write_txn()?;
        let mut plan =
            Plan::new(&mut txn, &opened.tables, &mut self.index, &self.rules, self.now_ms);
        failpoint!("commit::begun");
        let done = body(&mut plan)?;
        failpoint!("commit::planned");
        let tally = plan.finish()?;
        failpoint!("commit::before");
        match txn.commit().map_err(Failure::from) {
            Ok(()) => {
                failpoint!("commit::after");
                Ok((done, tally))
            }
            Err(Failure::Other(error)) => {
                let error = environment.told_apart(error);
                // What was cut short lies on free pages: nothing that was acknowledged is among them.
                let full = matches!(error, Error::DiskFull);
                Err(if full { Failure::DiskFull } else { Failure::Other(self.stop_writing(error)) })
            }
            Err(full @ (Failure::MapFull | Failure::DiskFull)) => Err(full),
        }
    }

    /// After a failed sync the kernel may call lost pages clean: only a fresh look at the disk tells.
    pub(super) fn stop_writing(&mut self, error: Error) -> Error {
        self.failed = Some(format!(
            "a commit failed ({error}): no more writes until the store is opened again"
        ));
        error
    }
}

struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.queue.abandon();
        self.0.listener.tell();
    }
}

fn answer(plan: &mut Plan<'_, '_>, call: &Call) -> std::result::Result<Vec<Admission>, Failure> {
    call.items.iter().map(|item| plan.event(item, &call.records)).collect()
}

/// The same error for every caller of a group.
fn again(error: &Error) -> Error {
    match error {
        Error::StoreFull { limit_bytes } => Error::StoreFull { limit_bytes: *limit_bytes },
        Error::DiskFull => Error::DiskFull,
        Error::Closed => Error::Closed,
        Error::Store { problem } => Error::Store { problem: problem.clone() },
        Error::Io { problem } => Error::Io { problem: problem.clone() },
        // Admission makes none of these, and their words carry over.
        other @ (Error::InvalidArgument { .. }
        | Error::NotFound { .. }
        | Error::Overloaded { .. }
        | Error::TooManyReaders
        | Error::DeadlineExceeded
        | Error::Key { .. }
        | Error::Config(_)) => Error::Io { problem: other.to_string() },
    }
}
