//! A process that is killed at any named point: what it did last is there whole or not at all, the rest is untouched.
//!
//! 1. A child plays a history that its seed makes and writes a line for every step that the store acknowledged.
//! 2. It kills itself when it comes to a point for the n-th time. 3. The store is opened: it agrees with the rules
//!    after the acknowledged steps, or after those and the ones under way. 4. Those are repeated, and the history goes
//!    on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustix::process::{Signal, getpid, kill_process};

use super::{
    Random,
    history::{Step, apply, config, history, start},
    open,
    oracle::Oracle,
    state::{agree, agrees},
};
use crate::store::{Status, Store};

const DIRECTORY: &str = "BECAS_STORE_FAILPOINT_DIRECTORY";
const POINT: &str = "BECAS_STORE_FAILPOINT";
const HIT: &str = "BECAS_STORE_FAILPOINT_HIT";
const SEED: &str = "BECAS_STORE_FAILPOINT_SEED";
const KILLS: &str = "BECAS_STORE_FAILPOINT_KILLS";

const GROUPS: usize = 150;

/// Every point, and whether a step that is one commit is there after a kill; of none where it depends on the step.
const POINTS: [(&str, Option<bool>); 22] = [
    ("ingest::encoded", Some(false)),
    ("commit::begun", Some(false)),
    ("commit::planned", Some(false)),
    ("commit::before", Some(false)),
    ("commit::after", Some(true)),
    ("acknowledge::before", Some(true)),
    ("acknowledge::after_one", None),
    ("map::before_growth", None),
    ("map::after_growth", None),
    ("create::made", Some(false)),
    ("rewrite::copying", None),
    ("rewrite::copied", None),
    ("rewrite::renamed", None),
    ("remembered::trimmed", None),
    ("evict::removed", Some(false)),
    ("correct::superseded", Some(false)),
    ("dataset::filed", Some(false)),
    ("outbox::trimmed", Some(false)),
    ("consent::kept", None),
    ("erase::owed", None),
    ("erase::deleted", None),
    ("expire::deleted", None),
];

#[test]
#[ignore = "the child of the test below"]
fn child_plays_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY).map(PathBuf::from) else { return };
    let point = std::env::var(POINT).unwrap();
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let counts: Vec<Arc<AtomicU64>> = POINTS.iter().map(|_| Arc::default()).collect();
    for ((name, _), count) in POINTS.iter().zip(&counts) {
        let count = Arc::clone(count);
        let last = (*name == point).then(|| number(HIT).unwrap());
        fail::cfg_callback(*name, move || {
            if Some(count.fetch_add(1, Relaxed) + 1) == last {
                kill_process(getpid(), Signal::KILL).unwrap();
            }
        })
        .unwrap();
    }
    let mut acknowledged = File::create(directory.join("acknowledged")).unwrap();
    let store = open(&directory.join("store"), &config());
    for group in history(number(SEED).unwrap(), GROUPS) {
        for answer in start(&store, &group) {
            answer();
            acknowledged.write_all(b".").unwrap();
        }
    }
    let mut counted = OpenOptions::new().create(true).append(true).open(directory.join("hits"));
    for ((name, _), count) in POINTS.iter().zip(&counts) {
        writeln!(counted.as_mut().unwrap(), "{name} {}", count.load(Relaxed)).unwrap();
    }
}

fn child(directory: &Path, seed: u64, point: &str, hit: u64) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::tests::failpoints::child_plays_until_it_is_killed", "--ignored"])
        .env(DIRECTORY, directory)
        .env(SEED, seed.to_string())
        .env(POINT, point)
        .env(HIT, hit.to_string())
        .stdout(Stdio::null())
        .status()
        .unwrap()
}

/// A folder in memory where there is one: a kill takes nothing from the page cache, so that syncs prove nothing here.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// How often each point is come to when nobody is killed.
fn hits(seed: u64) -> BTreeMap<String, u64> {
    let directory = folder();
    assert!(child(directory.path(), seed, "", 0).success());
    let text = fs::read_to_string(directory.path().join("hits")).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
        .collect()
}

/// What the store must agree with after so many steps.
fn oracle_after(steps: &[Step]) -> Oracle {
    let mut oracle = start_oracle();
    for step in steps {
        apply(&mut oracle, step);
    }
    oracle
}

fn start_oracle() -> Oracle {
    Oracle::of_capacity(usize::try_from(config().capacity).unwrap())
}

fn check(directory: &Path, seed: u64, under_way_is_there: Option<bool>) {
    let groups = history(seed, GROUPS);
    let steps: Vec<Step> = groups.iter().flatten().cloned().collect();
    let acknowledged = fs::read(directory.join("acknowledged")).unwrap().len();
    // The calls of one group are under way together, as many as were not acknowledged.
    let mut end = 0;
    let group = groups.iter().find(|group| {
        end += group.len();
        end > acknowledged
    });
    let store = open(&directory.join("store"), &config());
    assert_eq!(store.stats().unwrap(), store.recount().unwrap());
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    if group.is_none() {
        return;
    }
    let under_way = &steps[acknowledged..end];
    let there: Vec<usize> = (0..=under_way.len())
        .filter(|there| agrees(&store, &oracle_after(&steps[..acknowledged + there])))
        .collect();
    // An erasure is many commits, and whoever asked asks again.
    let in_parts = matches!(under_way, [Step::Forget(_) | Step::Consent(_, false) | Step::Expire]);
    assert!(in_parts || !there.is_empty(), "what was under way is there in part");
    if !in_parts && under_way_is_there == Some(true) {
        assert!(there.iter().any(|there| *there > 0), "{under_way:?} is not there");
    }
    if !in_parts && under_way_is_there == Some(false) && under_way.len() == 1 {
        assert!(there.contains(&0), "{under_way:?} is there without its commit");
    }
    let there = there.first().copied().unwrap_or(0);
    let mut oracle = oracle_after(&steps[..acknowledged]);
    for (place, step) in under_way.iter().enumerate() {
        let expected = apply(&mut oracle, step);
        for answer in start(&store, std::slice::from_ref(step)) {
            let known = answer().iter().all(|(status, _)| *status == Status::Duplicate);
            if place < there {
                let refused = expected.iter().any(|(status, _)| *status == Status::Refused);
                assert!(known || refused, "what was committed was taken again");
            }
        }
    }
    for step in steps[end..].iter().take(10) {
        let expected = apply(&mut oracle, step);
        for answer in start(&store, std::slice::from_ref(step)) {
            assert_eq!(expected, answer());
        }
    }
    agree(&store, &oracle);
    datasets_are_there(&store, &steps[..acknowledged]);
}

fn datasets_are_there(store: &Store, acknowledged: &[Step]) {
    let filed: BTreeSet<Vec<u8>> = acknowledged
        .iter()
        .filter_map(|step| {
            let Step::FileDataset(name) = step else { return None };
            Some(name.clone().into_bytes())
        })
        .collect();
    let kept: BTreeSet<Vec<u8>> = store
        .shared()
        .environment
        .read(|tables, txn| {
            Ok(tables.datasets.iter(txn).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect())
        })
        .unwrap();
    assert!(filed.is_subset(&kept), "{filed:?} {kept:?}");
}

#[test]
#[expect(clippy::print_stdout, reason = "shown where it fails: it replays what failed")]
fn killed_at_any_point_the_store_agrees_with_the_rules() {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let mut random = Random(u64::from(std::process::id()) + 1);
    for round in 0..kills {
        let seed = 1 + random.below(1 << 40);
        let hits = hits(seed);
        for (point, under_way_is_there) in POINTS {
            let mut hit = 1 + random.below(hits[point]);
            loop {
                let directory = folder();
                println!("round {round}: seed {seed}, {point} for the {hit}. time");
                let status = child(directory.path(), seed, point, hit);
                // Calls share commits as time has it, so that a point may be met less often than it was counted.
                if status.success() && hit > 1 {
                    hit = hit.div_ceil(2);
                    continue;
                }
                assert_eq!(Some(9), status.signal(), "{status:?}");
                check(directory.path(), seed, under_way_is_there);
                break;
            }
        }
    }
}

#[test]
fn every_point_of_the_sources_is_in_the_list() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut named = BTreeSet::new();
    for file in fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            let text = fs::read_to_string(file).unwrap();
            named.extend(
                text.split("failpoint!(\"")
                    .skip(1)
                    .map(|rest| rest.split_once('"').unwrap().0.to_owned()),
            );
        }
    }

    let listed: BTreeSet<String> = POINTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, listed);
}
