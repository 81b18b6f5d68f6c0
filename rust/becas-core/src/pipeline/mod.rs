//! The pipeline: a request's bytes to what the store is asked to admit.

mod assemble;
mod seal;
mod watch;

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
pub(crate) use watch::Watch;
pub use watch::{Laps, Stage};

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
        self.prepare_watched(request, now_ms, labeller).map(|(batch, ())| batch)
    }

    /// The same, watched stage by stage.
    pub(crate) fn prepare_watched<W: Watch>(
        &self,
        request: &[u8],
        now_ms: i64,
        labeller: bool,
    ) -> Result<(Batch, W)> {
        let (frames, unknown_fields) = event::frames(request, &self.config.limits)?;
        let share = frames.len().div_ceil(*CORES).max(LEAST_SHARE);
        let mut shares = frames.chunks(share);
        let first = shares.next().unwrap_or_default();
        // A request of one stream waits for the one before it: its events are what can be done side by side.
        let (mut batch, watch) = std::thread::scope(|scope| {
            let others: Vec<_> = shares
                .map(|share| scope.spawn(|| self.attempts(share, now_ms, labeller)))
                .collect();
            let (mut batch, mut watch): (Batch, W) = self.attempts(first, now_ms, labeller);
            for other in others {
                let (other, beside) =
                    other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                watch.beside(beside);
                batch.attempts.extend(other.attempts);
                batch.unknown_fields += other.unknown_fields;
            }
            (batch, watch)
        });
        batch.unknown_fields += unknown_fields;
        Ok((batch, watch))
    }

    fn attempts<W: Watch>(&self, frames: &[Frame<'_>], now_ms: i64, labeller: bool) -> (Batch, W) {
        let mut watch = W::begin();
        let mut batch = Batch { attempts: Vec::with_capacity(frames.len()), unknown_fields: 0 };
        for frame in frames {
            let unknown = &mut batch.unknown_fields;
            let attempt = self.attempt(*frame, now_ms, labeller, unknown, &mut watch);
            batch.attempts.push(attempt);
        }
        (batch, watch)
    }

    /// Prepares an event: validate ► draft ► score ► redact ► dedupe.
    pub fn prepare(
        &self,
        event: &proto::Event,
        now_ms: i64,
        labeller: bool,
    ) -> std::result::Result<Prepared, Invalid> {
        self.stages(event, now_ms, labeller, &mut ())
    }

    fn stages(
        &self,
        event: &proto::Event,
        now_ms: i64,
        labeller: bool,
        watch: &mut impl Watch,
    ) -> std::result::Result<Prepared, Invalid> {
        let payload = event::validate(event, &self.config.limits)?;
        let draft = Draft::new(event, payload, now_ms)?;
        watch.ended(Stage::Draft);
        let quality = assess(&draft, &self.config.scoring, labeller);
        let kept = assemble::reasons(&draft, &quality).is_empty();
        watch.ended(Stage::Score);
        let sealed = Sealer::new(&self.redactor, &draft.ids).seal(&draft, kept);
        watch.ended(Stage::Redact);
        let digest = dedupe::input_digest(&self.key, draft.category, &sealed.core);
        watch.ended(Stage::Dedupe);
        let prepared = assemble::prepared(&self.key, &draft, &quality, sealed, digest, labeller);
        watch.ended(Stage::Assemble);
        Ok(prepared)
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

    fn attempt(
        &self,
        frame: Frame<'_>,
        now_ms: i64,
        labeller: bool,
        unknown: &mut u64,
        watch: &mut impl Watch,
    ) -> Attempt {
        let decoded = event::decode(frame, &self.config.limits);
        watch.ended(Stage::Decode);
        match decoded {
            Ok((event, count)) => {
                *unknown += count;
                let prepared = self.stages(&event, now_ms, labeller, watch);
                Attempt { event_id: event.event_id, prepared }
            }
            Err(invalid) => Attempt { event_id: frame.event_id(), prepared: Err(invalid) },
        }
    }
}

fn unusable(field: &str, problem: &str) -> Error {
    Error::InvalidArgument { field: field.to_owned(), problem: problem.to_owned() }
}
