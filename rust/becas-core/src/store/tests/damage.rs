//! Flipped bits: the store opens, says so, loses no more than it says, and can be repaired.

use std::{fs, path::Path};

use super::{Event, NOW, correction, event, id, open};
use crate::{
    config,
    pseudonym::{IdKind, Pseudonym},
    store::{Status, Store, consent::Word},
};

/// Flips a bit of every place in the data file where `bytes` stand, `offset` bytes on.
fn flip(directory: &Path, bytes: &[u8], offset: usize, bit: u8) {
    let file = directory.join("data.mdb");
    let mut data = fs::read(&file).unwrap();
    let places: Vec<_> =
        (0..data.len() - bytes.len()).filter(|at| data[*at..].starts_with(bytes)).collect();
    assert!(!places.is_empty());
    for place in places {
        data[place + offset] ^= 1 << bit;
    }
    fs::write(&file, data).unwrap();
}

fn rejected(name: &str) -> Event {
    Event { points: 1_000, ..event(name) }
}

fn status(store: &Store, event: &Event) -> Status {
    store.admit(vec![event.prepared()], NOW, None).unwrap()[0].status
}

/// A store that remembers 400 rejected events in several chunks, of which the one with `number` is damaged.
fn with_damaged_memory(directory: &Path, config: &config::Store, number: usize) -> Store {
    let store = open(directory, config);
    for call in 0..8 {
        let events = (0..50).map(|n| rejected(&format!("{}", call * 50 + n)).prepared());
        store.admit(events.collect(), NOW, None).unwrap();
    }
    store.close();
    flip(directory, &id(IdKind::Event, &format!("{number}")).0, 3, 0);
    open(directory, config)
}

#[test]
fn a_damaged_chunk_of_remembered_events_costs_the_id_that_is_damaged_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_damaged_memory(directory.path(), &config::Store::default(), 170);

    assert_eq!(1, store.metrics().damaged_records);
    let problems = store.verify().unwrap().problems;
    assert_eq!(1, problems.len(), "{problems:?}");
    assert!(problems[0].contains("the memory of events from 150 is damaged"), "{problems:?}");
    for number in 0..400 {
        let expected = if number == 170 { Status::Rejected } else { Status::Duplicate };
        assert_eq!(expected, status(&store, &rejected(&format!("{number}"))), "{number}");
    }
    // Nothing is made of what a damaged chunk says: no twin of event 171, which would have one.
    let corrects = correction("correction", "171", None);
    assert_eq!(Status::Accepted, status(&store, &corrects));
    assert_eq!(1, store.stats().unwrap().all().total());

    store.repair().unwrap();
    assert_eq!(0, store.metrics().damaged_records);
    assert_eq!(Vec::<String>::new(), store.verify().unwrap().problems);
    store.close();
    let store = open(directory.path(), &config::Store::default());
    for number in 0..400 {
        assert_eq!(Status::Duplicate, status(&store, &rejected(&format!("{number}"))), "{number}");
    }
}

#[test]
fn ids_behind_one_whose_fields_make_no_sense_are_lost_and_may_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let events = (0..60).map(|n| rejected(&format!("{n}")).prepared());
    store.admit(events.collect(), NOW, None).unwrap();
    store.close();
    // The byte after the id is the fate: 1 becomes 129.
    flip(directory.path(), &id(IdKind::Event, "30").0, 16, 7);

    let store = open(directory.path(), &config::Store::default());
    assert_eq!(Status::Duplicate, status(&store, &rejected("29")));
    assert_eq!(Status::Rejected, status(&store, &rejected("30")));
    let sound = store.repair().and_then(|_| store.verify()).unwrap();
    assert_eq!(Vec::<String>::new(), sound.problems);
}

#[test]
fn memory_is_trimmed_past_a_damaged_chunk() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Store { idempotency_ids: 400, ..config::Store::default() };
    let store = with_damaged_memory(directory.path(), &config, 3);
    for call in 0..8 {
        let events = (0..50).map(|n| rejected(&format!("later {call}.{n}")).prepared());
        store.admit(events.collect(), NOW, None).unwrap();
    }

    assert!(store.metrics().known_events <= 450);
    assert_eq!(Vec::<String>::new(), store.verify().unwrap().problems);
}

#[test]
fn no_flipped_bit_turns_a_withdrawal_into_a_grant() {
    let guild = id(IdKind::Guild, "guild");
    let record = [guild.0.to_vec(), Word { guild, granted: false }.encode()].concat();
    for at in 0..record.len() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), &config::Store::default());
        store.set_consent(guild, false, NOW).unwrap();
        store.close();
        flip(directory.path(), &record, at, 0);

        let store = open(directory.path(), &config::Store::default());
        assert_eq!(1, store.metrics().damaged_records, "byte {at}");
        assert_eq!(vec!["consent: 1 records are damaged"], store.verify().unwrap().problems);
        assert_eq!(Status::Refused, status(&store, &event("a")), "byte {at}");
        store.repair().unwrap();
        assert_eq!(Status::Refused, status(&store, &event("b")), "byte {at}");
        assert!(store.verify().unwrap().is_clean(), "byte {at}");
        store.set_consent(guild, true, NOW).unwrap();
        assert_eq!(Status::Accepted, status(&store, &event("c")), "byte {at}");
    }
}

#[test]
fn a_damaged_correction_that_waits_keeps_nobody_from_being_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let waiting = correction("correction", "original", Some("false"));
    assert_eq!(Status::Accepted, status(&store, &waiting));
    store.close();
    flip(directory.path(), b"a lesson of some length", 4, 2);

    let store = open(directory.path(), &config::Store::default());
    let problems = store.verify().unwrap().problems;
    assert_eq!(vec!["pending: 1 records are damaged", "outbox: 1 records are damaged"], problems);
    assert_eq!(Status::Accepted, status(&store, &correction("later", "other", Some("true"))));
    // The damaged one is passed over, so that the later one is seen.
    let outbox = store.outbox(0, 1).unwrap();
    assert_eq!(vec![2], outbox.iter().map(|entry| entry.cursor).collect::<Vec<_>>());
    let together = vec![event("original").prepared(), event("bystander").prepared()];
    for admission in store.admit(together, NOW, None).unwrap() {
        assert_eq!((Status::Accepted, Vec::new()), (admission.status, admission.reasons));
    }
}

#[test]
fn forgetting_leaves_nothing_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let events = (0..100).map(|n| rejected(&format!("r{n}")).prepared());
    store.admit(events.collect(), NOW, None).unwrap();
    store
        .admit(vec![event("number 1").prepared(), event("number 2").prepared()], NOW, None)
        .unwrap();
    store.close();
    let author = id(IdKind::User, "user");
    // The author of one example, by whom it would be found, and of one chunk of remembered events.
    let record = [digest("input of number 1"), author.0].concat();
    flip(directory.path(), &record, 20, 3);
    flip(directory.path(), &id(IdKind::Event, "r50").0, 0, 0);

    let store = open(directory.path(), &config::Store::default());
    assert_eq!(2, store.metrics().damaged_records);
    store.forget(author, NOW).unwrap();
    let data = fs::read(directory.path().join("data.mdb")).unwrap();
    let holds = |bytes: &[u8]| data.windows(bytes.len()).any(|window| window == bytes);
    assert!(!holds(b"input of number"));
    assert!(!holds(&author.0));
    let Pseudonym(guild) = id(IdKind::Guild, "guild");
    assert!(!holds(&guild), "of a damaged chunk only ids stay");
    assert_eq!(Status::Duplicate, status(&store, &rejected("r51")));
}

fn digest(input: &str) -> [u8; 16] {
    super::digest(crate::category::Category::ScamDetection, input)
}
