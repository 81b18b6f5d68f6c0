//! Whether a store holds what the rules say.

use std::collections::BTreeSet;

use super::{
    id,
    oracle::{Oracle, Shown},
};
use crate::{category::Category, pseudonym::IdKind, store::Store};

/// Every example, in order.
pub(super) fn shown(store: &Store) -> Vec<Shown> {
    let mut shown = Vec::new();
    for category in Category::ALL {
        store
            .scan(category, |_, record| {
                let header = &record.header;
                shown.push(Shown {
                    category: category.name(),
                    event: header.event.0,
                    input: record.input().to_owned(),
                    label: record.label().to_owned(),
                    points: u32::from(header.score.points()),
                    time_ms: header.time_ms,
                    human: header.human_validated,
                    superseded: header.superseded,
                    twin: header.corrected_twin,
                });
                Ok(())
            })
            .unwrap();
    }
    shown.sort();
    shown
}

/// Examples, statistics, outbox and labelling queue, by the store; and the same by the rules.
fn both(store: &Store, oracle: &Oracle) -> [State; 2] {
    let stats = store.stats().unwrap();
    let outbox = store.outbox(0, usize::MAX).unwrap();
    let cases = store.labelling_queue(None, usize::MAX).unwrap();
    let held = State {
        shown: shown(store),
        totals: Category::ALL
            .iter()
            .map(|category| {
                let one = stats.category(*category);
                let totals = (one.gold, one.silver, one.bronze, one.quality_points, one.superseded);
                (category.name(), totals, one.gold_ever)
            })
            .collect(),
        rejected: stats.rejected_by_reason.into_iter().collect(),
        outbox: outbox.iter().map(|entry| entry.event.0).collect(),
        cases: cases.iter().map(|case| case.original.0).collect(),
    };
    let ruled = State {
        shown: oracle.shown(),
        totals: Category::ALL
            .iter()
            .map(|category| {
                let gold_ever = oracle.gold_ever.get(category.name()).copied().unwrap_or(0);
                (category.name(), oracle.totals(*category), gold_ever)
            })
            .collect(),
        rejected: oracle.rejected.iter().map(|(why, n)| ((*why).to_owned(), *n)).collect(),
        outbox: oracle.outbox.iter().map(|event| id(IdKind::Event, &event.id).0).collect(),
        cases: oracle.waiting_for_labels(),
    };
    [ruled, held]
}

type Totals = (u64, u64, u64, u64, u64);

#[derive(Debug, PartialEq)]
struct State {
    shown: Vec<Shown>,
    totals: Vec<(&'static str, Totals, u64)>,
    rejected: Vec<(String, u64)>,
    outbox: Vec<[u8; 16]>,
    cases: BTreeSet<[u8; 16]>,
}

/// Fails where the store differs from the rules, or from itself.
pub(super) fn agree(store: &Store, oracle: &Oracle) {
    let [ruled, held] = both(store, oracle);
    assert_eq!(ruled, held);
    assert_eq!(store.stats().unwrap(), store.recount().unwrap());
    let report = store.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Whether the store is as the rules say.
#[cfg(feature = "failpoints")]
pub(super) fn agrees(store: &Store, oracle: &Oracle) -> bool {
    let [ruled, held] = both(store, oracle);
    ruled == held
}
