//! The pipeline: a request's bytes to what the store is asked to admit.

mod assemble;
mod seal;

use std::{num::NonZero, sync::LazyLock};

use crate::{
    config::Config,
    dedupe,
    draft::{Draft, Prompt, Question, prompt},
    error::{Error, Result},
    event::{self, Frame, Invalid},
    example::Prepared,
    proto::{self, shadow_test_request::Request},
    pseudonym::{IdKind, Key},
    redact::Redactor,
    score::assess,
};
use seal::Sealer;

/// Events for which a thread is worth its start.
const LEAST_SHARE: usize = 128;

static CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZero::get));

/// Every stage, with the configuration and the key that they share.
pub struct Pipeline {
    config: Config,
    key: Key,
    redactor: Redactor,
}

/// What became of one event of a batch.
#[derive(Clone)]
pub struct Attempt {
    /// As it was sent, for the receipt; stored and logged nowhere.
    pub event_id: String,
    /// What the store is asked to admit, or why the event is unusable.
    pub prepared: std::result::Result<Prepared, Invalid>,
}

/// A request, event by event.
#[derive(Clone)]
pub struct Batch {
    /// In the order of the request.
    pub attempts: Vec<Attempt>,
    /// Fields that the protos do not know; they are ignored.
    pub unknown_fields: u64,
}

impl Pipeline {
    /// A pipeline with its own redactor.
    pub fn new(config: Config, key: Key) -> Self {
        Self { config, key, redactor: Redactor::new() }
    }

    /// Prepares every event of an encoded IngestRequest, each by itself.
    ///
    /// `now_ms` (milliseconds since the epoch) is the time of events that state none; `labeller` is whether the sender
    /// may validate for people, always so without access control.
    pub fn prepare_batch(&self, request: &[u8], now_ms: i64, labeller: bool) -> Result<Batch> {
        let (frames, unknown_fields) = event::frames(request, &self.config.limits)?;
        let share = frames.len().div_ceil(*CORES).max(LEAST_SHARE);
        let mut shares = frames.chunks(share);
        let first = shares.next().unwrap_or_default();
        // A request of one stream waits for the one before it: its events are what can be done side by side.
        let mut batch = std::thread::scope(|scope| {
            let others: Vec<_> = shares
                .map(|share| scope.spawn(|| self.attempts(share, now_ms, labeller)))
                .collect();
            let mut batch = self.attempts(first, now_ms, labeller);
            for other in others {
                let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                batch.attempts.extend(other.attempts);
                batch.unknown_fields += other.unknown_fields;
            }
            batch
        });
        batch.unknown_fields += unknown_fields;
        Ok(batch)
    }

    fn attempts(&self, frames: &[Frame<'_>], now_ms: i64, labeller: bool) -> Batch {
        let mut batch = Batch { attempts: Vec::with_capacity(frames.len()), unknown_fields: 0 };
        for frame in frames {
            let attempt = self.attempt(*frame, now_ms, labeller, &mut batch.unknown_fields);
            batch.attempts.push(attempt);
        }
        batch
    }

    /// Prepares an event: validate ► draft ► score ► redact ► dedupe.
    pub fn prepare(
        &self,
        event: &proto::Event,
        now_ms: i64,
        labeller: bool,
    ) -> std::result::Result<Prepared, Invalid> {
        let payload = event::validate(event, &self.config.limits)?;
        let draft = Draft::new(event, payload, now_ms)?;
        let quality = assess(&draft, &self.config.scoring, labeller);
        let kept = assemble::reasons(&draft, &quality).is_empty();
        let sealed = Sealer::new(&self.redactor, &draft.ids).seal(&draft, kept);
        let digest = dedupe::input_digest(&self.key, draft.category, &sealed.core);
        Ok(assemble::prepared(&self.key, &draft, &quality, sealed, digest, labeller))
    }

    /// The prompt of a shadow request: for the same message and context the same bytes as ingest stores.
    ///
    /// The payload's decision part is ignored and may be absent. Where the request states no context, the payload's
    /// evidence may.
    pub fn prompt_for_request(&self, request: &proto::ShadowTestRequest) -> Result<Prompt> {
        let category = event::category_of(request.category, "category")?;
        let none = proto::Event::default();
        let (asked, question) = match &request.request {
            Some(Request::Input(message)) => {
                (&none, Question::free(category, message, &request.context))
            }
            Some(Request::Payload(event)) => {
                (event, Question::of_event(event, category, &request.context)?)
            }
            None => {
                return Err(unusable("input", "set input, or payload to an event of the category"));
            }
        };
        if question.is_empty() {
            return Err(unusable("input", "required: send the message to decide on"));
        }
        let mut sealer = Sealer::new(&self.redactor, &crate::draft::ids_of(asked));
        sealer.add(IdKind::User, &request.user_id);
        sealer.add(IdKind::Guild, &request.guild_id);
        sealer.add(IdKind::Event, &request.request_id);
        let (core, context) = sealer.seal_question(&question);
        Ok(prompt(category, &core, &context))
    }

    fn attempt(&self, frame: Frame<'_>, now_ms: i64, labeller: bool, unknown: &mut u64) -> Attempt {
        match event::decode(frame, &self.config.limits) {
            Ok((event, count)) => {
                *unknown += count;
                let prepared = self.prepare(&event, now_ms, labeller);
                Attempt { event_id: event.event_id, prepared }
            }
            Err(invalid) => Attempt { event_id: frame.event_id(), prepared: Err(invalid) },
        }
    }
}

fn unusable(field: &str, problem: &str) -> Error {
    Error::InvalidArgument { field: field.to_owned(), problem: problem.to_owned() }
}
