//! The answer to GetTrainingStats, as bytes.

use becas_core::{Message as _, config::Config, engine::Engine, proto::event::Payload};

use crate::events::{NOW, encoded, event, request, violation};

#[test]
fn the_same_statistics_are_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::open(directory.path(), None, Config::default()).unwrap();
    let rejected = encoded(&event(Payload::ViolationDetected(violation(0.1))));
    engine.ingest(&request(&[rejected]), NOW, true, None).unwrap();

    let first = engine.stats().unwrap();
    assert!(first.rejected_by_reason.len() > 3, "few orders would prove little: {first:?}");
    for _ in 0..20 {
        assert_eq!(first.encode_to_vec(), engine.stats().unwrap().encode_to_vec());
    }
    assert_eq!(first.encode_to_vec(), engine.recount().unwrap().encode_to_vec());
}
