//! One event after another: receipts, statistics, reading, reopening.

use super::{NOW, event, open};
use crate::{
    category::Category,
    config,
    store::{Admission, ExampleId, Status, reason},
};

fn admission(status: Status, reasons: &[&'static str]) -> Admission {
    Admission { status, reasons: reasons.to_vec() }
}

#[test]
fn an_accepted_event_is_read_back_and_counted_also_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let prepared = event("one").prepared();
    let store = open(directory.path(), &config::Store::default());
    let receipts = store.admit(vec![prepared.clone()], NOW, None).unwrap();
    let first = ExampleId { category: Category::ScamDetection, sequence: 1 };

    assert_eq!(vec![admission(Status::Accepted, &[])], receipts);
    for _ in 0..2 {
        let store = {
            store.close();
            open(directory.path(), &config::Store::default())
        };
        let stats = store.stats().unwrap();
        assert_eq!((1, 1), (stats.all().total(), stats.category(first.category).gold_ever));
        assert!((stats.category(first.category).mean_quality() - 0.92).abs() < 1e-12);
        let crate::example::Verdict::Example(expected) = &prepared.verdict else { unreachable!() };
        assert_eq!(**expected, store.get(first).unwrap());
        let again = store.admit(vec![prepared.clone()], NOW, None).unwrap();
        assert_eq!(vec![admission(Status::Duplicate, &[])], again);
        store.close();
    }
}

#[test]
fn the_better_of_two_equal_inputs_stays_and_the_other_is_told_why() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let with = |name: &str, label: &str, points, human| {
        let mut event = event(name);
        (event.input, event.label) = ("the same".to_owned(), label.to_owned());
        (event.points, event.human) = (points, human);
        event.prepared()
    };
    let receipts = store
        .admit(
            vec![
                with("a", "true", 8_000, false),
                with("b", "true", 7_900, false),
                with("c", "false", 7_900, false),
                with("d", "false", 8_100, false),
                with("e", "true", 6_100, true),
                with("f", "true", 10_000, false),
                with("a", "true", 8_000, false),
            ],
            NOW,
            None,
        )
        .unwrap();

    let expected = vec![
        admission(Status::Accepted, &[]),
        admission(Status::Duplicate, &[reason::SAME_INPUT]),
        admission(Status::Duplicate, &[reason::CONFLICT]),
        admission(Status::Accepted, &[reason::REPLACED]),
        admission(Status::Accepted, &[reason::REPLACED]),
        admission(Status::Duplicate, &[reason::SAME_INPUT]),
        admission(Status::Duplicate, &[]),
    ];
    assert_eq!(expected, receipts);
    let stats = store.stats().unwrap();
    assert_eq!((1, 1), (stats.all().total(), stats.all().bronze));
    let metrics = store.metrics();
    assert_eq!(
        (1, 2, 1, 2),
        (metrics.duplicates, metrics.same_input, metrics.conflicts, metrics.replaced)
    );
}
