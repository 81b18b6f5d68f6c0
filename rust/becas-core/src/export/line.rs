//! One example as a dataset shows it.

use crate::{
    error::Result,
    proto::Split,
    store::{ExampleId, Record},
};

use super::numbers::io;

/// The columns of one line, in both formats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) id: ExampleId,
    pub(super) record: &'a Record<'a>,
    pub(super) system: &'a str,
    pub(super) split: Split,
}

/// The name of a side in lines and manifests.
pub(super) const fn split_name(split: Split) -> &'static str {
    match split {
        Split::Unspecified => "",
        Split::Train => "train",
        Split::Validation => "validation",
        Split::Test => "test",
    }
}

impl Line<'_> {
    /// Appends the line as JSON and LF: keys in this order, compact, every absent user or guild `null`.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) -> Result<()> {
        let example = &self.record.header;
        out.extend_from_slice(b"{\"input\":");
        string(out, self.record.input())?;
        out.extend_from_slice(b",\"output\":");
        string(out, self.record.output())?;
        out.extend_from_slice(b",\"system\":");
        string(out, self.system)?;
        out.extend_from_slice(b",\"metadata\":{\"example_id\":");
        string(out, &self.id.to_string())?;
        let constant: [(&str, &str); 7] = [
            ("category", example.category.name()),
            ("event_name", example.kind.name()),
            ("label", self.record.label()),
            ("tier", example.tier.name()),
            ("outcome", example.outcome.name()),
            ("split", split_name(self.split)),
            ("time", &time(example.time_ms)),
        ];
        for (key, value) in constant {
            key_of(out, key);
            string(out, value)?;
        }
        for (key, person) in [("user", example.user), ("guild", example.guild)] {
            key_of(out, key);
            match person {
                Some(pseudonym) => {
                    out.push(b'"');
                    out.extend_from_slice(&pseudonym.digits());
                    out.push(b'"');
                }
                None => out.extend_from_slice(b"null"),
            }
        }
        let flags = [
            ("human_validated", example.human_validated),
            ("rag_enhanced", example.rag_enhanced),
            ("corrected_twin", example.corrected_twin),
        ];
        for (key, flag) in flags {
            key_of(out, key);
            out.extend_from_slice(if flag { b"true" } else { b"false" });
        }
        let points = example.score.points();
        let quality = format!("}},\"quality\":{}.{:04}}}\n", points / 10_000, points % 10_000);
        out.extend_from_slice(quality.as_bytes());
        Ok(())
    }
}

fn key_of(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(out, text).map_err(io)
}

/// RFC 3339 in UTC, with milliseconds where they are not 0; outside of the years 1 to 9999 the nearest time in them.
fn time(time_ms: i64) -> String {
    let time_ms = time_ms.clamp(-62_135_596_800_000, 253_402_300_799_999);
    let millis = i32::try_from(time_ms.rem_euclid(1000)).unwrap_or_default();
    prost_types::Timestamp { seconds: time_ms.div_euclid(1000), nanos: millis * 1_000_000 }
        .to_string()
}
