//! Rebuilds the index from the records, and makes sure that this is the store of this key and version.

use heed::RoTxn;

use super::{
    codec,
    counters::Counters,
    environment::{Environment, Tables, lmdb},
    fields::damaged,
    index::Index,
    remembered::Chunk,
    schema::{self, ExampleId},
};
use crate::{
    error::{Error, Result},
    pseudonym::{Key, Pseudonym},
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

/// Reads everything once.
///
/// A damaged example is left out, so that one bad page does not stop the service: reading it names it, and its input
/// and id count as unknown.
pub(super) fn index(tables: &Tables, txn: &RoTxn<'_>) -> Result<Index> {
    let mut index = Index::default();
    index.counters = counters(tables, txn)?;
    let examples = tables.examples.len(txn).map_err(lmdb)?;
    index.reserve(usize::try_from(examples).unwrap_or(0));
    for found in tables.examples.iter(txn).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        let Some(id) = ExampleId::from_key(key) else { return Err(damaged("a key of examples")) };
        if let Ok(record) = codec::decode(id, bytes) {
            index.load(id, &record.header);
        }
    }
    index.oldest_remembered = index.counters.remembered;
    for found in tables.remembered.iter(txn).map_err(lmdb)? {
        let (key, bytes) = found.map_err(lmdb)?;
        let Some(first) = schema::number_from_key(key) else {
            return Err(damaged("a key of remembered events"));
        };
        index.oldest_remembered = index.oldest_remembered.min(first);
        for (number, entry) in (first..).zip(&Chunk::decode(first, bytes)?.entries) {
            index.load_remembered(&entry.event, number);
        }
    }
    for found in tables.pending.iter(txn).map_err(lmdb)? {
        let (key, _) = found.map_err(lmdb)?;
        let original = schema::pseudonym_from_key(key);
        index.load_pending(original.ok_or_else(|| damaged("a key of pending corrections"))?);
    }
    for found in tables.consent.iter(txn).map_err(lmdb)? {
        let (key, granted) = found.map_err(lmdb)?;
        let guild: Option<Pseudonym> = schema::pseudonym_from_key(key);
        index.load_consent(
            guild.ok_or_else(|| damaged("a key of consent"))?,
            granted.first() == Some(&1),
        );
    }
    Ok(index)
}

/// Whether erased bytes may still lie in free pages, since a crash came before the rewrite.
pub(super) fn rewrite_is_due(tables: &Tables, txn: &RoTxn<'_>) -> Result<bool> {
    Ok(tables.meta.get(txn, schema::META_REWRITE_DUE).map_err(lmdb)?.is_some())
}
