//! The bots' JSON (`{eventName, metadata, payload, evidence}`) to events, by the table of fields.

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use serde_json::{Map, Value};

use crate::{
    category::EventKind,
    event::{Code, Field, Invalid, Kind, MESSAGES},
    proto, timestamp,
};

/// A line of bots' JSON.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// `metadata.eventId` as it was sent, for the receipt; empty where it cannot be told.
    pub event_id: String,
    /// The event, or why there is none.
    pub event: Result<proto::Event, Invalid>,
    /// Fields that the protos do not know; they are ignored.
    pub unknown_fields: u64,
}

/// The event of a line.
pub fn event_from_json(line: &str) -> Result<proto::Event, Invalid> {
    parse(line).event
}

/// The event of a line, its id and its unknown fields.
pub fn parse(line: &str) -> Parsed {
    let mut unknown_fields = 0;
    let object = match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Parsed::failed(wrong_type("event", "an object")),
        // The parser's own message could quote the line.
        Err(error) => {
            return Parsed::failed(Invalid::new(
                Code::Malformed,
                "event",
                format!("send one JSON object a line; it breaks at column {}", error.column()),
            ));
        }
    };
    let event_id = object
        .get("metadata")
        .and_then(|metadata| metadata.get("eventId"))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let event = event(&object, &mut unknown_fields);
    Parsed { event_id, event, unknown_fields }
}

impl Parsed {
    fn failed(invalid: Invalid) -> Self {
        Self { event_id: String::new(), event: Err(invalid), unknown_fields: 0 }
    }
}

fn event(object: &Map<String, Value>, unknown: &mut u64) -> Result<proto::Event, Invalid> {
    let kind = event_kind(object)?;
    let mut bytes = Vec::new();
    *unknown += object
        .keys()
        .filter(|key| !matches!(key.as_str(), "eventName" | "metadata" | "payload" | "evidence"))
        .count() as u64;
    let time = metadata(object, &mut bytes, unknown)?;
    if let Some(evidence) = object.get("evidence").filter(|value| !value.is_null()) {
        let field = envelope_field("evidence");
        encode(evidence, field, "evidence", &mut bytes, unknown)?;
    }
    let payload =
        object.get("payload").filter(|value| !value.is_null()).ok_or_else(|| missing("payload"))?;
    required_flag(kind, payload)?;
    encode(
        payload,
        envelope_field(&kind.name().replace('.', "_")),
        "payload",
        &mut bytes,
        unknown,
    )?;
    let mut event = proto::Event::decode(bytes.as_slice()).map_err(|_| {
        Invalid::new(Code::Malformed, "event", "send the fields of becas.ft.v1.Event")
    })?;
    event.time = time;
    Ok(event)
}

fn event_kind(object: &Map<String, Value>) -> Result<EventKind, Invalid> {
    let name = match object.get("eventName") {
        None | Some(Value::Null) => return Err(missing("eventName")),
        Some(Value::String(name)) => name,
        Some(_) => return Err(wrong_type("eventName", "a string")),
    };
    EventKind::from_name(name).ok_or_else(|| {
        Invalid::new(
            Code::UnknownEvent,
            "eventName",
            "send the name of an event that this service consumes, such as scam.detected",
        )
    })
}

/// Encodes what stands in the envelope; the time is returned, since JSON has it as text.
fn metadata(
    object: &Map<String, Value>,
    bytes: &mut Vec<u8>,
    unknown: &mut u64,
) -> Result<Option<prost_types::Timestamp>, Invalid> {
    let metadata = match object.get("metadata") {
        None | Some(Value::Null) => return Err(missing("metadata.eventId")),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return Err(wrong_type("metadata", "an object")),
    };
    let mut time = None;
    let mut identified = false;
    for (key, value) in metadata {
        if value.is_null() {
            continue;
        }
        let path = format!("metadata.{}", shown(key));
        match key.as_str() {
            "timestamp" => {
                let text = value.as_str().ok_or_else(|| wrong_type(&path, "a string"))?;
                time = Some(timestamp::parse(text).ok_or_else(|| {
                    Invalid::new(
                        Code::OutOfRange,
                        path,
                        "send ISO 8601, such as 2026-09-13T06:49:35.247Z, from 1970 to 9999",
                    )
                })?);
            }
            "eventId" | "correlationId" | "causationId" | "userId" | "guildId" => {
                identified |= key == "eventId" && value.as_str() != Some("");
                let field = MESSAGES[0].fields.iter().find(|field| field.json == key);
                if let Some(field) = field {
                    encode(value, field, &path, bytes, unknown)?;
                }
            }
            _ => *unknown += 1,
        }
    }
    if identified { Ok(time) } else { Err(missing("metadata.eventId")) }
}

/// A label that is a yes or no must be said: in protobuf an absent one reads as no, in JSON it is a mistake.
fn required_flag(kind: EventKind, payload: &Value) -> Result<(), Invalid> {
    let path: &[&str] = match kind {
        EventKind::ScamDetected => &["analysis", "isScam"],
        EventKind::PolicyEvaluated => &["evaluation", "violates"],
        EventKind::ToolExecuted => &["success"],
        EventKind::ViolationDetected
        | EventKind::IntentAnalyzed
        | EventKind::TrustScoreChanged
        | EventKind::ModerationActionExecuted
        | EventKind::SentimentAnalyzed
        | EventKind::LanguageDetected
        | EventKind::NetworkRaidDetected
        | EventKind::NetworkBotPattern
        | EventKind::UserProfileUpdated
        | EventKind::WorkflowParsed
        | EventKind::AiCorrection
        | EventKind::RagContextEnhanced
        | EventKind::RagSuspiciousSimilarity
        | EventKind::CustomExample => return Ok(()),
    };
    let found = path.iter().try_fold(payload, |value, key| value.get(key));
    match found {
        None | Some(Value::Null) => Err(missing(&format!("payload.{}", path.join(".")))),
        Some(_) => Ok(()),
    }
}

fn envelope_field(name: &str) -> &'static Field {
    // A kind without a field in the table would be a proto that was changed without its closed set; the last
    // field then takes the payload and validation refuses it. The closed sets are compared in a test.
    let fields = MESSAGES[0].fields;
    fields.iter().find(|field| field.name == name).unwrap_or(&fields[fields.len() - 1])
}

/// Appends a value in the wire format; nulls are absent.
fn encode(
    value: &Value,
    field: &Field,
    path: &str,
    bytes: &mut Vec<u8>,
    unknown: &mut u64,
) -> Result<(), Invalid> {
    if field.repeated {
        let values = value.as_array().ok_or_else(|| wrong_type(path, "a list"))?;
        return values.iter().enumerate().try_for_each(|(position, value)| {
            encode_one(value, field, &format!("{path}[{position}]"), bytes, unknown)
        });
    }
    encode_one(value, field, path, bytes, unknown)
}

fn encode_one(
    value: &Value,
    field: &Field,
    path: &str,
    bytes: &mut Vec<u8>,
    unknown: &mut u64,
) -> Result<(), Invalid> {
    match field.kind {
        Kind::Double => {
            let number = value.as_f64().ok_or_else(|| wrong_type(path, "a number"))?;
            encode_key(field.number, WireType::SixtyFourBit, bytes);
            bytes.extend(number.to_le_bytes());
        }
        Kind::Integer => {
            let number = integer(value).ok_or_else(|| wrong_type(path, "an integer"))?;
            varint(field.number, number.cast_unsigned(), bytes);
        }
        Kind::Bool => {
            let flag = value.as_bool().ok_or_else(|| wrong_type(path, "true or false"))?;
            varint(field.number, u64::from(flag), bytes);
        }
        Kind::Text => {
            let text = value.as_str().ok_or_else(|| wrong_type(path, "a string"))?;
            delimited(field.number, text.as_bytes(), bytes);
        }
        Kind::Enum(values) => {
            let name = value.as_str().ok_or_else(|| wrong_type(path, "a string"))?;
            let number = enum_number(values, name).ok_or_else(|| {
                Invalid::new(Code::UnknownValue, path, format!("send one of {}", names(values)))
            })?;
            varint(field.number, i64::from(number).cast_unsigned(), bytes);
        }
        Kind::Message(index) => {
            let message = &MESSAGES[index];
            let object = value.as_object().ok_or_else(|| wrong_type(path, "an object"))?;
            // A tool's answer is free-form and never stored.
            if message.name == ".google.protobuf.Struct" {
                return Ok(());
            }
            let mut inner = Vec::new();
            for (key, value) in object {
                match message.fields.iter().find(|field| field.json == key) {
                    Some(_) if value.is_null() => {}
                    Some(field) => {
                        let path = format!("{path}.{}", field.json);
                        encode(value, field, &path, &mut inner, unknown)?;
                    }
                    None => *unknown += 1,
                }
            }
            delimited(field.number, &inner, bytes);
        }
    }
    Ok(())
}

fn varint(number: u32, value: u64, bytes: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, bytes);
    encode_varint(value, bytes);
}

fn delimited(number: u32, value: &[u8], bytes: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, bytes);
    encode_varint(value.len() as u64, bytes);
    bytes.extend(value);
}

/// An integer, also where JavaScript wrote it as 3.0 or 1e3.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        // Above 2^53 a double no longer tells integers apart.
        let number = value.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
    })
}

/// `success`, or in full `OUTCOME_SUCCESS`.
fn enum_number(values: &[(&'static str, i32)], name: &str) -> Option<i32> {
    values
        .iter()
        .find(|(full, number)| *number != 0 && (*full == name || short(full) == name))
        .map(|(_, number)| *number)
}

fn short(full: &str) -> String {
    full.split_once('_').map_or(full, |(_, rest)| rest).to_lowercase()
}

fn names(values: &[(&'static str, i32)]) -> String {
    let names: Vec<String> =
        values.iter().filter(|(_, number)| *number != 0).map(|(full, _)| short(full)).collect();
    names.join(", ")
}

/// Keys of `metadata` that are no field could hold anything: they are not repeated in a reason.
fn shown(key: &str) -> &str {
    match key {
        "timestamp" | "eventId" | "correlationId" | "causationId" | "userId" | "guildId" => key,
        _ => "*",
    }
}

fn missing(path: &str) -> Invalid {
    Invalid::new(Code::MissingField, path, "required: send a value that is not empty")
}

fn wrong_type(path: &str, expected: &str) -> Invalid {
    Invalid::new(Code::WrongType, path, format!("send {expected}"))
}
