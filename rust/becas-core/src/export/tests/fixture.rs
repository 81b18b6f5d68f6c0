//! A source in memory, and examples that differ in what a test is about.

use std::sync::{Mutex, MutexGuard};

use crate::{
    category::{Category, EventKind, Outcome},
    error::Result,
    example::Example,
    export::{Context, Source, plan},
    proto::{ExportRequest, Manifest, export_response::Part},
    pseudonym::{IdKind, Key, Pseudonym},
    redact::Redacted,
    score::{Score, Tier},
    store::{ExampleId, Record},
};

pub(in crate::export) const KEY: Key = Key::new([7; 32]);

/// Examples in memory, in the order of their ids, as a store has them.
#[derive(Default)]
pub(in crate::export) struct VecSource {
    pub(in crate::export) examples: Mutex<Vec<(ExampleId, Example)>>,
}

impl VecSource {
    /// Numbers the examples of each category from 1, in the order given.
    pub(in crate::export) fn of(examples: impl IntoIterator<Item = Example>) -> Self {
        let mut numbered: Vec<(ExampleId, Example)> = Vec::new();
        for (sequence, example) in (1..).zip(examples) {
            numbered.push((ExampleId { category: example.category, sequence }, example));
        }
        numbered.sort_by_key(|(id, _)| *id);
        Self { examples: Mutex::new(numbered) }
    }

    /// What it holds, to be looked at or changed.
    pub(in crate::export) fn held(&self) -> MutexGuard<'_, Vec<(ExampleId, Example)>> {
        // Poisoned only where the test has failed already.
        self.examples.lock().unwrap()
    }

    /// As when a member is forgotten.
    pub(in crate::export) fn remove(&self, id: &str) {
        self.held().retain(|(stored, _)| stored.to_string() != id);
    }
}

impl Source for VecSource {
    fn scan(
        &self,
        category: Category,
        see: &mut dyn FnMut(ExampleId, &Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let examples = self.held();
        let mut of_category = examples.iter().filter(|(id, _)| id.category == category);
        of_category
            .try_for_each(|(id, example)| Record::show(*id, example, |record| see(*id, record)))
    }

    fn read_many(
        &self,
        ids: &[ExampleId],
        see: &mut dyn FnMut(ExampleId, Option<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        let examples = self.held();
        ids.iter().try_for_each(|id| {
            match examples.binary_search_by_key(id, |(stored, _)| *stored) {
                Ok(place) => Record::show(*id, &examples[place].1, |record| see(*id, Some(record))),
                Err(_) => see(*id, None),
            }
        })
    }
}

/// A scam example of a message, by default `true`, silver 0.8000, of no user and no guild.
pub(in crate::export) fn example(message: &str) -> Example {
    Example {
        category: Category::ScamDetection,
        kind: EventKind::ScamDetected,
        input: Redacted::trusted(message),
        output: Redacted::trusted(r#"{"isScam":true}"#),
        label: Redacted::trusted("true"),
        score: Score::from_points(8000),
        tier: Tier::Silver,
        outcome: Outcome::Success,
        time_ms: 1_700_000_000_000,
        event: KEY.pseudonym(IdKind::Event, message),
        user: None,
        guild: None,
        people: Vec::new(),
        digest: KEY.pseudonym(IdKind::Message, message).0,
        human_validated: false,
        rag_enhanced: false,
        superseded: false,
        corrected_twin: false,
    }
}

/// A message that is no near-copy of that of another number: four words of its own.
pub(in crate::export) fn message(number: u32) -> String {
    ["one", "two", "three", "four"].map(|word| format!("{word}{number}")).join(" ")
}

/// Examples `from..from + count` of a label, each with its own message and its own user.
pub(in crate::export) fn labelled(label: &str, from: u32, count: u32) -> Vec<Example> {
    (from..from + count)
        .map(|number| Example {
            label: Redacted::trusted(label),
            user: Some(user(number)),
            ..example(&message(number))
        })
        .collect()
}

pub(in crate::export) fn user(number: u32) -> Pseudonym {
    KEY.pseudonym(IdKind::User, &format!("user {number}"))
}

pub(in crate::export) fn guild(number: u32) -> Pseudonym {
    KEY.pseudonym(IdKind::Guild, &format!("guild {number}"))
}

/// A request for the scam examples.
pub(in crate::export) fn request() -> ExportRequest {
    ExportRequest { category: Category::ScamDetection as i32, ..ExportRequest::default() }
}

pub(in crate::export) fn context() -> Context<'static> {
    Context {
        key: &KEY,
        system: |_| "Is it a scam?",
        message: |input| Some(input.into()),
        redactor_version: "r1",
        scorer_version: "s1",
    }
}

/// What a client puts together from the pieces.
pub(in crate::export) struct Exported {
    pub(in crate::export) data: Vec<u8>,
    pub(in crate::export) chunks: Vec<usize>,
    pub(in crate::export) ids: Vec<String>,
    pub(in crate::export) manifest: Manifest,
}

/// Runs an export to its end.
pub(in crate::export) fn export(source: &dyn Source, request: &ExportRequest) -> Result<Exported> {
    collect(plan(source, request, &context())?.parts(source)?)
}

/// Puts the pieces together, and checks their order.
pub(in crate::export) fn collect(parts: crate::export::PartsOf<'_>) -> Result<Exported> {
    let (mut data, mut chunks, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let mut manifest = None;
    for part in parts {
        assert_eq!(None, manifest, "the manifest is last");
        match part?.part.unwrap() {
            Part::Data(bytes) => {
                assert!(ids.is_empty(), "data come before ids");
                chunks.push(bytes.len());
                data.extend(bytes);
            }
            Part::ExampleIds(run) => ids.extend(run.example_ids),
            Part::Manifest(last) => manifest = Some(last),
        }
    }
    Ok(Exported { data, chunks, ids, manifest: manifest.unwrap() })
}

impl Exported {
    /// The lines as JSON values.
    pub(in crate::export) fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(&self.data).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A value of every line's metadata, in the order of the file.
    pub(in crate::export) fn metadata(&self, key: &str) -> Vec<String> {
        let text =
            |line: &serde_json::Value| line["metadata"][key].as_str().unwrap_or("").to_owned();
        self.lines().iter().map(text).collect()
    }

    /// How often each value of the metadata occurs.
    pub(in crate::export) fn counted(
        &self,
        key: &str,
    ) -> std::collections::BTreeMap<String, usize> {
        let mut counts = std::collections::BTreeMap::new();
        self.metadata(key).into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
        counts
    }

    /// The ids, ascending.
    pub(in crate::export) fn sorted_ids(&self) -> Vec<String> {
        let mut ids = self.ids.clone();
        ids.sort();
        ids
    }
}
