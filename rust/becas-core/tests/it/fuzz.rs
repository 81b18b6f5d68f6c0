//! A short run of the fuzz targets over their corpora and changed copies of them; the long one is `make fuzz`.

#[expect(
    clippy::cast_possible_truncation,
    unreachable_pub,
    reason = "shared with the fuzz targets, a crate of their own"
)]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::{fs, path::Path};

use proptest::{prelude::*, sample::Index};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A corpus entry, some of its bytes changed, doubled, cut out, or taken from another entry.
fn changed(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let corpus = corpus(target);
    assert!(corpus.len() >= 10);
    let entry = prop::sample::select(corpus);
    let change = (any::<Index>(), any::<Index>(), prop::collection::vec(any::<u8>(), 0..6));
    (entry.clone(), entry, prop::collection::vec((change, 0_u8..4), 0..5)).prop_map(
        |(mut bytes, other, changes)| {
            for ((from, to, new), how) in changes {
                let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
                let range = from.min(to)..from.max(to);
                let within: Vec<u8> = bytes[range.clone()].to_vec();
                match how {
                    0 => drop(bytes.splice(from..from, new)),
                    1 => drop(bytes.splice(range, new)),
                    2 => drop(bytes.splice(from..from, within)),
                    _ => {
                        let end = other.len().min(range.end);
                        let start = range.start.min(end);
                        drop(bytes.splice(range, other[start..end].iter().copied()));
                    }
                }
            }
            bytes
        },
    )
}

#[test]
fn every_corpus_entry_is_survived() {
    for (target, run) in [
        ("decode", targets::decode as fn(&[u8])),
        ("json", targets::json),
        ("redact", targets::redact),
    ] {
        for entry in corpus(target) {
            run(&entry);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn any_event_is_survived(bytes in changed("decode")) {
        targets::decode(&bytes);
    }

    #[test]
    fn any_line_of_json_is_survived(bytes in changed("json")) {
        targets::json(&bytes);
    }

    #[test]
    fn any_text_is_redacted(bytes in changed("redact")) {
        targets::redact(&bytes);
    }
}
