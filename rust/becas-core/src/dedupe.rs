//! The digest of an input: equal for the same message under the same category, whatever surrounds it.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use unicode_normalization::UnicodeNormalization as _;

use crate::{
    category::Category,
    draft::{Line, Value},
    example::InputDigest,
    pseudonym::{Key, truncated},
    redact::Redacted,
};

/// Ends a value, and an item of a list; normalised text has no controls.
const END: u8 = 0x1f;
const END_ITEM: u8 = 0x1e;

/// The digest of a category and the redacted core of its input, without context and label.
pub fn input_digest(key: &Key, category: Category, core: &[Line<Redacted>]) -> InputDigest {
    in_category(core_digest(key, core), category)
}

/// The digest of a core under any category. Keyed, so that a stored digest cannot confirm a guessed message.
/// The names of the lines are left out: a message alone has one digest, whichever name its category gives it.
pub(crate) fn core_digest(key: &Key, core: &[Line<Redacted>]) -> InputDigest {
    let mut bytes = Vec::with_capacity(256);
    for line in core {
        match &line.value {
            Value::Text(text) => normalise(text.as_str(), &mut bytes),
            Value::Texts(texts) => {
                for text in texts {
                    normalise(text.as_str(), &mut bytes);
                    bytes.push(END_ITEM);
                }
            }
            Value::Number(_) | Value::Integer(_) | Value::Flag(_) => {
                let mut json = String::new();
                line.value.write_json(&mut json);
                bytes.extend(json.bytes());
            }
        }
        bytes.push(END);
    }
    key.digest(&bytes)
}

/// The digest of a core under one category. The core's own is keyed already.
pub(crate) fn in_category(core: InputDigest, category: Category) -> InputDigest {
    let mut named = [category as u8; 1 + size_of::<InputDigest>()];
    named[1..].copy_from_slice(&core);
    truncated(blake3::Hasher::new_from_context_key(&CONTEXT).update(&named).finalize())
}

static CONTEXT: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("becas-ft 2026 input digest of a category"));

/// NFKC, lower case, runs of white space as one blank, none at the ends.
fn normalise(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.reserve(text.len() + 1);
    if text.is_ascii() {
        let mut after_white = true;
        for byte in text.bytes() {
            let white = byte.is_ascii_whitespace();
            if !white {
                out.push(byte.to_ascii_lowercase());
            } else if !after_white {
                out.push(b' ');
            }
            after_white = white;
        }
    } else {
        let mut buffer = [0; 4];
        for character in text.nfkc().flat_map(char::to_lowercase) {
            push(
                character.is_whitespace(),
                character.encode_utf8(&mut buffer).as_bytes(),
                start,
                out,
            );
        }
    }
    if out.len() > start && out.last() == Some(&b' ') {
        out.pop();
    }
}

fn push(white: bool, bytes: &[u8], start: usize, out: &mut Vec<u8>) {
    if !white {
        out.extend(bytes);
    } else if out.len() > start && out.last() != Some(&b' ') {
        out.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::{input_digest, normalise};
    use crate::{
        category::Category,
        draft::{Line, Value},
        pseudonym::Key,
        redact::Redacted,
    };

    fn normalised(text: &str) -> String {
        let mut out = b"before ".to_vec();
        normalise(text, &mut out);
        String::from_utf8_lossy(&out[7..]).into_owned()
    }

    #[test]
    fn white_space_case_and_compatibility_forms_do_not_count() {
        for (text, expected) in [
            ("  Free   NITRO \n now\t", "free nitro now"),
            ("ＦＲＥＥ　ｎｉｔｒｏ", "free nitro"),
            ("Straße ﬁne", "straße fine"),
            ("É\u{a0}E\u{301}", "é é"),
            ("", ""),
            (" \n ", ""),
        ] {
            assert_eq!(expected, normalised(text));
        }
    }

    #[test]
    fn values_cannot_run_into_each_other() {
        let key = Key::new([7; 32]);
        let digest = |texts: &[&str]| {
            let core: Vec<_> = texts
                .iter()
                .map(|text| Line { key: "Message", value: Value::Text(Redacted::trusted(*text)) })
                .collect();
            input_digest(&key, Category::PolicyInterpretation, &core)
        };

        assert_eq!(digest(&["a b", "c"]), digest(&["A  b", " C "]));
        assert_ne!(digest(&["a b", "c"]), digest(&["a", "b c"]));
        assert_ne!(digest(&["a"]), digest(&["a", ""]));
    }

    #[test]
    fn categories_and_keys_tell_inputs_apart() {
        let core = [Line { key: "Message", value: Value::Text(Redacted::trusted("hi")) }];
        let [one, two] = [Key::new([1; 32]), Key::new([2; 32])];
        let scam = input_digest(&one, Category::ScamDetection, &core);

        assert_ne!(scam, input_digest(&one, Category::ViolationDetection, &core));
        assert_ne!(scam, input_digest(&two, Category::ScamDetection, &core));
    }
}
