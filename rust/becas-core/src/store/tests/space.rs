//! The map grows by itself up to its limit; past it ingest stops, and nothing else does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::{Event, NOW, event, id, open};
use crate::{
    category::Category,
    config,
    error::Error,
    pseudonym::IdKind,
    store::{Filter, Status, Store},
};

/// Of each of the four writers, of 100 events.
const CALLS: &str = "BECAS_STORE_GROWTH_CALLS";

fn large(name: &str) -> Event {
    Event { input: format!("{name} {}", "x".repeat(2_000)), ..event(name) }
}

fn admit(store: &Store, events: impl Iterator<Item = Event>) -> crate::error::Result<usize> {
    let prepared = events.map(|event| event.prepared()).collect();
    let receipts = store.admit(prepared, NOW, None)?;
    Ok(receipts.iter().filter(|receipt| receipt.status == Status::Accepted).count())
}

#[test]
fn the_map_grows_from_one_mebibyte_under_readers_and_writers() {
    let calls = std::env::var(CALLS).ok().and_then(|text| text.parse().ok()).unwrap_or(32);
    let directory = tempfile::tempdir().unwrap();
    let capacity = 10_000_000;
    let config = config::Store { map_size: 1 << 20, capacity, ..config::Store::default() };
    let store = open(directory.path(), &config);
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let page = store.list(Filter::default(), None, 50).unwrap();
                    assert!(page.examples.iter().all(|(_, one)| one.input.as_str().len() > 2_000));
                    reads.fetch_add(1, Relaxed);
                    store.stats().unwrap();
                }
            });
        }
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for call in 0..calls {
                        let events = (0..100).map(|n| large(&format!("{writer}.{call}.{n}")));
                        assert_eq!(100, admit(store, events).unwrap());
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Relaxed);
    });

    assert_eq!(400 * calls, store.stats().unwrap().all().total());
    assert!(store.env_info().unwrap().map_bytes >= 64 << 20);
    assert!(store.metrics().map_changes >= 6, "{:?}", store.metrics());
    assert!(reads.load(Relaxed) > 0);
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn at_the_limit_ingest_is_refused_reading_goes_on_and_erasing_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Store {
        map_size: 1 << 20,
        map_size_limit: 4 << 20,
        capacity: 100_000,
        ..config::Store::default()
    };
    let store = open(directory.path(), &config);
    let mut accepted = 0;
    let error = loop {
        let call = (0..20).map(|n| large(&format!("{accepted}.{n}")));
        match admit(&store, call) {
            Ok(count) => accepted += count as u64,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::StoreFull { limit_bytes } if limit_bytes == 4 << 20), "{error}");
    assert!(accepted > 500, "{accepted}");

    // What failed left no trace, in the index either: stats, records and a retry agree.
    assert_eq!(accepted, store.stats().unwrap().all().total());
    assert_eq!(store.stats().unwrap(), store.recount().unwrap());
    let again = admit(&store, (0..20).map(|n| large(&format!("{accepted}.{n}"))));
    assert!(matches!(again, Err(Error::StoreFull { .. })), "{again:?}");
    let mut seen = 0;
    store
        .scan(Category::ScamDetection, |_, _| {
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(accepted, seen);

    let guild = id(IdKind::Guild, "guild");
    assert_eq!(accepted, store.set_consent(guild, false, NOW).unwrap().examples);
    store.set_consent(guild, true, NOW).unwrap();
    let after = admit(&store, (0..20).map(|n| large(&format!("{accepted}.{n}"))));
    assert_eq!(20, after.unwrap());
    assert!(store.verify().unwrap().is_clean());
}
