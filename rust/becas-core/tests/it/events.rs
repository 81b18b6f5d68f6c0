//! Events for tests, and the pipeline that they go through.

use becas_core::{
    config::Config,
    event::Invalid,
    example::{Example, Prepared, Verdict},
    pipeline::Pipeline,
    proto::{self, event::Payload},
    pseudonym::Key,
};
use prost::Message as _;

pub(crate) const NOW: i64 = 1_790_000_000_000;

pub(crate) fn pipeline() -> Pipeline {
    Pipeline::new(Config::default(), Key::new([7; 32]))
}

pub(crate) fn event(payload: Payload) -> proto::Event {
    proto::Event {
        event_id: "evt-1".to_owned(),
        user_id: "700000000000000123".to_owned(),
        guild_id: "600000000000000456".to_owned(),
        payload: Some(payload),
        ..proto::Event::default()
    }
}

/// A violation of a given confidence, with nothing else that counts.
pub(crate) fn violation(confidence: f64) -> proto::ViolationDetected {
    proto::ViolationDetected {
        violation_type: "spam".to_owned(),
        confidence,
        evidence: "buy now".to_owned(),
        ..proto::ViolationDetected::default()
    }
}

pub(crate) fn scam(text: &str, is_scam: bool) -> proto::ScamDetected {
    proto::ScamDetected {
        text: text.to_owned(),
        analysis: Some(proto::ScamAnalysis {
            is_scam,
            confidence: 1.0,
            reasoning: words(50),
            ..proto::ScamAnalysis::default()
        }),
    }
}

/// A text of so many code points, each of two bytes.
pub(crate) fn words(code_points: usize) -> String {
    "é".repeat(code_points)
}

pub(crate) fn prepare(event: &proto::Event) -> Result<Prepared, Invalid> {
    pipeline().prepare(event, NOW, true)
}

/// The example of an event that has one.
pub(crate) fn example(event: &proto::Event) -> Example {
    match prepare(event).unwrap().verdict {
        Verdict::Example(example) => *example,
        Verdict::Rejected(reasons) => panic!("rejected: {reasons:?}"),
    }
}

/// An encoded IngestRequest of raw events.
pub(crate) fn request(events: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        bytes.push(0x0a);
        prost::encoding::encode_varint(event.len() as u64, &mut bytes);
        bytes.extend(event);
    }
    bytes
}

pub(crate) fn encoded(event: &proto::Event) -> Vec<u8> {
    event.encode_to_vec()
}
