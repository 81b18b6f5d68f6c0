//! A request's bytes to events, each by itself, so that a broken one spoils no other.

use prost::Message as _;

use super::{
    invalid::{Code, Invalid},
    wire,
};
use crate::{
    config::Limits,
    error::{Error, Result},
    proto,
};

/// The bytes of one event of a request.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a>(&'a [u8]);

impl<'a> Frame<'a> {
    /// The encoded event.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The event id as it was sent, for the receipt of an event that cannot be decoded; empty where it cannot be told.
    pub fn event_id(self) -> String {
        let mut bytes = self.0;
        let mut found = "";
        while let Some((number, wire_type)) = wire::tag_of(&mut bytes) {
            if number == 1 && wire_type == 2 {
                let Some(value) = wire::value_of(&mut bytes) else { break };
                // Of a field that occurs more than once the last one counts.
                found = std::str::from_utf8(value).unwrap_or_default();
            } else if !wire::pass(&mut bytes, number, wire_type) {
                break;
            }
        }
        found.to_owned()
    }
}

/// Splits an encoded IngestRequest into its events, and counts the request's own unknown fields.
///
/// # Errors
/// `InvalidArgument` where the bytes are no IngestRequest, or hold more events than a request may.
pub fn frames<'a>(mut request: &'a [u8], limits: &Limits) -> Result<(Vec<Frame<'a>>, u64)> {
    let malformed = || Error::InvalidArgument {
        field: "request".to_owned(),
        problem: "not an IngestRequest: send becas.ft.v1.IngestRequest encoded by protobuf"
            .to_owned(),
    };
    let mut events = Vec::new();
    let mut unknown = 0;
    while !request.is_empty() {
        let (number, wire_type) = wire::tag_of(&mut request).ok_or_else(malformed)?;
        match (number, wire_type) {
            (1, 2) => {
                if events.len() == limits.batch_events {
                    return Err(Error::InvalidArgument {
                        field: "events".to_owned(),
                        problem: format!("send at most {} events at once", limits.batch_events),
                    });
                }
                events.push(Frame(wire::value_of(&mut request).ok_or_else(malformed)?));
            }
            (1, _) => return Err(malformed()),
            _ => {
                unknown += 1;
                if !wire::pass(&mut request, number, wire_type) {
                    return Err(malformed());
                }
            }
        }
    }
    Ok((events, unknown))
}

/// One event, and how many of its fields are unknown; they are ignored.
pub fn decode(
    frame: Frame<'_>,
    limits: &Limits,
) -> std::result::Result<(proto::Event, u64), Invalid> {
    if frame.0.len() > limits.event_bytes {
        return Err(Invalid::new(
            Code::TooLarge,
            "event",
            format!("send at most {} bytes", limits.event_bytes),
        ));
    }
    let event = proto::Event::decode(frame.0).map_err(|_| {
        // The decoder knows that something is broken; the walk names it.
        wire::check(frame.0, false).err().unwrap_or_else(|| {
            Invalid::new(Code::Malformed, "event", "send a becas.ft.v1.Event encoded by protobuf")
        })
    })?;
    let unknown = wire::check(frame.0, true)?;
    Ok((event, unknown))
}
