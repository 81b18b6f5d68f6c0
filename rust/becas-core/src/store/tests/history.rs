//! Histories that a seed makes: batches, corrections, erasures and all else that writes.

use super::{Event, NOW, Random, correction, event, id, oracle::Oracle};
use crate::{
    category::{Category, EventKind},
    config,
    pseudonym::IdKind,
    store::{Status, Store},
};

const DAY: i64 = 86_400_000;

/// What is asked of a store.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Admit(Vec<Event>),
    Forget(String),
    Consent(String, bool),
    TrimOutbox,
    FileDataset(String),
    Expire,
}

/// Status and reasons of each event of a step.
pub(super) type Receipts = Vec<(Status, Vec<&'static str>)>;

/// Waits for the acknowledgement of a step.
pub(super) type Answer<'a> = Box<dyn FnOnce() -> Receipts + 'a>;

/// Small, so that a short history fills, evicts, trims, expires and grows.
pub(super) fn config() -> config::Store {
    config::Store {
        capacity: 30,
        map_size: 64 << 10,
        idempotency_ids: 300,
        retention_days: [(Category::SentimentAnalysis.name().to_owned(), 10)].into(),
        ..config::Store::default()
    }
}

/// Groups of steps; those of one group are under way at the same time.
pub(super) fn history(seed: u64, groups: usize) -> Vec<Vec<Step>> {
    let mut random = Random(seed | 1);
    let mut steps = 0;
    let mut batch = |random: &mut Random| {
        steps += 1;
        let size = 1 + random.below(12);
        Step::Admit((0..size).map(|part| any_event(random, steps, part)).collect())
    };
    (0..groups)
        .map(|group| match random.below(20) {
            0 => vec![Step::Forget(format!("user{}", random.below(4)))],
            1 => vec![Step::Consent(format!("guild{}", random.below(2)), false)],
            2 | 3 => vec![Step::Consent(format!("guild{}", random.below(2)), true)],
            4 => vec![Step::TrimOutbox],
            5 => vec![Step::FileDataset(format!("dataset{group}"))],
            6 => vec![Step::Expire],
            7..12 => (0..2 + random.below(3)).map(|_| batch(&mut random)).collect(),
            _ => vec![batch(&mut random)],
        })
        .collect()
}

fn any_event(random: &mut Random, step: u64, part: u64) -> Event {
    let name = format!("event{step}.{part}");
    let base = Event {
        time_ms: NOW + i64::try_from(random.below(4)).unwrap(),
        guild: (random.below(10) > 0).then(|| format!("guild{}", random.below(2))),
        user: (random.below(10) > 0).then(|| format!("user{}", random.below(4))),
        points: [5_900, 6_000, 7_500, 9_000, 9_100][usize::try_from(random.below(5)).unwrap()],
        human: random.below(5) == 0,
        label: ["true", "false", "other"][usize::try_from(random.below(3)).unwrap()].to_owned(),
        ..event(&name)
    };
    match random.below(10) {
        // Of something recent: the ids of what is older may be forgotten already.
        0 | 1 => {
            let original = format!("event{}.{}", step - random.below(3).min(step), random.below(8));
            let label =
                [None, Some("false"), Some("third")][usize::try_from(random.below(3)).unwrap()];
            Event {
                points: 9_000,
                guild: base.guild,
                user: base.user,
                ..correction(&name, &original, label)
            }
        }
        2 => Event {
            category: Category::SentimentAnalysis,
            kind: EventKind::SentimentAnalyzed,
            time_ms: NOW - DAY * i64::try_from(random.below(30)).unwrap(),
            ..base
        },
        3 | 4 => Event { input: format!("input {}", random.below(8)), ..base },
        5 => Event { input: format!("{name} {}", "x".repeat(3_000)), ..base },
        _ => base,
    }
}

/// Sends a group to the store; each answer waits for its acknowledgement.
pub(super) fn start<'a>(store: &'a Store, group: &[Step]) -> Vec<Answer<'a>> {
    let submit = |events: &[Event]| {
        store.submit(events.iter().map(Event::prepared).collect(), None, NOW, None).unwrap()
    };
    group
        .iter()
        .map(|step| -> Answer<'a> {
            if let Step::Admit(events) = step {
                let ticket = submit(events);
                return Box::new(move || {
                    let admissions = ticket.wait().unwrap().into_iter();
                    admissions.map(|one| (one.status, one.reasons)).collect()
                });
            }
            let step = step.clone();
            Box::new(move || {
                command(store, &step);
                Receipts::new()
            })
        })
        .collect()
}

fn command(store: &Store, step: &Step) {
    match step {
        Step::Admit(_) => unreachable!("submitted"),
        Step::Forget(user) => {
            store.forget(id(IdKind::User, user), NOW).unwrap();
        }
        Step::Consent(guild, granted) => {
            store.set_consent(id(IdKind::Guild, guild), *granted, NOW).unwrap();
        }
        Step::TrimOutbox => {
            let entries = store.outbox(0, usize::MAX).unwrap();
            store.outbox_trim(entries.last().map_or(0, |entry| entry.cursor)).unwrap();
        }
        Step::FileDataset(name) => {
            let mut ids = Vec::new();
            for category in Category::ALL {
                store
                    .scan(category, |id, _| {
                        ids.push(id);
                        Ok(())
                    })
                    .unwrap();
            }
            store.file_dataset(name, ids, NOW).unwrap();
        }
        Step::Expire => {
            store.expire(NOW).unwrap();
        }
    }
}

/// The same by the rules.
pub(super) fn apply(oracle: &mut Oracle, step: &Step) -> Receipts {
    match step {
        Step::Admit(events) => return events.iter().map(|event| oracle.admit(event)).collect(),
        Step::Forget(user) => oracle.forget(user),
        Step::Consent(guild, granted) => oracle.set_consent(guild, *granted),
        Step::TrimOutbox => oracle.outbox.clear(),
        Step::FileDataset(_) => {}
        Step::Expire => oracle.expire(Category::SentimentAnalysis, NOW - 10 * DAY),
    }
    Receipts::new()
}
