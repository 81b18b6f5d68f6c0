//! What the store refuses: a second opening, other keys and versions, damaged records, too much at once.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use super::{NOW, event, id, key, open, test_twin};
use crate::{
    category::Category,
    config,
    error::Error,
    pseudonym::{IdKind, Key},
    store::{ExampleId, Status, Store, environment::Environment, load_or_create_key, schema},
};

fn refusal<T: std::fmt::Debug>(result: crate::error::Result<T>) -> String {
    result.unwrap_err().to_string()
}

fn open_with_key(directory: &Path, key: &Key) -> crate::error::Result<Store> {
    Store::open_with(directory, key, &config::Store::default(), test_twin)
}

#[test]
fn a_store_is_opened_once_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    assert!(refusal(open_with_key(directory.path(), &key())).contains("already open"));
    store.close();
    open_with_key(directory.path(), &key()).unwrap();
}

#[test]
fn a_closed_store_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    store.close();
    assert!(matches!(store.admit(vec![event("a").prepared()], NOW, None), Err(Error::Closed)));
    assert!(matches!(store.stats(), Err(Error::Closed)));
    assert!(matches!(store.compact(), Err(Error::Closed)));
}

#[test]
fn another_key_is_refused_and_so_is_a_newer_schema() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), &config::Store::default()).close();
    let other = Key::new([8; 32]);
    assert!(refusal(open_with_key(directory.path(), &other)).contains("another key"));

    let environment = Environment::open(directory.path(), &config::Store::default()).unwrap();
    {
        let entered = environment.enter();
        let opened = entered.opened().unwrap();
        let mut txn = opened.env.write_txn().unwrap();
        let newer = (schema::VERSION + 1).to_be_bytes();
        opened.tables.meta.put(&mut txn, schema::META_VERSION, &newer).unwrap();
        txn.commit().unwrap();
    }
    environment.close();
    let problem = refusal(open_with_key(directory.path(), &key()));
    assert!(problem.contains("schema version 2"), "{problem}");
}

#[test]
fn the_environment_has_no_flag_that_could_lose_an_acknowledged_event() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    // MDB_NOTLS, from lmdb.h; nothing else is set.
    assert_eq!(0x20_0000, store.env_info().unwrap().flags);
}

#[test]
fn the_key_file_is_made_once_private_and_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys/pseudonyms.key");
    let missing = refusal(load_or_create_key(&path, true));
    assert!(missing.contains("put the key file back"), "{missing}");
    assert!(!path.exists());

    let created = load_or_create_key(&path, false).unwrap();
    let read = load_or_create_key(&path, true).unwrap();
    assert_eq!(created.fingerprint(), read.fingerprint());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(0o600, mode & 0o777);
    assert_eq!(1, fs::read_dir(path.parent().unwrap()).unwrap().count());
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!((65, true), (text.len(), text.ends_with('\n')));

    let other = load_or_create_key(&directory.path().join("other.key"), false).unwrap();
    assert_ne!(created.fingerprint(), other.fingerprint());
    for mode in [0o640, 0o604, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(refusal(load_or_create_key(&path, true)).contains("chmod 600"));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for broken in ["", "00", &"0".repeat(63), &"0".repeat(65), &"x".repeat(64)] {
        fs::write(&path, broken).unwrap();
        assert!(refusal(load_or_create_key(&path, true)).contains("64 hexadecimal digits"));
    }
}

#[test]
fn a_flipped_bit_is_named_never_shown_and_can_be_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let events = (1..=50).map(|number| event(&format!("number {number:02}")).prepared());
    store.admit(events.collect(), NOW, None).unwrap();
    store.close();

    let file = directory.path().join("data.mdb");
    let mut bytes = fs::read(&file).unwrap();
    let text = b"input of number 17";
    let places: Vec<_> =
        (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place + 3] ^= 4;
    }
    fs::write(&file, bytes).unwrap();

    let store = open(directory.path(), &config::Store::default());
    let damaged = ExampleId { category: Category::ScamDetection, sequence: 17 };
    let named = "example scam_detection-17 is damaged";
    assert!(refusal(store.get(damaged)).contains(named));
    let mut seen = 0;
    let scanned = store.scan(Category::ScamDetection, |_, _| {
        seen += 1;
        Ok(())
    });
    assert!(refusal(scanned).contains(named));
    assert!(seen < 50);
    assert!(refusal(store.recount()).contains(named));
    assert_eq!(vec![damaged], store.verify().unwrap().damaged);
    store.get(ExampleId { sequence: 18, ..damaged }).unwrap();
    // Ingest goes on, and what was lost may come again.
    let receipts = store.admit(vec![event("number 17").prepared()], NOW, None).unwrap();
    assert_eq!(Status::Accepted, receipts[0].status);

    assert_eq!(vec![damaged], store.repair().unwrap().damaged);
    assert!(store.verify().unwrap().is_clean());
    assert_eq!(50, store.stats().unwrap().all().total());
    assert_eq!(store.stats().unwrap(), store.recount().unwrap());
}

/// Keeps the writer busy until the sender is dropped.
fn hold(store: &Store) -> (mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (release, released) = mpsc::channel::<()>();
    let (held, holding) = mpsc::channel();
    let store = store.clone();
    let thread = std::thread::spawn(move || {
        store
            .command(move |_| {
                held.send(()).unwrap();
                // Ends when the sender goes.
                let _released = released.recv();
                Ok(())
            })
            .unwrap();
    });
    holding.recv().unwrap();
    (release, thread)
}

#[test]
fn callers_that_wait_share_one_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let (release, thread) = hold(&store);
    let tickets: Vec<_> = (0..40)
        .map(|n| store.submit(vec![event(&format!("{n}")).prepared()], None, NOW, None).unwrap())
        .collect();
    drop(release);
    thread.join().unwrap();
    for ticket in tickets {
        assert_eq!(Status::Accepted, ticket.wait().unwrap()[0].status);
    }

    let metrics = store.metrics();
    assert_eq!(1, metrics.commits);
    // 17 to 64 events: the fourth bucket.
    assert_eq!([0, 0, 0, 1, 0, 0, 0, 0, 0], metrics.commit_events);
}

#[test]
fn a_full_queue_refuses_at_once_and_a_late_call_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Store { queue_bytes: 20_000, ..config::Store::default() };
    let store = open(directory.path(), &config);
    let (release, thread) = hold(&store);
    let soon = Instant::now() + Duration::from_millis(10);
    let late = store.submit(vec![event("late").prepared()], None, NOW, Some(soon)).unwrap();
    let mut tickets = Vec::new();
    let refused = loop {
        let name = format!("{}", tickets.len());
        match store.submit(vec![event(&name).prepared()], None, NOW, None) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
        assert!(tickets.len() < 1_000);
    };
    let Error::Overloaded { queued_bytes } = refused else { panic!("{refused}") };
    assert!((1..=20_000).contains(&queued_bytes));
    std::thread::sleep(Duration::from_millis(20));
    drop(release);
    thread.join().unwrap();

    assert!(matches!(late.wait(), Err(Error::DeadlineExceeded)));
    let accepted = tickets.len() as u64;
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(accepted, store.stats().unwrap().all().total());
    assert_eq!(0, store.metrics().queued_bytes);
}

#[test]
fn ids_are_remembered_for_the_window_and_not_much_longer() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Store { idempotency_ids: 500, ..config::Store::default() };
    let store = open(directory.path(), &config);
    let rejected = |n: u32| super::Event { points: 100, ..event(&format!("{n}")) }.prepared();
    let admit = |events: std::ops::Range<u32>, now| {
        store.admit(events.map(rejected).collect(), now, None).unwrap()
    };
    for call in 0..20 {
        admit(call * 100..(call + 1) * 100, NOW);
    }
    // 2,000 came; 500 are kept, and up to the chunks that one commit may leave over.
    assert!((500..1_000).contains(&store.metrics().known_events), "{:?}", store.metrics());
    assert_eq!(Status::Duplicate, admit(1_999..2_000, NOW)[0].status);
    assert_eq!(Status::Rejected, admit(0..1, NOW)[0].status);

    let day = 86_400_000;
    assert_eq!(Status::Duplicate, admit(1_999..2_000, NOW + 30 * day)[0].status);
    for _ in 0..10 {
        admit(5_000..5_001, NOW + 30 * day + 1);
    }
    assert_eq!(Status::Rejected, admit(1_999..2_000, NOW + 30 * day + 1)[0].status);
    let stored = event("stored").prepared();
    store.admit(vec![stored.clone()], NOW, None).unwrap();
    // A stored event is known for as long as it is stored.
    let much_later = store.admit(vec![stored], NOW + 300 * day, None).unwrap();
    assert_eq!(Status::Duplicate, much_later[0].status);
    assert!(store.verify().unwrap().is_clean());
}

#[test]
fn examples_past_the_age_of_their_category_expire() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Store {
        retention_days: [("scam_detection".to_owned(), 10)].into(),
        ..config::Store::default()
    };
    let store = open(directory.path(), &config);
    let day = 86_400_000;
    let aged = |name: &str, days: i64| super::Event { time_ms: NOW - days * day, ..event(name) };
    let mut elsewhere = aged("elsewhere", 400);
    elsewhere.category = Category::SentimentAnalysis;
    let events = [aged("old", 11), aged("edge", 10), aged("young", 1), elsewhere];
    store.admit(events.iter().map(super::Event::prepared).collect(), NOW, None).unwrap();
    assert_eq!(1, store.expire(NOW).unwrap());

    let stats = store.stats().unwrap();
    assert_eq!(2, stats.category(Category::ScamDetection).total());
    assert_eq!(1, stats.category(Category::SentimentAnalysis).total());
    let again = store.admit(vec![events[0].prepared()], NOW, None).unwrap();
    assert_eq!(Status::Duplicate, again[0].status);
    assert_eq!(1, store.expire(NOW + 2).unwrap());
}

#[test]
fn consent_is_told_at_once_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let guild = id(IdKind::Guild, "guild");
    store.set_consent(guild, false, NOW).unwrap();
    assert_eq!(Some(false), store.consent_at_once(guild).unwrap());

    let rewritten = store.shared().environment.alone();
    assert_eq!(None, store.consent_at_once(guild).unwrap());
    drop(rewritten);
    assert_eq!(Some(false), store.consent_at_once(guild).unwrap());
}
