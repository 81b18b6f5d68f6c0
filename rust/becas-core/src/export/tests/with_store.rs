//! Exports of a real store.

use std::path::Path;

use super::fixture::{KEY, collect, guild, labelled, request};
use crate::{
    config,
    example::{Example, Prepared, Verdict},
    export::{Context, plan},
    pseudonym::IdKind,
    redact::Redacted,
    store::Store,
};

const NOW: i64 = 1_760_000_000_000;

fn open(directory: &Path) -> Store {
    Store::open(directory, &KEY, &config::Store::default()).unwrap()
}

fn prepared(example: Example) -> Prepared {
    Prepared {
        event: example.event,
        guild: example.guild,
        user: example.user,
        time_ms: example.time_ms,
        kind: example.kind,
        category: example.category,
        score: example.score,
        tier: example.tier,
        label: example.label.clone(),
        verdict: Verdict::Example(Box::new(example)),
        correction: None,
    }
}

#[test]
fn the_same_request_gives_the_same_bytes_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut examples = [labelled("true", 0, 700), labelled("false", 1000, 400)].concat();
    for (number, example) in (0..).zip(&mut examples) {
        let message = example.input.as_str().to_owned();
        example.input = Redacted::trusted(format!("Message: \"{message}\"\nContext: \"x\""));
        example.event = KEY.pseudonym(IdKind::Event, &format!("event {number}"));
        example.guild = Some(guild(number % 7));
    }
    let export = |store: &Store| {
        let plan = plan(store, &request(), &Context::new(&KEY)).unwrap();
        collect(plan.parts(store).unwrap()).unwrap()
    };

    let store = open(directory.path());
    store.admit(examples.into_iter().map(prepared).collect(), NOW, None).unwrap();
    let before = export(&store);
    store.close();
    drop(store);
    let store = open(directory.path());
    let after = export(&store);

    assert_eq!(800, before.manifest.examples);
    assert_eq!(1100, before.manifest.matched);
    assert_eq!(before.data, after.data);
    assert_eq!(before.ids, after.ids);
    assert_eq!(before.manifest, after.manifest);
    let system = crate::draft::system(crate::category::Category::ScamDetection);
    assert!(after.lines().iter().all(|line| line["system"] == system));
}
