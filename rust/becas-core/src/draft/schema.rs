//! The schema of each category's output: as JSON schema, as words, and as a check.

use serde_json::{Map, Value as Json};

use super::{
    task::{Property, PropertyKind, task},
    value::{Line, Raw, RawLine, Value, quote},
};
use crate::category::Category;

/// Bytes of a label: enough for any name, too few to hide a text in.
const LABEL_BYTES: usize = 1024;
/// Bytes of a label that is a list.
const LIST_LABEL_BYTES: usize = 16_384;
/// Thirty years in milliseconds: above any duration, and below every id of Discord.
const MAX_INTEGER: i64 = 946_728_000_000;

/// An answer that keeps its category's schema, in the schema's order.
pub(super) struct Answer(pub(super) Vec<RawLine<'static>>);

/// The JSON schema of a category's output as text, since the order of the properties matters: a runtime that
/// samples under it must come to the label first. Only the label is required.
pub fn output_schema(category: Category) -> String {
    let properties: Vec<String> = task(category)
        .output
        .iter()
        .enumerate()
        .map(|(position, property)| property_schema(property, position == 0))
        .collect();
    format!(
        r#"{{"type":"object","properties":{{{}}},"required":["{}"],"additionalProperties":false}}"#,
        properties.join(","),
        category.label_key()
    )
}

fn property_schema(property: &Property, label: bool) -> String {
    let kind = match property.kind {
        PropertyKind::Text if label => r#""type":"string","minLength":1"#.to_owned(),
        PropertyKind::Text => r#""type":"string""#.to_owned(),
        PropertyKind::OneOf(values) => {
            let mut list = String::new();
            Value::Texts(values.to_vec()).write_json(&mut list);
            format!(r#""type":"string","enum":{list}"#)
        }
        PropertyKind::Flag => r#""type":"boolean""#.to_owned(),
        PropertyKind::Number { low, high } => {
            format!(r#""type":"number","minimum":{low},"maximum":{high}"#)
        }
        PropertyKind::Integer => r#""type":"integer","minimum":0"#.to_owned(),
        PropertyKind::Texts => {
            r#""type":"array","items":{"type":"string","minLength":1}"#.to_owned()
        }
    };
    let mut meaning = String::new();
    quote(property.meaning, &mut meaning);
    format!(r#""{}":{{{kind},"description":{meaning}}}"#, property.name)
}

/// The schema in words: `"isScam" (true or false: whether it is a scam), …`.
pub(super) fn in_words(category: Category) -> String {
    let words: Vec<String> = task(category)
        .output
        .iter()
        .map(|property| {
            let kind = match property.kind {
                PropertyKind::Text => "text".to_owned(),
                PropertyKind::OneOf(values) => values.join(", "),
                PropertyKind::Flag => "true or false".to_owned(),
                PropertyKind::Number { .. } => "number".to_owned(),
                PropertyKind::Integer => "integer".to_owned(),
                PropertyKind::Texts => "list of texts".to_owned(),
            };
            format!("\"{}\" ({kind}: {})", property.name, property.meaning)
        })
        .collect();
    words.join(", ")
}

/// The label's text form (`true`, `harassment`, `["a","b"]`) of an output that keeps its category's schema.
pub fn validate_output(category: Category, output: &str) -> Option<String> {
    let answer = read(category, &serde_json::from_str(output).ok()?)?;
    Some(label_text(&answer.0.first()?.value.map(|text| text.expose().to_owned())))
}

/// The text form of a label.
pub(crate) fn label_text<T: AsRef<str>>(label: &Value<T>) -> String {
    match label {
        Value::Text(text) => text.as_ref().to_owned(),
        Value::Texts(_) | Value::Number(_) | Value::Integer(_) | Value::Flag(_) => {
            let mut text = String::new();
            label.write_json(&mut text);
            text
        }
    }
}

/// The label of its text form; `None` where the category has no such label.
pub(crate) fn label_from_text(category: Category, text: &str) -> Option<RawLine<'static>> {
    let property = &task(category).output[0];
    let json = match property.kind {
        PropertyKind::Flag | PropertyKind::Texts => {
            serde_json::from_str(&text.trim().to_ascii_lowercase())
                .ok()
                .filter(|_| matches!(property.kind, PropertyKind::Flag))
                .or_else(|| serde_json::from_str(text).ok())?
        }
        PropertyKind::Text
        | PropertyKind::OneOf(_)
        | PropertyKind::Number { .. }
        | PropertyKind::Integer => Json::String(text.trim().to_owned()),
    };
    label(category, &json).and_then(|mut answer| answer.0.pop())
}

/// An answer that is a label alone.
pub(super) fn label(category: Category, label: &Json) -> Option<Answer> {
    let object = Map::from_iter([(category.label_key().to_owned(), label.clone())]);
    read(category, &Json::Object(object))
}

/// An object of the category's schema, put in the schema's order.
pub(super) fn read(category: Category, output: &Json) -> Option<Answer> {
    let object = output.as_object()?;
    let properties = task(category).output;
    if object.keys().any(|key| properties.iter().all(|property| property.name != key)) {
        return None;
    }
    let mut lines = Vec::new();
    for property in properties {
        if let Some(json) = object.get(property.name) {
            let value = value(json)?;
            if !fits(property, &value) {
                return None;
            }
            lines.push(Line { key: property.name, value });
        }
    }
    is_label(category, lines.first()?).then_some(Answer(lines))
}

fn value(json: &Json) -> Option<Value<Raw<'static>>> {
    Some(match json {
        Json::String(text) => Value::Text(text.clone().into()),
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Number(number.as_f64()?),
        },
        Json::Array(items) => {
            let texts: Option<_> =
                items.iter().map(|item| item.as_str().map(|text| text.to_owned().into())).collect();
            Value::Texts(texts?)
        }
        Json::Null | Json::Object(_) => return None,
    })
}

/// Whether a value may stand under a property.
pub(super) fn fits(property: &Property, value: &Value<Raw<'_>>) -> bool {
    match (property.kind, value) {
        (PropertyKind::Text, Value::Text(_)) | (PropertyKind::Flag, Value::Flag(_)) => true,
        (PropertyKind::OneOf(values), Value::Text(text)) => values.contains(&text.expose()),
        (PropertyKind::Number { low, high }, Value::Number(number)) => {
            (low..=high).contains(number)
        }
        #[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
        (PropertyKind::Number { low, high }, Value::Integer(number)) => {
            (low..=high).contains(&(*number as f64))
        }
        (PropertyKind::Integer, Value::Integer(number)) => (0..=MAX_INTEGER).contains(number),
        (PropertyKind::Texts, Value::Texts(texts)) => {
            texts.iter().all(|text| !text.expose().trim().is_empty())
        }
        _ => false,
    }
}

/// Whether a line is a label of the category: under its key, of its type, not empty, not a text in disguise.
pub(super) fn is_label(category: Category, line: &RawLine<'_>) -> bool {
    let filled = match &line.value {
        Value::Text(text) => !text.expose().trim().is_empty(),
        Value::Texts(_) | Value::Number(_) | Value::Integer(_) | Value::Flag(_) => true,
    };
    let bytes: usize = line.value.texts().iter().map(|text| text.expose().len()).sum();
    let limit = match line.value {
        Value::Texts(_) => LIST_LABEL_BYTES,
        Value::Text(_) | Value::Number(_) | Value::Integer(_) | Value::Flag(_) => LABEL_BYTES,
    };
    line.key == category.label_key()
        && filled
        && bytes <= limit
        && fits(&task(category).output[0], &line.value)
}
