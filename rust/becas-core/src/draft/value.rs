//! What a draft is made of: named values, whose text is raw before redaction and redacted after it.

use std::{borrow::Cow, fmt};

use super::plain;

/// Text as a bot sent it. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw<'a>(Cow<'a, str>);

impl Raw<'_> {
    /// The text, for the redactor and for scoring.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("****")
    }
}

impl<'a> From<&'a str> for Raw<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Raw<'a> {
    fn from(text: &'a String) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Raw<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

/// A value of an input or an output; `T` is the form of its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<T> {
    /// A text.
    Text(T),
    /// A list of texts.
    Texts(Vec<T>),
    /// A number, shown with at most four decimals.
    Number(f64),
    /// An integer.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
}

/// A value and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<T> {
    /// The name: `Message` in an input, `isScam` in an output.
    pub key: &'static str,
    /// The value.
    pub value: Value<T>,
}

/// A line of raw text.
pub type RawLine<'a> = Line<Raw<'a>>;

impl<T> Value<T> {
    /// The same value with each text in another form.
    pub(crate) fn map<U>(&self, mut form: impl FnMut(&T) -> U) -> Value<U> {
        match self {
            Self::Text(text) => Value::Text(form(text)),
            Self::Texts(texts) => Value::Texts(texts.iter().map(form).collect()),
            Self::Number(number) => Value::Number(*number),
            Self::Integer(number) => Value::Integer(*number),
            Self::Flag(flag) => Value::Flag(*flag),
        }
    }

    /// Every text in it.
    pub(crate) fn texts(&self) -> &[T] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::Texts(texts) => texts,
            Self::Number(_) | Self::Integer(_) | Self::Flag(_) => &[],
        }
    }
}

impl<T> Line<T> {
    /// The same line with each text in another form.
    pub(crate) fn map<U>(&self, form: impl FnMut(&T) -> U) -> Line<U> {
        Line { key: self.key, value: self.value.map(form) }
    }
}

impl<T: AsRef<str>> Value<T> {
    /// Appends the value as compact JSON.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Text(text) => quote(text.as_ref(), out),
            Self::Texts(texts) => {
                out.push('[');
                for (position, text) in texts.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    quote(text.as_ref(), out);
                }
                out.push(']');
            }
            Self::Number(number) => out.push_str(&decimal(*number)),
            Self::Integer(number) => out.push_str(&number.to_string()),
            Self::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
        }
    }
}

impl<'a> RawLine<'a> {
    pub(super) fn text(key: &'static str, text: impl Into<Raw<'a>>) -> Self {
        Self { key, value: Value::Text(text.into()) }
    }

    pub(super) fn texts(key: &'static str, texts: &'a [String]) -> Self {
        Self { key, value: Value::Texts(texts.iter().map(Raw::from).collect()) }
    }

    pub(super) const fn number(key: &'static str, number: f64) -> Self {
        Self { key, value: Value::Number(number) }
    }

    pub(super) const fn integer(key: &'static str, number: i64) -> Self {
        Self { key, value: Value::Integer(number) }
    }

    pub(super) const fn flag(key: &'static str, flag: bool) -> Self {
        Self { key, value: Value::Flag(flag) }
    }
}

/// Appends a text as a JSON string.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut clean = 0;
    while let Some(length) = plain::position(&text.as_bytes()[clean..], is_escaped) {
        let position = clean + length;
        out.push_str(&text[clean..position]);
        let byte = text.as_bytes()[position];
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            _ => {
                out.push_str(if byte < 0x10 { "\\u000" } else { "\\u001" });
                out.push(char::from_digit(u32::from(byte & 0xf), 16).unwrap_or('0'));
            }
        }
        clean = position + 1;
    }
    out.push_str(&text[clean..]);
    out.push('"');
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "a jump in it would keep blocks from being vectors"
)]
const fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// At most four decimals; no negative zero, no exponent. The values that come here are finite and at most 100.
fn decimal(number: f64) -> String {
    let rounded = (number * 10_000.0).round() / 10_000.0;
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}
