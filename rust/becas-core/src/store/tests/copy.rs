//! Copies for backups: whole, of one moment, taken while others write, and without a byte of what is gone.

use std::{
    collections::HashSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Event, NOW, event, open};
use crate::{config, store::Status};

const BATCH: u64 = 7;

#[test]
fn a_copy_under_four_writers_holds_every_receipt_from_before_it_began() {
    let directory = tempfile::tempdir().unwrap();
    // Small, so that the map has to grow meanwhile.
    let config =
        config::Store { map_size: 1 << 20, capacity: 10_000_000, ..config::Store::default() };
    let store = open(&directory.path().join("store"), &config);
    let acknowledged = Mutex::new(HashSet::new());
    let stop = AtomicBool::new(false);
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, acknowledged, stop) = (&store, &acknowledged, &stop);
            scope.spawn(move || {
                for call in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let names: Vec<_> =
                        (0..BATCH).map(|n| format!("{thread}.{call}.{n}")).collect();
                    let events = names.iter().map(|name| event(name).prepared()).collect();
                    store.admit(events, NOW, None).unwrap();
                    acknowledged.lock().unwrap().extend(names);
                }
            });
        }
        for number in 0..3 {
            std::thread::sleep(Duration::from_millis(150));
            let before = acknowledged.lock().unwrap().clone();
            let copy = directory.path().join(format!("copy {number}"));
            store.copy_to(&copy).unwrap();
            copies.push((copy, before));
        }
        stop.store(true, Ordering::Relaxed);
    });

    for (copy, before) in copies {
        assert_eq!(vec!["data.mdb"], files(&copy));
        let store = open(&copy, &config);
        assert_eq!(Vec::<String>::new(), store.verify().unwrap().problems);
        let total = store.stats().unwrap().all().total();
        assert!(total >= before.len() as u64 && total.is_multiple_of(BATCH), "{total}");
        assert!(!before.is_empty());
        for name in before {
            let again = store.admit(vec![event(&name).prepared()], NOW, None).unwrap();
            assert_eq!(Status::Duplicate, again[0].status, "{name}");
        }
    }
}

#[test]
fn a_copy_holds_no_byte_of_what_was_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"), &config::Store::default());
    // Labels of over 32 bytes are not remembered. Small records share pages, so that a deleted one leaves a gap among
    // those that stay; large ones leave free pages.
    for (name, padding) in [("small", 40), ("large", 40_000)] {
        for number in 0..50 {
            let worse = Event {
                label: format!("canary {}", "x".repeat(padding)),
                input: format!("{name} {number}"),
                points: 6_100,
                ..event(&format!("{name} worse {number}"))
            };
            let better = Event {
                id: format!("{name} better {number}"),
                label: "true".to_owned(),
                points: 9_900,
                ..worse.clone()
            };
            store.admit(vec![worse.prepared(), better.prepared()], NOW, None).unwrap();
            // Apart, too: what is replaced was durable before.
            let apart = Event {
                id: format!("{name} apart {number}"),
                input: format!("{name} b {number}"),
                ..worse
            };
            store.admit(vec![apart.prepared()], NOW, None).unwrap();
        }
        for number in 0..50 {
            let better = Event {
                points: 9_900,
                input: format!("{name} b {number}"),
                ..event(&format!("{name} b better {number}"))
            };
            store.admit(vec![better.prepared()], NOW, None).unwrap();
        }
    }
    let copy = directory.path().join("copy");
    store.copy_to(&copy).unwrap();

    let holds = |data: &[u8]| data.windows(6).any(|window| window == b"canary");
    assert!(holds(&fs::read(directory.path().join("store/data.mdb")).unwrap()));
    assert!(!holds(&fs::read(copy.join("data.mdb")).unwrap()));
    assert_eq!(200, open(&copy, &config::Store::default()).stats().unwrap().all().total());
}

#[test]
fn a_copy_does_not_write_over_another() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"), &config::Store::default());
    store.admit(vec![event("a").prepared()], NOW, None).unwrap();
    let copy = directory.path().join("copy");
    store.copy_to(&copy).unwrap();

    assert!(store.copy_to(&copy).is_err());
    assert_eq!(vec!["data.mdb"], files(&copy));
}

fn files(directory: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
