//! Readers that died, too many readers, and space for the table of readers: an error or nothing, never a hang.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{Event, NOW, event, open};
use crate::{
    config,
    error::Error,
    store::{Store, environment::Opened, schema},
};

const DIRECTORY: &str = "BECAS_STORE_READER_DIRECTORY";

#[test]
fn where_there_is_no_place_for_another_reader_it_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    store.admit(vec![event("a").prepared()], NOW, None).unwrap();
    {
        let entered = store.shared().environment.enter();
        let env = &entered.opened().unwrap().env;
        let mut readers = Vec::new();
        let refused = loop {
            match env.read_txn() {
                Ok(reader) => readers.push(reader),
                Err(error) => break error,
            }
            assert!(readers.len() < 10_000, "no limit on readers");
        };
        assert!(matches!(refused, heed::Error::Mdb(heed::MdbError::ReadersFull)), "{refused}");
        assert!(readers.len() >= 1_024);
        assert!(matches!(store.stats(), Err(Error::TooManyReaders)));
        // Who writes needs no place.
        store.admit(vec![event("b").prepared()], NOW, None).unwrap();
    }
    assert_eq!(2, store.stats().unwrap().all().total());
}

#[test]
fn the_table_of_readers_has_its_space_before_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let _store = open(directory.path(), &config::Store::default());

    let table = fs::metadata(directory.path().join(schema::READERS_FILE)).unwrap();
    assert!(table.len() >= 1_024 * 64);
    assert!(table.blocks() * 512 >= table.len(), "a full disk would kill whoever reads");
}

#[test]
#[ignore = "the child of the test below"]
fn child_reads_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let opened = Opened::open(directory, 1 << 20).unwrap();
    let _reader = opened.env.read_txn().unwrap();
    fs::write(directory.join("reading"), "").unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

fn used(store: &Store) -> u64 {
    store.env_info().unwrap().used_bytes
}

fn churn(store: &Store, round: u32) {
    for call in 0..20 {
        let large = |n| Event { input: "x".repeat(1_500), ..event(&format!("{round}.{call}.{n}")) };
        let events = (0..25).map(|n| {
            let one: Event = large(n);
            Event { input: format!("{} {}", one.id, one.input), ..one }.prepared()
        });
        store.admit(events.collect(), NOW, None).unwrap();
    }
}

#[test]
fn a_reader_that_was_killed_keeps_no_pages() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Store { capacity: 500, ..config::Store::default() };
    let store = open(directory.path(), &config);
    // Full, so that from now on every event drives out another, whose pages are used again.
    (0..3).for_each(|round| churn(&store, round));
    let before = used(&store);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::owners::child_reads_until_it_is_killed", "--ignored"])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !directory.path().join("reading").exists() {
        assert!(Instant::now() < patience, "the child does not get to read");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    churn(&store, 100);
    let pinned = used(&store);
    store.expire(NOW).unwrap();
    (101..109).for_each(|round| churn(&store, round));

    assert!(pinned > before + before / 2, "the dead reader pinned nothing: {before} {pinned}");
    assert!(used(&store) < pinned + pinned / 4, "{pinned} {}", used(&store));
}
