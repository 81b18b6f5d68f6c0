//! One stage of the core over fixed events, to count its instructions: `stages STAGE GOLDEN_EVENTS REPEATS`.
//!
//! Everything but the stage is done the same for any number of repeats, so that the difference between two runs is the
//! stage alone. Prints the number of events in a repeat. See benches/instructions.py.

use std::{env, error::Error, fs, hint::black_box};

use becas_core::{
    Message as _,
    config::{self, Config},
    draft::Draft,
    event,
    example::Prepared,
    export::{self, Context},
    json,
    pipeline::Pipeline,
    proto::{self, event::Payload},
    pseudonym::{IdKind, Key},
    redact::{Ids, Redactor},
    score,
    store::Store,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const NOW_MS: i64 = 1_790_000_000_000;
/// Requests are made for so many repeats, whatever is asked.
const MOST_REPEATS: usize = 2;
/// How often every golden event is in a request, each time under another id and with another message.
const PASSES: usize = 30;

/// One event a kind, in the order of the files' names.
fn golden(folder: &str) -> Outcome<Vec<proto::Event>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    paths.sort();
    let mut events = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path)?;
        let line = serde_json::from_str::<serde_json::Value>(&text)?.to_string();
        events.push(json::event_from_json(&line).map_err(|invalid| invalid.to_string())?);
    }
    Ok(events)
}

/// The event under an id of its own, with a word at the end of its message where it has one.
fn renewed(original: &proto::Event, number: usize) -> proto::Event {
    let mut event = original.clone();
    event.event_id = format!("{}.{number}", event.event_id);
    if let Some(text) = event.payload.as_mut().and_then(message) {
        text.push(' ');
        text.extend(number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')));
    }
    event
}

fn message(payload: &mut Payload) -> Option<&mut String> {
    Some(match payload {
        Payload::ViolationDetected(payload) => &mut payload.evidence,
        Payload::ScamDetected(payload) => &mut payload.text,
        Payload::IntentAnalyzed(payload) => &mut payload.message,
        Payload::ToolExecuted(payload) => &mut payload.input,
        Payload::TrustScoreChanged(payload) => &mut payload.reason,
        Payload::ModerationActionExecuted(payload) => &mut payload.reason,
        Payload::PolicyEvaluated(payload) => &mut payload.message,
        Payload::SentimentAnalyzed(payload) => &mut payload.message,
        Payload::LanguageDetected(payload) => &mut payload.text,
        Payload::WorkflowParsed(payload) => &mut payload.workflow_text,
        Payload::CustomExample(payload) => &mut payload.input,
        Payload::NetworkRaidDetected(_)
        | Payload::NetworkBotPattern(_)
        | Payload::UserProfileUpdated(_)
        | Payload::AiCorrection(_)
        | Payload::RagContextEnhanced(_)
        | Payload::RagSuspiciousSimilarity(_) => return None,
    })
}

/// The work of a stage: what was made ready, and what is repeated.
struct Stages {
    config: Config,
    pipeline: Pipeline,
    requests: Vec<Vec<u8>>,
    events: Vec<Vec<proto::Event>>,
}

impl Stages {
    fn decode(&self, repeat: usize) -> Outcome<()> {
        let (frames, _) = event::frames(&self.requests[repeat], &self.config.limits)?;
        for frame in frames {
            let (event, _) =
                event::decode(frame, &self.config.limits).map_err(|invalid| invalid.to_string())?;
            black_box(event);
        }
        Ok(())
    }

    fn draft_and_score(&self, repeat: usize) -> Outcome<()> {
        for event in &self.events[repeat] {
            let payload = event::validate(event, &self.config.limits)
                .map_err(|invalid| invalid.to_string())?;
            let draft =
                Draft::new(event, payload, NOW_MS).map_err(|invalid| invalid.to_string())?;
            black_box(score::assess(&draft, &self.config.scoring, true));
        }
        Ok(())
    }

    fn redact(&self, repeat: usize) {
        let redactor = Redactor::new();
        for event in &self.events[repeat] {
            let mut ids = Ids::new();
            ids.add(IdKind::Event, &event.event_id);
            ids.add(IdKind::User, &event.user_id);
            ids.add(IdKind::Guild, &event.guild_id);
            if let Some(text) = event.payload.clone().as_mut().and_then(message) {
                black_box(redactor.redact(text, &ids));
            }
        }
    }

    fn prepare(&self, repeat: usize) -> Outcome<Vec<Prepared>> {
        let batch = self.pipeline.prepare_batch(&self.requests[repeat], NOW_MS, true)?;
        Ok(batch.attempts.into_iter().filter_map(|attempt| attempt.prepared.ok()).collect())
    }
}

fn write_out(store: &Store, key: &Key) -> Outcome<()> {
    let request = proto::ExportRequest {
        name: "stages".to_owned(),
        balance: Some(false),
        ..proto::ExportRequest::default()
    };
    for part in export::plan(store, &request, &Context::new(key))?.parts(store)? {
        black_box(part?.encode_to_vec());
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its caller reads it")]
fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().ok_or("usage: stages STAGE GOLDEN_EVENTS REPEATS");
    let (stage, folder, repeats) = (argument()?, argument()?, argument()?.parse::<usize>()?);
    let originals = golden(&folder)?;
    let key = Key::new([7; 32]);
    let events: Vec<Vec<proto::Event>> = (0..MOST_REPEATS)
        .map(|repeat| {
            let passes = repeat * PASSES..(repeat + 1) * PASSES;
            passes.flat_map(|pass| originals.iter().map(move |one| renewed(one, pass))).collect()
        })
        .collect();
    let requests = events
        .iter()
        .map(|events| proto::IngestRequest { events: events.clone() }.encode_to_vec())
        .collect();
    let pipeline = Pipeline::new(Config::default(), key.clone());
    let stages = Stages { config: Config::default(), pipeline, requests, events };
    let prepared =
        (0..MOST_REPEATS).map(|repeat| stages.prepare(repeat)).collect::<Outcome<Vec<_>>>()?;
    // Instructions are counted, not time: any folder serves.
    let directory = tempfile::tempdir()?;
    let store = Store::open(directory.path(), &key, &config::Store::default())?;
    if stage == "export" {
        for events in prepared.clone() {
            store.admit(events, NOW_MS, None)?;
        }
    }
    let mut prepared = prepared.into_iter();
    for repeat in 0..repeats.min(MOST_REPEATS) {
        match stage.as_str() {
            "decode" => stages.decode(repeat)?,
            "draft and score" => stages.draft_and_score(repeat)?,
            "redact" => stages.redact(repeat),
            "prepare" => drop(black_box(stages.prepare(repeat)?)),
            "admit" => drop(store.admit(prepared.next().unwrap_or_default(), NOW_MS, None)?),
            "export" => write_out(&store, &key)?,
            _ => return Err(format!("no such stage: {stage}").into()),
        }
    }
    store.close();
    println!("{}", stages.events[0].len());
    Ok(())
}
