//! The bytes that are written.

use std::{fs::File, io::Write, path::Path, sync::Mutex};

use ::parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Row, RowAccessor},
};
use serde_json::{Value, json};

use super::fixture::{
    Exported, KEY, VecSource, collect, example, export, labelled, message, request,
};
use crate::{
    category::{Category, EventKind, Outcome},
    example::Example,
    export::{Context, plan},
    proto::{ExportRequest, Format},
    pseudonym::Pseudonym,
    redact::Redacted,
    score::{Score, Tier},
    store::ExampleId,
};

const USER: Pseudonym = Pseudonym([0x11; 16]);
const GUILD: Pseudonym = Pseudonym([0x22; 16]);

/// The four examples of `tests/golden/export.jsonl`.
fn golden_source() -> VecSource {
    let scam = |sequence| ExampleId { category: Category::ScamDetection, sequence };
    let trust = |sequence| ExampleId { category: Category::TrustPrediction, sequence };
    let of_trust = |direction: &str| Example {
        category: Category::TrustPrediction,
        kind: EventKind::TrustScoreChanged,
        output: Redacted::trusted(format!(r#"{{"direction":"{direction}"}}"#)),
        label: Redacted::trusted(direction),
        user: Some(USER),
        ..example("old 88")
    };
    let first = Example {
        output: Redacted::trusted(r#"{"isScam":true,"scamType":"phishing"}"#),
        score: Score::from_points(9501),
        tier: Tier::Gold,
        outcome: Outcome::Corrected,
        time_ms: 1_789_282_175_247,
        user: Some(USER),
        guild: Some(GUILD),
        human_validated: true,
        corrected_twin: true,
        ..example("Free \"nitro\" \\o/\n\tclick\u{1} [EMAIL] – é 🎁\u{2028}")
    };
    let second = Example {
        output: Redacted::trusted(r#"{"isScam":false}"#),
        label: Redacted::trusted("false"),
        score: Score::from_points(6000),
        tier: Tier::Bronze,
        outcome: Outcome::Uncertain,
        time_ms: 0,
        ..example("hi")
    };
    let up = Example {
        score: Score::MAX,
        tier: Tier::Gold,
        time_ms: 946_684_799_001,
        rag_enhanced: true,
        ..of_trust("up")
    };
    let unchanged = Example {
        input: Redacted::trusted(""),
        score: Score::from_points(7500),
        outcome: Outcome::Failure,
        time_ms: -1,
        guild: Some(GUILD),
        ..of_trust("unchanged")
    };
    let examples = vec![(scam(1), first), (scam(2), second), (trust(1), up), (trust(2), unchanged)];
    VecSource { examples: Mutex::new(examples) }
}

fn golden_export(format: Format) -> Exported {
    let request = ExportRequest {
        balance: Some(false),
        seed: 3,
        format: format as i32,
        ..ExportRequest::default()
    };
    let context = Context {
        key: &KEY,
        system: |category| {
            if category == Category::ScamDetection {
                "Is it a \"scam\"?"
            } else {
                "Up, down or unchanged?"
            }
        },
        message: |input| Some(input.into()),
        redactor_version: "r1",
        scorer_version: "s1",
    };
    let source = golden_source();
    collect(plan(&source, &request, &context).unwrap().parts(&source).unwrap()).unwrap()
}

#[test]
fn json_lines_are_byte_for_byte_those_made_by_hand() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/export.jsonl");
    let golden = std::fs::read_to_string(path).unwrap();

    let exported = golden_export(Format::Jsonl);

    assert_eq!(golden, String::from_utf8(exported.data.clone()).unwrap());
    assert_eq!(blake3::hash(&exported.data).to_hex().as_str(), exported.manifest.dataset_id);
    assert_eq!(golden.len(), usize::try_from(exported.manifest.data_bytes).unwrap());
}

#[test]
fn the_manifest_counts_the_golden_lines() {
    let manifest = golden_export(Format::Jsonl).manifest;
    let counts = |map: &std::collections::BTreeMap<String, i64>| json!(map);

    assert_eq!(4, manifest.examples);
    assert_eq!(json!({"gold": 2, "silver": 1, "bronze": 1}), counts(&manifest.by_tier));
    assert_eq!(json!({"true": 1, "false": 1, "up": 1, "unchanged": 1}), counts(&manifest.by_label));
    assert_eq!(
        json!({"corrected": 1, "uncertain": 1, "success": 1, "failure": 1}),
        counts(&manifest.by_outcome)
    );
    assert_eq!(json!({"train": 3, "test": 1}), counts(&manifest.by_split));
    assert_eq!(json!({"scam_detection": 2, "trust_prediction": 2}), counts(&manifest.by_category));
    // (9501 + 6000 + 10000 + 7500) / 4 ten-thousandths.
    assert!((manifest.mean_quality - 0.825_025).abs() < 1e-12);
    assert_eq!((1, 1), (manifest.users, manifest.guilds));
    assert_eq!(("r1", "s1"), (&*manifest.redactor_version, &*manifest.scorer_version));
    let ids = "trust_prediction-2\nscam_detection-1\ntrust_prediction-1\nscam_detection-2\n";
    assert_eq!(blake3::hash(ids.as_bytes()).to_hex().as_str(), manifest.example_ids_digest);
    assert_eq!("all", manifest.request.unwrap().name);
}

/// A Parquet row in the form of a JSON line, but for `time`: milliseconds.
fn as_json(row: &Row) -> Value {
    let metadata = row.get_group(3).unwrap();
    let text = |index: usize| metadata.get_string(index).unwrap().clone();
    let optional = |index: usize| metadata.get_string(index).ok().cloned();
    json!({
        "input": row.get_string(0).unwrap(),
        "output": row.get_string(1).unwrap(),
        "system": row.get_string(2).unwrap(),
        "metadata": {
            "example_id": text(0), "category": text(1), "event_name": text(2), "label": text(3),
            "tier": text(4), "outcome": text(5), "split": text(6),
            "time": metadata.get_timestamp_millis(7).unwrap(),
            "user": optional(8), "guild": optional(9),
            "human_validated": metadata.get_bool(10).unwrap(),
            "rag_enhanced": metadata.get_bool(11).unwrap(),
            "corrected_twin": metadata.get_bool(12).unwrap(),
        },
        "quality": row.get_double(4).unwrap(),
    })
}

fn reader(data: &[u8]) -> SerializedFileReader<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    SerializedFileReader::new(file).unwrap()
}

fn parquet_rows(data: &[u8]) -> Vec<Value> {
    let reader = reader(data);
    assert_eq!(Some("becas-ft"), reader.metadata().file_metadata().created_by());
    reader.get_row_iter(None).unwrap().map(|row| as_json(&row.unwrap())).collect()
}

#[test]
fn parquet_holds_the_same_rows_in_the_same_order() {
    let lines = golden_export(Format::Jsonl);
    let times = [-1_i64, 1_789_282_175_247, 946_684_799_001, 0];
    let mut expected = lines.lines();
    for (line, time) in expected.iter_mut().zip(times) {
        line["metadata"]["time"] = json!(time);
    }

    let rows = golden_export(Format::Parquet);

    assert_eq!(expected, parquet_rows(&rows.data));
    assert_eq!(lines.ids, rows.ids);
    assert_eq!(blake3::hash(&rows.data).to_hex().as_str(), rows.manifest.dataset_id);
}

#[test]
fn a_large_dataset_comes_in_chunks_of_a_quarter_mebibyte() {
    // Texts of 2,000 letters each: 6 MB, over twenty chunks; ids in more than one run.
    let mut examples = labelled("true", 0, 5000);
    for (number, example) in (0_u32..).zip(&mut examples) {
        let long = format!("{} {}", message(number), "x".repeat(2000));
        example.input = Redacted::trusted(long);
    }
    let source = VecSource::of(examples);
    let of = |format: Format| {
        let request = ExportRequest { format: format as i32, ..request() };
        export(&source, &request).unwrap()
    };

    let lines = of(Format::Jsonl);
    let rows = of(Format::Parquet);

    let (last, full) = lines.chunks.split_last().unwrap();
    assert!(full.len() > 20);
    assert!(full.iter().all(|size| *size == 256 << 10), "{:?}", lines.chunks);
    assert!((1..=256 << 10).contains(last));
    assert_eq!(5000, lines.lines().len());
    assert_eq!(lines.ids, lines.metadata("example_id"));
    let inputs = |lines: Vec<Value>| -> Vec<Value> {
        lines.into_iter().map(|mut line| line["input"].take()).collect()
    };
    assert_eq!(inputs(lines.lines()), inputs(parquet_rows(&rows.data)));
    assert!(reader(&rows.data).num_row_groups() > 1);
}
