//! Corrections one by one; the random histories cover how they mix.

use super::{Corrects, Event, NOW, correction, event, id, open};
use crate::{
    category::Category,
    config,
    pseudonym::IdKind,
    store::{Admission, Status, Store, reason},
};

fn admit(store: &Store, event: &Event) -> Admission {
    store.admit(vec![event.prepared()], NOW, None).unwrap().remove(0)
}

fn labels(store: &Store) -> Vec<(String, bool, bool)> {
    let mut labels = Vec::new();
    store
        .scan(Category::ScamDetection, |_, one| {
            labels.push((one.label().to_owned(), one.header.superseded, one.header.corrected_twin));
            Ok(())
        })
        .unwrap();
    labels
}

#[test]
fn a_corrected_event_leaves_the_totals_and_its_twin_answers_for_the_input() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    admit(&store, &event("wrong"));
    let receipt = admit(&store, &correction("right", "wrong", None));
    assert_eq!(Admission { status: Status::Accepted, reasons: vec![] }, receipt);
    let expected = [("true".to_owned(), true, false), ("false".to_owned(), false, true)];
    assert_eq!(expected, labels(&store)[..]);

    let stats = store.stats().unwrap();
    let scam = stats.category(Category::ScamDetection);
    assert_eq!((1, 1, 9_500), (scam.total(), scam.superseded, scam.quality_points));
    assert_eq!(1, stats.human_corrections());
    let mut copy = event("copy");
    copy.input = event("wrong").input;
    assert_eq!(vec![reason::CONFLICT], admit(&store, &copy).reasons);
    copy = Event { id: "confirmed".to_owned(), human: true, points: 10_000, ..copy };
    assert_eq!(Status::Duplicate, admit(&store, &copy).status);
}

#[test]
fn a_rejected_event_gets_its_twin_in_either_order() {
    for original_first in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), &config::Store::default());
        let mut pair =
            [Event { points: 3_000, ..event("low") }, correction("late", "low", Some("false"))];
        if !original_first {
            pair.reverse();
        }
        for one in &pair {
            admit(&store, one);
        }
        assert_eq!([("false".to_owned(), false, true)], labels(&store)[..]);
        assert_eq!(1, store.stats().unwrap().category(Category::ScamDetection).rejected);
    }
}

#[test]
fn a_correction_of_another_guild_or_without_the_right_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    admit(&store, &event("kept"));
    let strange = correction("strange", "kept", Some("false"));
    admit(&store, &Event { guild: Some("another".to_owned()), ..strange });
    let mut unverified = correction("unverified", "kept", Some("false"));
    unverified.corrects.as_mut().unwrap().verified = false;
    admit(&store, &unverified);
    assert_eq!([("true".to_owned(), false, false)], labels(&store)[..]);

    // Both are in the outbox: whoever judges shadow requests sees who said it.
    let outbox = store.outbox(0, 10).unwrap();
    assert_eq!(vec![1, 2], outbox.iter().map(|entry| entry.cursor).collect::<Vec<_>>());
    assert_eq!(
        vec![true, false],
        outbox.iter().map(|one| one.correction.verified).collect::<Vec<_>>()
    );
    assert_eq!(1, store.outbox(1, 10).unwrap().len());
    assert_eq!(1, store.outbox_trim(1).unwrap());
    assert_eq!(2, store.outbox(0, 10).unwrap()[0].cursor);
}

#[test]
fn a_case_without_a_label_waits_until_a_later_correction_gives_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    admit(&store, &Event { label: "phishing".to_owned(), ..event("open") });
    let unlabelled = admit(&store, &correction("first", "open", None));
    assert_eq!(vec![reason::NO_CORRECTED_LABEL], unlabelled.reasons);
    let cases = store.labelling_queue(None, 10).unwrap();
    assert_eq!(id(IdKind::Event, "open"), cases[0].original);
    assert_eq!(("phishing", 1), (cases[0].label.as_str(), cases.len()));
    assert!(store.labelling_queue(Some(cases[0].original), 10).unwrap().is_empty());

    assert!(admit(&store, &correction("second", "open", Some("none"))).reasons.is_empty());
    assert!(store.labelling_queue(None, 10).unwrap().is_empty());
    admit(&store, &correction("third", "open", None));
    assert!(store.labelling_queue(None, 10).unwrap().is_empty());
    let expected = [("phishing".to_owned(), true, false), ("none".to_owned(), false, true)];
    assert_eq!(expected, labels(&store)[..]);
}

#[test]
fn of_two_equal_corrections_the_same_one_wins_in_either_order() {
    let ends = [["a", "b"], ["b", "a"]].map(|order| {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), &config::Store::default());
        admit(&store, &event("wrong"));
        for label in order {
            admit(&store, &correction(&format!("says {label}"), "wrong", Some(label)));
        }
        labels(&store)
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(2, ends[0].len());
}

#[test]
fn nothing_comes_back_of_what_was_erased() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &config::Store::default());
    let mine = Event { user: Some("gone".to_owned()), ..event("mine") };
    let low = Event { id: "low".to_owned(), points: 100, ..mine.clone() };
    let early =
        Event { user: Some("gone".to_owned()), ..correction("early", "later", Some("false")) };
    for one in [&mine, &low, &early, &event("other")] {
        admit(&store, one);
    }
    let user = id(IdKind::User, "gone");
    let forgotten = store.forget(user, NOW).unwrap();
    // Examples: `mine` and `early` itself. Others: the author of `low`; `early` in pending and in the outbox.
    assert_eq!((2, 3), (forgotten.examples, forgotten.others));

    for name in ["mine", "low", "early"] {
        assert_eq!(Status::Duplicate, admit(&store, &event(name)).status, "{name}");
        let mut late = correction(&format!("of {name}"), name, Some("false"));
        late.user = None;
        late.corrects =
            Some(Corrects { message: "a text".to_owned(), ..late.corrects.clone().unwrap() });
        assert_eq!(Status::Accepted, admit(&store, &late).status);
    }
    admit(&store, &event("later"));
    let expected = [("true".to_owned(), false, false), ("true".to_owned(), false, false)];
    assert_eq!(expected, labels(&store)[..]);
    assert!(store.outbox(0, 10).unwrap().is_empty());
    assert!(store.labelling_queue(None, 10).unwrap().is_empty());
    assert!(store.verify().unwrap().is_clean());
}
