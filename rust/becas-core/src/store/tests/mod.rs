//! Promises of the store, each in its own file.

mod basics;
mod copy;
mod corrections;
mod crash;
mod damage;
mod erasure;
#[cfg(feature = "failpoints")]
mod failpoints;
mod golden;
mod guards;
mod histories;
#[cfg(feature = "failpoints")]
mod history;
mod oracle;
mod owners;
mod space;
mod state;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::Store;
use crate::{
    category::{Category, EventKind, Outcome},
    config,
    correct::Original,
    error::Error,
    example::{CorrectionOf, Example, Prepared, Verdict},
    pseudonym::{IdKind, Key, Pseudonym},
    redact::Redacted,
    score::{Score, Tier},
};

pub(super) const NOW: i64 = 1_760_000_000_000;

/// Numbers without pattern, the same for the same seed: xorshift64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub(super) fn key() -> Key {
    Key::new([7; 32])
}

pub(super) fn id(kind: IdKind, name: &str) -> Pseudonym {
    key().pseudonym(kind, name)
}

pub(super) fn open(directory: &Path, config: &config::Store) -> Store {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        match Store::open_with(directory, &key(), config, test_twin) {
            // A child that another test starts holds this process's locks until it runs a program of its own.
            Err(Error::Store { problem })
                if problem.starts_with("already open") && Instant::now() < patience =>
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            opened => return opened.unwrap(),
        }
    }
}

pub(super) fn tier_of(points: u32) -> Tier {
    match points {
        9_000.. => Tier::Gold,
        7_500.. => Tier::Silver,
        6_000.. => Tier::Bronze,
        _ => Tier::Reject,
    }
}

/// What a test says of an event; the rest follows.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) category: Category,
    pub(super) kind: EventKind,
    pub(super) input: String,
    pub(super) label: String,
    pub(super) points: u32,
    pub(super) human: bool,
    pub(super) time_ms: i64,
    pub(super) guild: Option<String>,
    pub(super) user: Option<String>,
    pub(super) corrects: Option<Corrects>,
}

#[derive(Clone, Debug)]
pub(super) struct Corrects {
    pub(super) original: String,
    pub(super) label: Option<String>,
    pub(super) verified: bool,
    /// Replaces the input of originals that are not stored.
    pub(super) message: String,
}

pub(super) fn event(name: &str) -> Event {
    Event {
        id: name.to_owned(),
        category: Category::ScamDetection,
        kind: EventKind::ScamDetected,
        input: format!("input of {name}"),
        label: "true".to_owned(),
        points: 9_200,
        human: false,
        time_ms: NOW,
        guild: Some("guild".to_owned()),
        user: Some("user".to_owned()),
        corrects: None,
    }
}

pub(super) fn correction(name: &str, original: &str, label: Option<&str>) -> Event {
    Event {
        category: Category::HumanCorrection,
        kind: EventKind::AiCorrection,
        label: "false_positive".to_owned(),
        points: 9_500,
        human: true,
        corrects: Some(Corrects {
            original: original.to_owned(),
            label: label.map(ToOwned::to_owned),
            verified: true,
            message: format!("input of {original}"),
        }),
        ..event(name)
    }
}

pub(super) fn digest(category: Category, input: &str) -> [u8; 16] {
    let hash = blake3::hash(format!("{}\n{input}", category.name()).as_bytes());
    hash.as_bytes()[..16].try_into().unwrap()
}

impl Event {
    pub(super) fn prepared(&self) -> Prepared {
        let tier = tier_of(self.points);
        let event = id(IdKind::Event, &self.id);
        let user = self.user.as_ref().map(|user| id(IdKind::User, user));
        let guild = self.guild.as_ref().map(|guild| id(IdKind::Guild, guild));
        let score = Score::from_points(self.points);
        let label = Redacted::trusted(self.label.clone());
        let verdict = if tier == Tier::Reject {
            Verdict::Rejected(vec!["LOW_QUALITY"])
        } else {
            Verdict::Example(Box::new(Example {
                category: self.category,
                kind: self.kind,
                input: Redacted::trusted(self.input.clone()),
                output: Redacted::trusted(format!("{{\"label\":\"{}\"}}", self.label)),
                label: label.clone(),
                score,
                tier,
                outcome: Outcome::Success,
                time_ms: self.time_ms,
                event,
                user,
                guild,
                people: user.into_iter().collect(),
                digest: digest(self.category, &self.input),
                human_validated: self.human,
                rag_enhanced: false,
                superseded: false,
                corrected_twin: false,
            }))
        };
        Prepared {
            event,
            guild,
            user,
            time_ms: self.time_ms,
            kind: self.kind,
            category: self.category,
            score,
            tier,
            label,
            verdict,
            correction: self.corrects.as_ref().map(|corrects| {
                Box::new(CorrectionOf {
                    original: id(IdKind::Event, &corrects.original),
                    corrected_label: corrects.label.clone().map(Redacted::trusted),
                    mistake: Redacted::trusted("false_positive"),
                    moderator_action: None,
                    lesson: Redacted::trusted("a lesson of some length, as moderators give them"),
                    message: Redacted::trusted(corrects.message.clone()),
                    message_digest: [0; 16],
                    score,
                    tier,
                    time_ms: self.time_ms,
                    guild,
                    people: user.into_iter().collect(),
                    verified: corrects.verified,
                })
            }),
        }
    }
}

/// Twins by the simplest rule: the label that the correction gives, else the other of yes and no, else none.
pub(super) fn test_twin(original: &Original<'_>, correction: &CorrectionOf) -> Option<Example> {
    let label = match (&correction.corrected_label, original.label) {
        (Some(label), _) => label.as_str(),
        (None, "true") => "false",
        (None, "false") => "true",
        (None, _) => return None,
    };
    let input = original.stored.map_or(&correction.message, |stored| &stored.input);
    let mut people = correction.people.clone();
    people.extend(original.user);
    people.sort_unstable();
    people.dedup();
    Some(Example {
        category: original.category,
        kind: original.kind,
        input: input.clone(),
        output: Redacted::trusted(format!("{{\"label\":\"{label}\"}}")),
        label: Redacted::trusted(label),
        score: correction.score,
        tier: correction.tier,
        outcome: Outcome::Corrected,
        time_ms: correction.time_ms,
        event: original.event,
        user: original.user,
        guild: original.guild,
        people,
        digest: digest(original.category, input.as_str()),
        human_validated: true,
        rag_enhanced: false,
        superseded: false,
        corrected_twin: true,
    })
}
