//! Rebuilds the index from the records, and makes sure that this is the store of this key and version.

use heed::RoTxn;
use rayon::prelude::*;

use super::{
    codec, consent,
    counters::Counters,
    environment::{Environment, Tables, lmdb},
    fields::damaged,
    index::{Index, OfCategory},
    remembered::Chunk,
    schema::{self, ExampleId},
    waiting,
};
use crate::{
    category::Category,
    error::{Error, Result},
    pseudonym::Key,
};

/// Stamps a new store with version and key, or refuses one that has others.
pub(super) fn check_identity(environment: &Environment, key: &Key) -> Result<()> {
    environment.make_room(0, false)?;
    let entered = environment.enter();
    let opened = entered.opened()?;
    let meta = opened.tables.meta;
    let mut txn = opened.env.write_txn().map_err(lmdb)?;
    let version = meta.get(&txn, schema::META_VERSION).map_err(lmdb)?;
    match version.map(<[u8; 4]>::try_from) {
        None => {
            if !meta.is_empty(&txn).map_err(lmdb)? {
                return Err(damaged("the schema version"));
            }
            meta.put(&mut txn, schema::META_VERSION, &schema::VERSION.to_be_bytes())
                .and_then(|()| meta.put(&mut txn, schema::META_FINGERPRINT, &key.fingerprint()))
                .and_then(|()| {
                    meta.put(&mut txn, schema::META_COUNTERS, &Counters::default().encode())
                })
                .and_then(|()| txn.commit())
                .map_err(lmdb)
        }
        Some(Ok(version)) if u32::from_be_bytes(version) == schema::VERSION => {
            let fingerprint = meta.get(&txn, schema::META_FINGERPRINT).map_err(lmdb)?;
            if fingerprint == Some(&key.fingerprint()) {
                return Ok(());
            }
            Err(Error::Store {
                problem: "made with another key: put the key file that belongs to it back"
                    .to_owned(),
            })
        }
        Some(Ok(version)) => Err(Error::Store {
            problem: format!(
                "of schema version {}, and this program knows {}: install the version that wrote it, or a newer one",
                u32::from_be_bytes(version),
                schema::VERSION
            ),
        }),
        Some(Err(_)) => Err(damaged("the schema version")),
    }
}

/// The counters as of a transaction.
pub(super) fn counters(tables: &Tables, txn: &RoTxn<'_>) -> Result<Counters> {
    let found = tables.meta.get(txn, schema::META_COUNTERS).map_err(lmdb)?;
    Counters::decode(found.ok_or_else(|| damaged("the record of counters"))?)
}

/// Reads everything once, on all cores; the index, and how many records are damaged. Nobody may write meanwhile.
///
/// One bad page does not stop the service. `verify` names what is damaged, and until it is repaired:
///
/// - A damaged example is left out: reading it names it, and its input and id count as unknown.
/// - Of a damaged chunk of remembered events the ids that still read like ids stay known; the others may be taken anew.
/// - A damaged correction that waits is never applied.
/// - A guild whose word is damaged has not consented.
pub(super) fn index(environment: &Environment) -> Result<(Index, u64)> {
    let categories = Category::ALL
        .into_par_iter()
        .map(|category| environment.read(|tables, txn| examples(tables, txn, category)))
        .collect::<Result<Vec<_>>>()?;
    let mut index = Index::of(categories);
    let damaged = environment.read(|tables, txn| rest(tables, txn, &mut index))?;
    Ok((index, damaged))
}

/// The examples of a category, but for those that are damaged.
fn examples(tables: &Tables, txn: &RoTxn<'_>, category: Category) -> Result<OfCategory> {
    let mut of_category = OfCategory::default();
    for found in tables.examples.prefix_iter(txn, &[category as u8]).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        if let Some(id) = ExampleId::from_key(key)
            && let Ok(header) = codec::decode_header(id, bytes)
        {
            of_category.add(id, &header);
        }
    }
    Ok(of_category)
}

/// All but the examples; how many records are damaged, examples included.
fn rest(tables: &Tables, txn: &RoTxn<'_>, index: &mut Index) -> Result<u64> {
    index.counters = counters(tables, txn)?;
    let mut damaged = tables.examples.len(txn).map_err(lmdb)? - index.examples();
    index.oldest_remembered = index.counters.remembered;
    for found in tables.remembered.iter(txn).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        let Some(first) = schema::number_from_key(key) else {
            damaged += 1;
            continue;
        };
        damaged += u64::from(Chunk::decode(first, bytes).is_err());
        index.oldest_remembered = index.oldest_remembered.min(first);
        for (number, entry) in (first..).zip(&Chunk::entries(first, bytes)) {
            index.load_remembered(&entry.event, number);
        }
    }
    for found in tables.pending.iter(txn).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        damaged += u64::from(!waiting::is_whole(key, bytes));
        if let Some(original) = schema::pseudonym_from_key(key) {
            index.load_pending(original);
        }
    }
    for found in tables.consent.iter(txn).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        damaged += u64::from(!consent::is_whole(key, bytes));
        let word = consent::decode(key, bytes).ok();
        let guild = word.map(|word| word.guild).or_else(|| schema::pseudonym_from_key(key));
        if let Some(guild) = guild {
            index.load_consent(guild, word.is_some_and(|word| word.granted));
        }
    }
    Ok(damaged)
}

/// Whether erased bytes may still lie in free pages, since a crash came before the rewrite.
pub(super) fn rewrite_is_due(tables: &Tables, txn: &RoTxn<'_>) -> Result<bool> {
    Ok(tables.meta.get(txn, schema::META_REWRITE_DUE).map_err(lmdb)?.is_some())
}
