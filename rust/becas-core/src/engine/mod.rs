//! One open store with its pipeline: what a server asks of the core, in messages of the contract.

mod erase;
mod outbox;
mod reading;
mod stats;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

pub use self::{
    outbox::{Correction, WaitingCase},
    stats::Histogram,
};
use crate::{
    config::Config,
    draft::Prompt,
    error::{Error, Result},
    event::Invalid,
    example::Prepared,
    pipeline::{Laps, Pipeline, Watch},
    proto,
    pseudonym::{IdKind, Key, Pseudonym},
    redact::{Ids, Redacted, Redactor},
    store::{Admission, Reservation, Status, Store, Ticket, directory, load_or_create_key},
};

const ENVIRONMENT: &str = "examples";
const KEY_FILE: &str = "becas.key";

/// The open core; shared between threads.
pub struct Engine {
    pipeline: Pipeline,
    store: Store,
    key: Key,
    redactor: Redactor,
    unknown_fields: AtomicU64,
    events: AtomicU64,
    invalid: AtomicU64,
}

/// A request on its way to a commit.
#[derive(Debug)]
pub struct Submitted {
    receipts: Vec<proto::Receipt>,
    places: Vec<usize>,
    ticket: Ticket,
    laps: Option<Laps>,
}

impl Submitted {
    /// How long the stages before the writer took, where that was asked for.
    pub const fn laps(&self) -> Option<Laps> {
        self.laps
    }

    /// The second half of `ingest`: blocks until all that the answer acknowledges is on disk.
    pub fn wait(mut self) -> Result<proto::IngestResponse> {
        self.ticket.wait().map(|decided| self.answer(decided))
    }

    /// The same without blocking: none while the commit is not there. Gives the answer once.
    pub fn poll(&mut self) -> Option<Result<proto::IngestResponse>> {
        let decided = self.ticket.poll()?;
        Some(decided.map(|decided| self.answer(decided)))
    }

    fn answer(&mut self, decided: Vec<Admission>) -> proto::IngestResponse {
        let mut receipts = std::mem::take(&mut self.receipts);
        for (place, admission) in self.places.drain(..).zip(decided) {
            complete(&mut receipts[place], admission);
        }
        proto::IngestResponse { receipts }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the store in `data_dir`, or creates it, with its key: `key_path`, or `becas.key` beside it.
    pub fn open(data_dir: &Path, key_path: Option<&Path>, config: Config) -> Result<Self> {
        let environment = data_dir.join(ENVIRONMENT);
        directory::create(data_dir, 0o777)
            .map_err(|error| Error::Io { problem: error.to_string() })?;
        let key_path = key_path.map_or_else(|| data_dir.join(KEY_FILE), PathBuf::from);
        let key = load_or_create_key(&key_path, Store::exists(&environment))?;
        let store = Store::open(&environment, &key, &config.store)?;
        Ok(Self {
            pipeline: Pipeline::new(config, key.clone()),
            store,
            key,
            redactor: Redactor::new(),
            unknown_fields: AtomicU64::new(0),
            events: AtomicU64::new(0),
            invalid: AtomicU64::new(0),
        })
    }

    /// An encoded IngestRequest in, an IngestResponse out once all that it acknowledges is on disk.
    pub fn ingest(
        &self,
        request: &[u8],
        now_ms: i64,
        labeller: bool,
        deadline: Option<Instant>,
    ) -> Result<proto::IngestResponse> {
        let reservation = self.store.reserve(request.len())?;
        self.submit(request, reservation, now_ms, labeller, deadline)?.wait()
    }

    /// The first half of `ingest`: returns once the events have their place before the writer.
    ///
    /// Requests that are submitted one after another are decided in that order, and can still share a commit.
    pub fn submit(
        &self,
        request: &[u8],
        reservation: Reservation,
        now_ms: i64,
        labeller: bool,
        deadline: Option<Instant>,
    ) -> Result<Submitted> {
        self.submit_watched(request, reservation, now_ms, labeller, deadline)
            .map(|(submitted, ())| submitted)
    }

    /// The same, with the time that each stage takes.
    pub fn submit_timed(
        &self,
        request: &[u8],
        reservation: Reservation,
        now_ms: i64,
        labeller: bool,
        deadline: Option<Instant>,
    ) -> Result<Submitted> {
        let (submitted, laps) =
            self.submit_watched(request, reservation, now_ms, labeller, deadline)?;
        Ok(Submitted { laps: Some(laps), ..submitted })
    }

    fn submit_watched<W: Watch>(
        &self,
        request: &[u8],
        reservation: Reservation,
        now_ms: i64,
        labeller: bool,
        deadline: Option<Instant>,
    ) -> Result<(Submitted, W)> {
        let (batch, watch) = self.pipeline.prepare_watched(request, now_ms, labeller)?;
        let mut receipts = Vec::with_capacity(batch.attempts.len());
        let mut admitted = Vec::with_capacity(batch.attempts.len());
        let mut places = Vec::with_capacity(batch.attempts.len());
        for attempt in batch.attempts {
            let receipt = match attempt.prepared {
                Ok(prepared) => {
                    let receipt = own_part(attempt.event_id, &prepared);
                    places.push(receipts.len());
                    admitted.push(prepared);
                    receipt
                }
                Err(invalid) => refused_part(attempt.event_id, &invalid),
            };
            receipts.push(receipt);
        }
        let invalid = receipts.len() - admitted.len();
        let ticket = self.store.submit(admitted, Some(reservation), now_ms, deadline)?;
        self.events.fetch_add(receipts.len() as u64, Ordering::Relaxed);
        self.invalid.fetch_add(invalid as u64, Ordering::Relaxed);
        self.unknown_fields.fetch_add(batch.unknown_fields, Ordering::Relaxed);
        Ok((Submitted { receipts, places, ticket, laps: None }, watch))
    }

    /// The prompt of an encoded ShadowTestRequest: the bytes that ingest makes of the same message and context.
    pub fn prompt(&self, request: &[u8]) -> Result<Prompt> {
        self.pipeline.prompt_for_request(&decode(request)?)
    }

    /// The only form in which an id may be kept.
    pub fn pseudonym(&self, kind: IdKind, raw: &str) -> Pseudonym {
        self.key.pseudonym(kind, raw)
    }

    /// Text without personal data.
    pub fn redact(&self, text: &str) -> Redacted {
        self.redactor.redact(text, &Ids::default())
    }

    /// Whether a guild's events may be used.
    pub fn consent(&self, guild_id: &str) -> Result<bool> {
        self.store.consent(self.key.pseudonym(IdKind::Guild, guild_id))
    }

    /// The same without waiting for anybody; none while the store grows or is rewritten.
    pub fn consent_at_once(&self, guild_id: &str) -> Result<Option<bool>> {
        self.store.consent_at_once(self.key.pseudonym(IdKind::Guild, guild_id))
    }

    /// The store itself.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Finishes what is queued, and closes.
    pub fn close(&self) {
        self.store.close();
    }
}

/// A message of the contract from its bytes.
fn decode<T: prost::Message + Default>(bytes: &[u8]) -> Result<T> {
    T::decode(bytes).map_err(|_| Error::InvalidArgument {
        field: "request".to_owned(),
        problem: "is not a message of this method: generate the client from the protos again"
            .to_owned(),
    })
}

fn own_part(event_id: String, prepared: &Prepared) -> proto::Receipt {
    proto::Receipt {
        event_id,
        category: prepared.category as i32,
        tier: prepared.tier as i32,
        score: prepared.score.as_f64(),
        ..proto::Receipt::default()
    }
}

fn refused_part(event_id: String, invalid: &Invalid) -> proto::Receipt {
    proto::Receipt {
        event_id,
        status: proto::Status::Invalid as i32,
        reasons: vec![invalid.to_string()],
        ..proto::Receipt::default()
    }
}

fn complete(receipt: &mut proto::Receipt, admission: Admission) {
    receipt.status = match admission.status {
        Status::Accepted => proto::Status::Accepted,
        Status::Duplicate => proto::Status::Duplicate,
        Status::Rejected => proto::Status::Rejected,
        Status::Refused => {
            // A guild that withdrew consent is told nothing about its events.
            receipt.category = proto::Category::Unspecified as i32;
            receipt.tier = proto::Tier::Unspecified as i32;
            receipt.score = 0.0;
            proto::Status::Refused
        }
    } as i32;
    receipt.reasons = admission.reasons.into_iter().map(str::to_owned).collect();
}
