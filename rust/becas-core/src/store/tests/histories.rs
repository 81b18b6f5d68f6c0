//! Random histories: the store agrees with the oracle, through reopening, erasure and either order of arrival.

use std::path::Path;

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    Corrects, Event, NOW, correction, event, id, open,
    oracle::Oracle,
    state::{agree, shown},
};
use crate::{
    config,
    pseudonym::IdKind,
    store::{Status, Store},
};

#[derive(Clone, Debug)]
enum Step {
    Admit(Vec<Event>),
    Forget(String),
    Consent(String, bool),
    Reopen,
}

fn name(prefix: &'static str, count: usize) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |number| format!("{prefix}{number}"))
}

fn an_event() -> impl Strategy<Value = Event> {
    (
        name("event", 30),
        name("input", 8),
        select(vec!["true", "false", "other"]),
        select(vec![5_900, 6_000, 7_400, 7_500, 9_000, 9_100]),
        prop::bool::weighted(0.2),
        0..4_i64,
        prop::option::weighted(0.9, name("guild", 2)),
        prop::option::weighted(0.9, name("user", 4)),
    )
        .prop_map(|(id, input, label, points, human, later, guild, user)| Event {
            id,
            input,
            label: label.to_owned(),
            points,
            human,
            time_ms: NOW + later,
            guild,
            user,
            ..event("")
        })
}

fn a_correction() -> impl Strategy<Value = Event> {
    (
        an_event(),
        name("correction", 20),
        prop_oneof![4 => name("event", 30), 1 => name("correction", 20)],
        prop::option::of(select(vec!["true", "false", "third"])),
        prop::bool::weighted(0.9),
        name("input", 8),
        select(vec![9_000, 9_500]),
    )
        .prop_map(|(base, id, original, label, verified, message, points)| Event {
            id: id.clone(),
            input: format!("the words of {}", base.input),
            points,
            time_ms: base.time_ms,
            guild: base.guild,
            user: base.user,
            corrects: Some(Corrects {
                original,
                label: label.map(ToOwned::to_owned),
                verified,
                message,
            }),
            ..correction(&id, "", None)
        })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![2 => an_event(), 1 => a_correction()]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(
        prop_oneof![
            12 => vec(any_event(), 1..8).prop_map(Step::Admit),
            1 => name("user", 4).prop_map(Step::Forget),
            1 => (name("guild", 2), any::<bool>()).prop_map(|(guild, word)| Step::Consent(guild, word)),
            2 => Just(Step::Reopen),
        ],
        1..16,
    )
}

fn config(capacity: usize) -> config::Store {
    config::Store { capacity: capacity as u64, map_size: 4 << 20, ..config::Store::default() }
}

fn admit(store: &Store, events: &[Event]) -> Vec<(Status, Vec<&'static str>)> {
    let prepared = events.iter().map(Event::prepared).collect();
    let admissions = store.admit(prepared, NOW, None).unwrap();
    admissions.into_iter().map(|admission| (admission.status, admission.reasons)).collect()
}

fn play(directory: &Path, capacity: usize, steps: &[Step]) {
    let mut store = open(directory, &config(capacity));
    let mut oracle = Oracle::of_capacity(capacity);
    for step in steps {
        match step {
            Step::Admit(events) => {
                let expected: Vec<_> = events.iter().map(|event| oracle.admit(event)).collect();
                assert_eq!(expected, admit(&store, events));
            }
            Step::Forget(user) => {
                oracle.forget(user);
                store.forget(id(IdKind::User, user), NOW).unwrap();
            }
            Step::Consent(guild, granted) => {
                oracle.set_consent(guild, *granted);
                store.set_consent(id(IdKind::Guild, guild), *granted, NOW).unwrap();
            }
            Step::Reopen => {
                store.close();
                store = open(directory, &config(capacity));
            }
        }
    }
    agree(&store, &oracle);
    store.close();
    agree(&open(directory, &config(capacity)), &oracle);
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("BECAS_STORE_HISTORIES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(96),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn receipts_statistics_and_examples_agree_with_the_rules(
        capacity in select(vec![2_usize, 5, 100]),
        steps in steps(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        play(directory.path(), capacity, &steps);
    }

    #[test]
    fn a_correction_has_the_same_effect_before_and_after_its_original(
        capacity in select(vec![3_usize, 100]),
        history in vec(any_event(), 0..25),
        original in an_event(),
        mut correcting in a_correction(),
        later in vec(any_event(), 0..10),
        apart in any::<bool>(),
    ) {
        let original = Event { id: "the original".to_owned(), ..original };
        correcting.id = "the correction".to_owned();
        correcting.corrects.as_mut().unwrap().original.clone_from(&original.id);
        let ends = [true, false].map(|original_first| {
            let directory = tempfile::tempdir().unwrap();
            let store = open(directory.path(), &config(capacity));
            if !history.is_empty() {
                admit(&store, &history);
            }
            let mut pair = [original.clone(), correcting.clone()];
            if !original_first {
                pair.reverse();
            }
            if apart {
                for one in &pair {
                    admit(&store, std::slice::from_ref(one));
                }
            } else {
                admit(&store, &pair);
            }
            let receipts = if later.is_empty() { Vec::new() } else { admit(&store, &later) };
            (shown(&store), store.stats().unwrap(), receipts)
        });
        let [after, before] = ends;
        prop_assert_eq!(after, before);
    }
}

#[test]
fn an_erased_event_stays_known_although_erasing_was_the_first_thing_after_opening() {
    let directory = tempfile::tempdir().unwrap();
    let steps = [
        Step::Admit(vec![event("erased")]),
        Step::Reopen,
        Step::Forget("user".to_owned()),
        Step::Admit(vec![event("other")]),
        Step::Admit(vec![event("other")]),
        Step::Admit(vec![event("erased")]),
    ];
    play(directory.path(), 5, &steps);
}
