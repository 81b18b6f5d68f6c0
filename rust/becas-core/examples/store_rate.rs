//! Events a second that the store makes durable, beside a bare loop that appends the same bytes to LMDB.
//!
//! `cargo run --release -p becas-core --example store_rate [DIRECTORY] [EVENTS]`. The directory must be on a real disk:
//! on tmpfs an fsync costs nothing.
#![expect(clippy::print_stdout, reason = "it is a measurement")]

use std::{
    env,
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use becas_core::{
    category::{Category, EventKind, Outcome},
    config,
    example::{Example, Prepared, Verdict},
    pseudonym::{Key, Pseudonym},
    redact::{Ids, Redacted, Redactor},
    score::{Score, Tier},
    store::{Status, Store},
};
use heed::{CommitOrAbort, EnvOpenOptions, PutFlags, types::Bytes};

type Outcomes<T> = Result<T, Box<dyn Error>>;

const NOW: i64 = 1_760_000_000_000;
/// One record: header, one person, texts.
const RECORD: usize = 460;
/// Kept in each of the categories in the run with a full store.
const FULL: u64 = 10_000;

/// splitmix64.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn pseudonym(number: u64) -> Pseudonym {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed(number).to_le_bytes());
    bytes[8..].copy_from_slice(&mixed(!number).to_le_bytes());
    Pseudonym(bytes)
}

struct Maker {
    input: Redacted,
    output: Redacted,
    label: Redacted,
}

impl Maker {
    fn new() -> Self {
        let redacted = |text: &str| Redactor::new().redact(text, &Ids::default());
        let output = redacted(r#"{"isScam":true,"scamType":"phishing","reasoning":"a link"}"#);
        let label = redacted("true");
        let rest = RECORD - 104 - 16 - output.as_str().len() - label.as_str().len();
        Self { input: redacted(&"free coins here ".repeat(40)[..rest]), output, label }
    }

    fn event(&self, number: u64) -> Prepared {
        let random = mixed(number ^ 0xabcd);
        let places = Category::ALL.len() as u64;
        let category = Category::ALL[usize::try_from(random % places).unwrap_or(0)];
        let points = 6_000 + u32::try_from(random >> 8 & 0xFFF).unwrap_or(0).min(4_000);
        let tier = match points {
            9_000.. => Tier::Gold,
            7_500.. => Tier::Silver,
            _ => Tier::Bronze,
        };
        let (event, user) = (pseudonym(number), Some(pseudonym(random % 50_000)));
        let (guild, score) = (Some(pseudonym(random % 500)), Score::from_points(points));
        let time_ms = NOW + i64::try_from(number).unwrap_or(0);
        let kind = EventKind::ScamDetected;
        let example = Example {
            category,
            kind,
            input: self.input.clone(),
            output: self.output.clone(),
            label: self.label.clone(),
            score,
            tier,
            outcome: Outcome::Success,
            time_ms,
            event,
            user,
            guild,
            people: user.into_iter().collect(),
            digest: pseudonym(number ^ 1 << 60).0,
            human_validated: false,
            rag_enhanced: false,
            superseded: false,
            corrected_twin: false,
        };
        Prepared {
            event,
            guild,
            user,
            time_ms,
            kind,
            category,
            score,
            tier,
            label: self.label.clone(),
            verdict: Verdict::Example(Box::new(example)),
            correction: None,
        }
    }
}

fn per_second(events: u64, took: Duration) -> f64 {
    // Far below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "counts of events")]
    let events = events as f64;
    events / took.as_secs_f64()
}

/// Appends as many bytes as the store would, and nothing else.
fn bare(directory: &Path, events: u64, commit: u64) -> Outcomes<f64> {
    let directory = tempfile::tempdir_in(directory)?;
    let mut options = EnvOpenOptions::new();
    options.map_size(4 << 30).max_dbs(1);
    // SAFETY: a fresh private directory, opened once.
    #[expect(unsafe_code, reason = "heed marks memory maps as unsafe")]
    let environment = unsafe { options.open(directory.path()) }?;
    let txn = environment.write_txn()?;
    let table = environment
        .create_databases_and_commit(txn, |opener, txn| {
            let table = opener.create_database::<Bytes, Bytes>(txn, Some("records"))?;
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(table))
        })?
        .commit()
        .ok_or("the database was not created")?;
    let record = [b'x'; RECORD];
    let begun = Instant::now();
    for first in (0..events).step_by(usize::try_from(commit)?) {
        let mut txn = environment.write_txn()?;
        for number in first..events.min(first + commit) {
            let mut key = [1; 9];
            key[1..].copy_from_slice(&number.to_be_bytes());
            table.put_with_flags(&mut txn, PutFlags::APPEND, &key, &record)?;
        }
        txn.commit()?;
    }
    Ok(per_second(events, begun.elapsed()))
}

/// Processor time of all threads: what a loaded machine does not blur.
fn processor_time() -> Outcomes<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

struct Run {
    rate: f64,
    processor_rate: f64,
    accepted: u64,
    evicted: u64,
}

/// Admits prepared events one call at a time; making them is not timed.
fn admit(
    store: &Store,
    maker: &Maker,
    numbers: std::ops::Range<u64>,
    commit: u64,
) -> Outcomes<Run> {
    let events = numbers.end - numbers.start;
    let before = store.metrics().evictions;
    let (mut took, mut worked, mut accepted) = (Duration::ZERO, Duration::ZERO, 0);
    for first in numbers.clone().step_by(usize::try_from(commit)?) {
        let call: Vec<_> =
            (first..numbers.end.min(first + commit)).map(|number| maker.event(number)).collect();
        let (begun, idle) = (Instant::now(), processor_time()?);
        let receipts = store.admit(call, NOW, None)?;
        took += begun.elapsed();
        worked += processor_time()?.saturating_sub(idle);
        let kept = receipts.iter().filter(|receipt| receipt.status == Status::Accepted).count();
        accepted += kept as u64;
    }
    let evicted = store.metrics().evictions - before;
    let (rate, processor_rate) = (per_second(events, took), per_second(events, worked));
    Ok(Run { rate, processor_rate, accepted, evicted })
}

fn main() -> Outcomes<()> {
    let mut arguments = env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let directory = Path::new(&directory);
    let events: u64 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let (maker, key) = (Maker::new(), Key::new([7; 32]));
    println!("{events} events of {RECORD} bytes, one caller");
    for commit in [500, 2_000, 5_000] {
        let bare = bare(directory, events, commit)?;
        let empty = tempfile::tempdir_in(directory)?;
        let config = config::Store { capacity: 100_000_000, ..config::Store::default() };
        let store = Store::open(empty.path(), &key, &config)?;
        let growing = admit(&store, &maker, 0..events, commit)?;
        store.close();

        let full = tempfile::tempdir_in(directory)?;
        let config = config::Store { capacity: FULL, ..config::Store::default() };
        let store = Store::open(full.path(), &key, &config)?;
        let filling = FULL * Category::ALL.len() as u64 * 11 / 10;
        admit(&store, &maker, 0..filling, 5_000)?;
        let evicting = admit(&store, &maker, filling..filling + events, commit)?;
        store.close();
        println!("commits of {commit}: bare appends {bare:.0}/s");
        for (name, run) in [("growing", &growing), ("full", &evicting)] {
            println!(
                "  {name}: {:.0}/s, {:.2} of bare; {:.0}/s of processor time; {} accepted, {} evicted",
                run.rate,
                run.rate / bare,
                run.processor_rate,
                run.accepted,
                run.evicted,
            );
        }
    }
    Ok(())
}
