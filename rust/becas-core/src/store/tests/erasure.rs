//! After Forget, and after a guild withdrew, no byte of what was stored about them is in any file.

use std::{fs, path::Path};

use super::{Event, NOW, correction, event, id, open};
use crate::{
    config,
    example::{Prepared, Verdict},
    pseudonym::{IdKind, Pseudonym},
    redact::Redacted,
    store::{Status, Store, reason, schema},
};

const CANARY: &str = "a remark about the one who is named";

/// An event that only names a person; its output is the canary so often that later commits do not happen to take all of
/// its pages again.
fn naming(event: &Event, person: Pseudonym) -> Prepared {
    let mut prepared = event.prepared();
    if let Verdict::Example(example) = &mut prepared.verdict {
        example.output = Redacted::trusted(CANARY.repeat(10_000));
        example.people.push(person);
        example.people.sort_unstable();
    }
    prepared
}

fn holds(directory: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|file| {
        let path = file.unwrap().path();
        path.is_file() && fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    })
}

/// A store from whose tables a record that names `person` is gone already, each in another way.
fn gone(way: &str, directory: &Path, person: Pseudonym) -> Store {
    let day = 86_400_000;
    let config = config::Store {
        capacity: 3,
        retention_days: [("scam_detection".to_owned(), 10)].into(),
        ..config::Store::default()
    };
    let store = open(directory, &config);
    let admit = |prepared| store.admit(vec![prepared], NOW, None).unwrap().remove(0);
    let old = Event { points: 6_100, ..event("old") };
    match way {
        "replaced" => {
            admit(naming(&old, person));
            let better = Event { id: "better".to_owned(), points: 9_900, ..old };
            assert_eq!(vec![reason::REPLACED], admit(better.prepared()).reasons);
        }
        "evicted" => {
            admit(naming(&old, person));
            for name in ["1", "2", "3"] {
                assert_eq!(Status::Accepted, admit(event(name).prepared()).status);
            }
        }
        _ => {
            admit(naming(&Event { time_ms: NOW - 11 * day, ..old }, person));
            assert_eq!(1, store.expire(NOW).unwrap());
        }
    }
    let left = store.list(crate::store::Filter::default(), None, 10).unwrap();
    assert!(left.examples.iter().all(|(_, example)| !example.people.contains(&person)));
    assert!(holds(directory, CANARY.as_bytes()) && holds(directory, &person.0), "{way}");
    store
}

#[test]
fn what_was_gone_before_forget_leaves_no_byte_either() {
    let person = id(IdKind::User, "named");
    for way in ["replaced", "evicted", "expired"] {
        let directory = tempfile::tempdir().unwrap();
        let store = gone(way, directory.path(), person);
        let forgotten = store.forget(person, NOW).unwrap();

        assert_eq!((0, 0), (forgotten.examples, forgotten.others), "{way}");
        assert!(!holds(directory.path(), CANARY.as_bytes()), "{way}: text");
        assert!(!holds(directory.path(), &person.0), "{way}: pseudonym");
        assert!(store.verify().unwrap().is_clean());
    }
}

#[test]
fn withdrawing_consent_leaves_no_byte_either() {
    let person = id(IdKind::User, "named");
    let directory = tempfile::tempdir().unwrap();
    let store = gone("replaced", directory.path(), person);
    let guild = id(IdKind::Guild, "guild");
    store.set_consent(guild, true, NOW).unwrap();
    assert!(holds(directory.path(), CANARY.as_bytes()), "granting erases nothing");
    store.set_consent(guild, false, NOW).unwrap();

    assert!(!holds(directory.path(), CANARY.as_bytes()));
    assert!(!holds(directory.path(), &person.0));
}

#[test]
fn a_rewrite_that_did_not_come_about_is_made_up_for_at_the_next_start() {
    for guild_withdraws in [false, true] {
        let person = id(IdKind::User, "named");
        let directory = tempfile::tempdir().unwrap();
        let store = gone("replaced", directory.path(), person);
        // A file in the place of the directory that the rewrite writes to.
        let obstacle = directory.path().join(schema::REWRITE_DIRECTORY);
        fs::write(&obstacle, "").unwrap();
        if guild_withdraws {
            store.set_consent(id(IdKind::Guild, "guild"), false, NOW).unwrap_err();
        } else {
            store.forget(person, NOW).unwrap_err();
        }
        assert!(holds(directory.path(), CANARY.as_bytes()));
        store.close();
        fs::remove_file(obstacle).unwrap();

        let store = open(directory.path(), &config::Store::default());
        assert!(!holds(directory.path(), CANARY.as_bytes()));
        assert!(!holds(directory.path(), &person.0));
        assert!(store.verify().unwrap().is_clean());
    }
}

#[test]
fn no_file_keeps_a_byte_of_what_was_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let config = config::Store { capacity: 400, ..config::Store::default() };
    let store = open(directory.path(), &config);
    let canary = b"input of the canary";
    for call in 0..12 {
        let events = (0..100).map(|n| {
            let mut one = event(&format!("{call}.{n}"));
            if n % 7 == 0 {
                one.user = Some("forgotten".to_owned());
                one.input = format!("input of the canary {call}.{n} {}", "y".repeat(n * 30));
            }
            one.points = 9_000 + call;
            one.prepared()
        });
        store.admit(events.collect(), NOW, None).unwrap();
    }
    let mut waiting = correction("waiting", "the canary", Some("false"));
    waiting.user = Some("forgotten".to_owned());
    store.admit(vec![waiting.prepared()], NOW, None).unwrap();
    let holds_canary = || {
        let mut files = 0;
        for file in fs::read_dir(directory.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            files += usize::from(bytes.windows(canary.len()).any(|window| window == canary));
        }
        files
    };
    assert_eq!(1, holds_canary());
    let user = id(IdKind::User, "forgotten");
    let user_pages = || {
        let bytes = fs::read(directory.path().join("data.mdb")).unwrap();
        bytes.windows(16).filter(|window| **window == user.0).count()
    };
    assert!(user_pages() > 0);
    let forgotten = store.forget(user, NOW).unwrap();

    assert!(forgotten.examples > 0 && forgotten.others > 0, "{forgotten:?}");
    assert_eq!(0, holds_canary());
    assert_eq!(0, user_pages());
    assert!(store.verify().unwrap().is_clean());
    store.close();
    let store = open(directory.path(), &config);
    assert_eq!(store.stats().unwrap(), store.recount().unwrap());
    let redelivered = store.admit(vec![event("0.0").prepared()], NOW, None).unwrap();
    assert_eq!(Status::Duplicate, redelivered[0].status);
}
