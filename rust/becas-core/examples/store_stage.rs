//! The store stage alone: events that the pipeline has prepared, admitted by a store; and, where the store began empty,
//! the same bytes under the same keys put by a bare loop over LMDB.
//!
//! `store_stage DATA_FOLDER REQUESTS COMMIT`: the folder is a server's, made if it is not there; REQUESTS holds encoded
//! IngestRequests, each after its length in 4 bytes, little-endian; COMMIT is the number of events in a commit. Prints
//! one JSON object, `{"events", "accepted", "store", "raw"}`, rates in events a second. What the bare loop wrote is left
//! in `DATA_FOLDER/raw`: a store that opens and verifies.

use std::{
    env,
    error::Error,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use becas_core::{
    config::{self, Config},
    example::Prepared,
    pipeline::Pipeline,
    store::{Status, Store, load_or_create_key},
};
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, types::Bytes};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Table = Database<'static, Bytes, Bytes>;

const NOW_MS: i64 = 1_790_000_000_000;
const TABLES: u32 = 16;
/// The store's table of examples, by category and sequence, and that of single values, which change with every commit.
const EXAMPLES: &str = "examples";
const META: &str = "meta";

/// A record, and where it lies among those of its table and category: from 0 to 1.
struct Record {
    table: usize,
    place: f64,
    key: Vec<u8>,
    value: Vec<u8>,
}

struct Written {
    tables: Vec<String>,
    /// In the order in which they came: by their places, since every category grew at an even pace.
    records: Vec<Record>,
    /// What every commit writes again.
    meta: Vec<(Vec<u8>, Vec<u8>)>,
}

fn requests(bytes: &[u8]) -> Outcome<Vec<&[u8]>> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        found.push(after.get(..length).ok_or("the last request is cut off")?);
        rest = &after[length..];
    }
    Ok(found)
}

fn prepare(pipeline: &Pipeline, bytes: &[u8]) -> Outcome<Vec<Prepared>> {
    let mut prepared = Vec::new();
    for request in requests(bytes)? {
        let batch = pipeline.prepare_batch(request, NOW_MS, true)?;
        prepared.extend(batch.attempts.into_iter().filter_map(|attempt| attempt.prepared.ok()));
    }
    Ok(prepared)
}

fn rate(events: usize, took: Duration) -> f64 {
    // Far below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "counts of events")]
    let events = events as f64;
    events / took.as_secs_f64()
}

/// Admits in commits of so many events, each submitted while the one before it is committed.
fn admit(store: &Store, events: Vec<Prepared>, commit: usize) -> Outcome<(Duration, usize)> {
    let mut calls = Vec::new();
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        calls.push(events.by_ref().take(commit).collect::<Vec<_>>());
    }
    let (mut tickets, mut accepted) = (std::collections::VecDeque::new(), 0);
    let mut count = |ticket: becas_core::store::Ticket| -> Outcome<()> {
        let receipts = ticket.wait()?;
        accepted += receipts.iter().filter(|one| one.status == Status::Accepted).count();
        Ok(())
    };
    let begun = Instant::now();
    for call in calls {
        tickets.push_back(store.submit(call, None, NOW_MS, None)?);
        if tickets.len() > 2 {
            tickets.pop_front().map_or(Ok(()), &mut count)?;
        }
    }
    tickets.into_iter().try_for_each(&mut count)?;
    Ok((begun.elapsed(), accepted))
}

fn open(folder: &Path) -> Outcome<Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(16 << 30).max_dbs(TABLES);
    // SAFETY: a private folder that no other process has open, and this one opens once.
    #[expect(unsafe_code, reason = "heed marks memory maps as unsafe")]
    let environment = unsafe { options.open(folder) }?;
    Ok(environment)
}

fn table(environment: &Env, name: Option<&str>) -> Outcome<Table> {
    let txn = environment.read_txn()?;
    let opened = environment.open_databases_and_commit(txn, |opener, txn| {
        let table = opener.open_database::<Bytes, Bytes>(txn, name)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(table))
    })?;
    opened.commit().flatten().ok_or_else(|| "a table is missing".into())
}

/// The names of all tables: the keys of the main one.
fn names(environment: &Env) -> Outcome<Vec<String>> {
    let main = table(environment, None)?;
    let txn = environment.read_txn()?;
    let mut names = Vec::new();
    for entry in main.iter(&txn)? {
        names.push(String::from_utf8(entry?.0.to_owned())?);
    }
    Ok(names)
}

/// Everything that a store wrote.
fn read(folder: &Path) -> Outcome<Written> {
    let environment = open(folder)?;
    let mut written =
        Written { tables: names(&environment)?, records: Vec::new(), meta: Vec::new() };
    for (position, name) in written.tables.iter().enumerate() {
        let records = table(&environment, Some(name))?;
        let txn = environment.read_txn()?;
        // A category of examples is the first byte of their keys; each grew by itself, as did every other table.
        let mut runs: Vec<Vec<(Vec<u8>, Vec<u8>)>> = vec![Vec::new(); 256];
        for record in records.iter(&txn)? {
            let (key, value) = record?;
            let run = if name == EXAMPLES { usize::from(key[0]) } else { 0 };
            runs[run].push((key.to_owned(), value.to_owned()));
        }
        if name == META {
            written.meta = runs.concat();
            continue;
        }
        for run in runs {
            // Far below 2^53.
            #[expect(clippy::cast_precision_loss, reason = "counts of records")]
            let place = |rank: usize, length: usize| (rank as f64 + 0.5) / length as f64;
            let length = run.len();
            written.records.extend(run.into_iter().enumerate().map(|(rank, (key, value))| {
                Record { table: position, place: place(rank, length), key, value }
            }));
        }
    }
    written.records.sort_by(|one, other| one.place.total_cmp(&other.place));
    Ok(written)
}

/// Puts the records in as many commits as the store made of the events.
fn bare(folder: &Path, written: &Written, events: usize, commit: usize) -> Outcome<Duration> {
    let environment = open(folder)?;
    let mut tables: Vec<Table> = Vec::new();
    for name in &written.tables {
        let txn = environment.write_txn()?;
        let table = environment
            .create_databases_and_commit(txn, |opener, txn| {
                let table = opener.create_database::<Bytes, Bytes>(txn, Some(name))?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(table))
            })?
            .commit()
            .ok_or("a table was not created")?;
        tables.push(table);
    }
    let meta = written.tables.iter().position(|name| name == META).ok_or("no table of values")?;
    let commits = events.div_ceil(commit);
    let records = written.records.len().div_ceil(commits);
    let begun = Instant::now();
    for part in written.records.chunks(records) {
        let mut txn = environment.write_txn()?;
        for record in part {
            tables[record.table].put(&mut txn, &record.key, &record.value)?;
        }
        for (key, value) in &written.meta {
            tables[meta].put(&mut txn, key, value)?;
        }
        txn.commit()?;
    }
    Ok(begun.elapsed())
}

#[expect(clippy::print_stdout, reason = "it is a measurement")]
fn main() -> Outcome<()> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().ok_or("usage: store_stage DATA_FOLDER REQUESTS COMMIT");
    let (folder, path, commit) = (argument()?, argument()?, argument()?.parse::<usize>()?);
    let (folder, bytes) = (Path::new(&folder), fs::read(path)?);
    let environment = folder.join("examples");
    let began_empty = !Store::exists(&environment);
    fs::create_dir_all(folder)?;
    let key = load_or_create_key(&folder.join("becas.key"), !began_empty)?;
    let prepared = prepare(&Pipeline::new(Config::default(), key.clone()), &bytes)?;
    let events = prepared.len();
    let config = config::Store { commit_events: commit, ..config::Store::default() };
    let store = Store::open(&environment, &key, &config)?;
    let (took, accepted) = admit(&store, prepared, commit)?;
    store.close();
    let raw = if began_empty {
        let written = read(&environment)?;
        let raw = folder.join("raw");
        fs::create_dir_all(raw.join("examples"))?;
        fs::copy(folder.join("becas.key"), raw.join("becas.key"))?;
        rate(events, bare(&raw.join("examples"), &written, events, commit)?)
    } else {
        0.0
    };
    println!(
        r#"{{"events":{events},"accepted":{accepted},"store":{:.1},"raw":{raw:.1}}}"#,
        rate(events, took)
    );
    Ok(())
}
