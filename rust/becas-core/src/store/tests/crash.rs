//! A process that dies in the middle loses nothing that it acknowledged.
//!
//! 1. The test starts itself again as a child that ingests from eight threads and writes an id down once it is
//!    acknowledged. 2. The child is killed at a random moment. 3. The store is opened: every id written down is there
//!    once, a call is there whole or not at all, counters equal a recount. 4. The calls under way come again: new where
//!    they were lost, known where they were not. 5. The next child goes on in the same store.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{NOW, Random, correction, digest, event, id, open};
use crate::{category::Category, config, pseudonym::IdKind, store::Status};

const DIRECTORY: &str = "BECAS_STORE_CRASH_DIRECTORY";
const CYCLE: &str = "BECAS_STORE_CRASH_CYCLE";
const CYCLES: &str = "BECAS_STORE_CRASH_CYCLES";
const MINUTES: &str = "BECAS_STORE_CRASH_MINUTES";
const SEED: &str = "BECAS_STORE_CRASH_SEED";
const FILE_LIMIT: &str = "BECAS_STORE_FILE_LIMIT";

fn config() -> config::Store {
    config::Store { capacity: 10_000_000, map_size: 1 << 20, ..config::Store::default() }
}

const THREADS: u64 = 8;
/// Then a fresh store, since all of it is looked at after every kill.
const CYCLES_OF_A_STORE: u64 = 20;

/// The same events for the same place: mostly few, now and then up to 500.
fn call(cycle: &str, thread: u64, number: u64) -> Vec<super::Event> {
    let place = digest(Category::ScamDetection, &format!("{cycle}.{thread}.{number}"));
    let mut random = Random(u64::from_le_bytes(place[..8].try_into().unwrap()) | 1);
    let size = if random.below(16) == 0 { 1 + random.below(500) } else { 1 + random.below(40) };
    (0..size)
        .map(|part| {
            let name = format!("{cycle}.{thread}.{number}.{part}");
            match part {
                // Of an event before it in this call, and of one that comes in the next.
                7 => correction(&name, &format!("{cycle}.{thread}.{number}.3"), Some("false")),
                8 => {
                    correction(&name, &format!("{cycle}.{thread}.{}.0", number + 1), Some("false"))
                }
                9 => super::Event { points: 1_000, ..event(&name) },
                _ => event(&name),
            }
        })
        .collect()
}

#[test]
#[ignore = "the child of the tests below"]
fn child_ingests_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let cycle = std::env::var(CYCLE).unwrap();
    let store = open(Path::new(&directory).join("store").as_path(), &config());
    let acknowledged = Path::new(&directory).join("acknowledged");
    let file = Mutex::new(OpenOptions::new().create(true).append(true).open(acknowledged).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, file, cycle) = (&store, &file, &cycle);
            scope.spawn(move || {
                for number in 0.. {
                    let events = call(cycle, thread, number);
                    let prepared = events.iter().map(super::Event::prepared).collect();
                    let answers = store.admit(prepared, NOW, None).unwrap();
                    let mut line = format!("{cycle}.{thread}.{number}.{}", events.len());
                    for answer in answers {
                        line.push(if answer.status == Status::Rejected { 'r' } else { 'a' });
                    }
                    line.push('\n');
                    file.lock().unwrap().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

fn start(directory: &Path, cycle: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::crash::child_ingests_until_it_is_killed", "--ignored"])
        .env(DIRECTORY, directory)
        .env(CYCLE, cycle.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn check(directory: &Path, cycle: &str) -> usize {
    let begun = Instant::now();
    let store = open(&directory.join("store"), &config());
    assert!(begun.elapsed() < Duration::from_secs(2), "opened in {:?}", begun.elapsed());
    let mut stored: HashMap<[u8; 16], u32> = HashMap::new();
    for category in Category::ALL {
        store
            .scan(category, |_, record| {
                if !record.header.corrected_twin {
                    *stored.entry(record.header.event.0).or_default() += 1;
                }
                Ok(())
            })
            .unwrap();
    }
    assert!(stored.values().all(|times| *times == 1), "an event is stored twice");
    assert_eq!(store.stats().unwrap(), store.recount().unwrap());
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");

    let present = |name: &str| stored.contains_key(&id(IdKind::Event, name).0);
    let acknowledged = directory.join("acknowledged");
    let text = fs::read_to_string(&acknowledged).unwrap();
    // A kill can cut the last line short: nobody was told of that call.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let file = OpenOptions::new().write(true).open(&acknowledged).unwrap();
    file.set_len(whole as u64).unwrap();
    let (mut seen, mut last) = (0, HashMap::new());
    for line in text[..whole].lines() {
        let at = line.find(['a', 'r']).unwrap();
        let (name, answers) = line.split_at(at);
        let name = name.rsplit_once('.').unwrap().0;
        for (part, answer) in answers.chars().enumerate() {
            assert_eq!(answer == 'a', present(&format!("{name}.{part}")), "{name}.{part}");
        }
        seen += answers.len();
        let (thread, number) = name.rsplit_once('.').unwrap();
        last.insert(thread.to_owned(), number.parse::<u64>().unwrap());
    }
    // The call under way may have been committed, but not in part; it comes again.
    for thread in 0..THREADS {
        let number = last.get(&format!("{cycle}.{thread}")).map_or(0, |last| last + 1);
        let events = call(cycle, thread, number);
        let kept = present(&events[0].id);
        let expected: Vec<Status> = events
            .iter()
            .map(|event| match (kept, event.points < 6_000) {
                (true, _) => Status::Duplicate,
                (false, true) => Status::Rejected,
                (false, false) => Status::Accepted,
            })
            .collect();
        for event in events.iter().filter(|event| event.points >= 6_000) {
            assert_eq!(kept, present(&event.id), "a call was kept in part: {}", event.id);
        }
        let answers = store.admit(events.iter().map(super::Event::prepared).collect(), NOW, None);
        let statuses: Vec<Status> = answers.unwrap().iter().map(|answer| answer.status).collect();
        assert_eq!(expected, statuses, "{cycle}.{thread}.{number}");
    }
    assert_eq!(store.stats().unwrap(), store.recount().unwrap());
    seen
}

#[test]
#[expect(clippy::print_stdout, reason = "the seed replays what failed; the count is the result")]
fn a_killed_process_loses_nothing_acknowledged() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number(SEED).unwrap_or(u64::from(std::process::id()) + 1);
    let begun = Instant::now();
    let enough = |cycle| match number(MINUTES) {
        Some(minutes) => begun.elapsed() > Duration::from_secs(60 * minutes),
        None => cycle >= number(CYCLES).unwrap_or(200),
    };
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let mut directory = tempfile::tempdir().unwrap();
    let (mut cycle, mut counted) = (0, 0);
    while !enough(cycle) {
        if cycle % CYCLES_OF_A_STORE == 0 {
            (directory, counted) = (tempfile::tempdir().unwrap(), 0);
        }
        let acknowledged = directory.path().join("acknowledged");
        let size = || fs::metadata(&acknowledged).map_or(0, |data| data.len());
        let before = size();
        let mut child = start(directory.path(), cycle);
        let patience = Instant::now() + Duration::from_secs(60);
        while size() == before {
            assert!(Instant::now() < patience, "the child does not get to work");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = check(directory.path(), &cycle.to_string());
        assert!(now > counted, "cycle {cycle} acknowledged nothing");
        counted = now;
        cycle += 1;
    }
    println!("{cycle} kills");
}

#[test]
#[ignore = "the child of the test below"]
fn child_writes_until_the_disk_fails() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    if std::env::var(FILE_LIMIT).is_err() {
        return;
    }
    let store = open(&Path::new(&directory).join("store"), &config());
    let mut acknowledged = 0_u64;
    let failure = loop {
        let name = format!("event {acknowledged}");
        match store.admit(vec![event(&name).prepared()], NOW, None) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "the limit on the file has no effect");
    };
    assert!(matches!(failure, crate::error::Error::Io { .. }), "{failure}");
    // No later success may hide what was lost, although a rejected event needs no new page.
    let after = store.admit(vec![event("after").prepared()], NOW, None).unwrap_err();
    assert!(after.to_string().contains("opened again"), "{after}");
    assert_eq!(acknowledged, store.stats().unwrap().all().total());
    fs::write(Path::new(&directory).join("acknowledged"), acknowledged.to_string()).unwrap();
}

#[test]
fn after_a_failed_commit_nothing_is_written_until_the_store_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    // A limit on the size of files makes the write of a page fail with EFBIG; the signal is ignored, so that the
    // process sees the error. The reader table and this file are smaller.
    let script = format!(
        "trap '' XFSZ; ulimit -f 512; exec '{}' --exact {} --ignored --nocapture",
        std::env::current_exe().unwrap().display(),
        "store::tests::crash::child_writes_until_the_disk_fails"
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .env(DIRECTORY, directory.path())
        .env(FILE_LIMIT, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let acknowledged = fs::read_to_string(directory.path().join("acknowledged")).unwrap();
    let store = open(&directory.path().join("store"), &config());
    assert_eq!(acknowledged, store.stats().unwrap().all().total().to_string());
    assert!(store.verify().unwrap().is_clean());
    let receipts = store.admit(vec![event("after").prepared()], NOW, None).unwrap();
    assert_eq!(Status::Accepted, receipts[0].status);
}
