//! One golden event ► example pair a kind; tests/golden/README.md says how they were made.

use std::{fs, path::PathBuf};

use becas_core::{
    category::EventKind,
    draft::{output_schema, system},
    example::Verdict,
    json,
};
use serde_json::{Value, json};

use crate::events::{NOW, pipeline};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn read(folder_name: &str, kind: EventKind) -> String {
    let file = format!("{}.json", kind.name().replace('.', "_"));
    fs::read_to_string(folder(folder_name).join(file)).unwrap()
}

#[test]
fn every_kind_gives_its_golden_example() {
    for kind in EventKind::ALL {
        let expected: Value = serde_json::from_str(&read("examples", kind)).unwrap();
        let event = json::event_from_json(&read("events", kind)).unwrap();
        let prepared = pipeline().prepare(&event, NOW, true).unwrap();
        let Verdict::Example(example) = &prepared.verdict else {
            panic!("{}: {:?}", kind.name(), prepared.verdict);
        };
        let actual = json!({
            "event_name": example.kind.name(),
            "category": example.category.name(),
            "input": example.input.as_str(),
            "output": example.output.as_str(),
            "label": example.label.as_str(),
            "score": format!("{:.4}", example.score.as_f64()),
            "tier": example.tier.name(),
            "outcome": example.outcome.name(),
            "human_validated": example.human_validated,
            "rag_enhanced": example.rag_enhanced,
            "time_ms": example.time_ms,
            "people": example.people.len(),
        });

        assert_eq!(expected, actual, "{}", kind.name());
    }
}

#[test]
fn no_raw_id_is_left_in_what_is_stored() {
    for kind in EventKind::ALL {
        let text = read("events", kind);
        let event = json::event_from_json(&text).unwrap();
        let stored = format!("{:?}", pipeline().prepare(&event, NOW, true).unwrap());
        let ids = text
            .split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .filter(|word| {
                word.starts_with("evt_")
                    || (word.len() == 18 && word.bytes().all(|byte| byte.is_ascii_digit()))
            });
        for id in ids {
            assert!(!stored.contains(id), "{}: an id of the event", kind.name());
        }
    }
}

#[test]
fn instructions_and_schemas_are_those_that_models_were_trained_with() {
    let tasks = fs::read_to_string(folder("tasks.txt")).unwrap();
    let actual: Vec<String> = becas_core::category::Category::ALL
        .into_iter()
        .map(|category| {
            format!("== {}\n{}\n{}\n", category.name(), system(category), output_schema(category))
        })
        .collect();

    assert_eq!(tasks, actual.join("\n"));
}
