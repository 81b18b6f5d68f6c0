//! What a member wrote, found again in a stored input.

use std::borrow::Cow;

/// The keys under which inputs show text that members wrote; under the others (`Case`, `Occurrence`, `Signs`,
/// `Updates`) stand a bot's own phrases, which repeat without being copies.
const KEYS: [&str; 3] = ["Message", "Request", "Text"];

/// The message of an input whose lines are `Key: JSON`; `None` where no line holds one.
pub fn message(input: &str) -> Option<Cow<'_, str>> {
    input.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        let text = value.strip_prefix('"')?.strip_suffix('"').filter(|_| KEYS.contains(&key))?;
        if text.contains('\\') {
            // What is no JSON is compared as it stands.
            Some(serde_json::from_str(value).map_or(Cow::Borrowed(text), Cow::Owned))
        } else {
            Some(Cow::Borrowed(text))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::message;
    use crate::{category::Category, draft::message_prompt, redact::Redacted};

    fn of(input: &str) -> Option<String> {
        message(input).map(std::borrow::Cow::into_owned)
    }

    #[test]
    fn what_the_prompt_shows_as_written_by_a_member_is_found_again_unchanged() {
        let written = "one \"two\" \\ three\n– é 🎁\tMessage: \"four\"";
        let of_members = Category::ALL
            .into_iter()
            .filter(|category| {
                let prompt = message_prompt(*category, Redacted::trusted(written));
                of(prompt.input.as_str()).is_some_and(|found| {
                    assert_eq!(written, found, "{category:?}");
                    true
                })
            })
            .count();

        // All but trust, moderation, network, profiles and precedents: there bots' phrases stand.
        assert_eq!(9, of_members);
    }

    #[test]
    fn only_what_members_wrote_is_a_message() {
        let cases = [
            ("Message: \"hi there\"\nContext: \"channel: trading\"", Some("hi there")),
            ("Policy: \"no ads\"\nMessage: \"buy\\n\\\"now\\\"\"", Some("buy\n\"now\"")),
            ("Request: \"roll a die\"", Some("roll a die")),
            ("Text: \"hej\"", Some("hej")),
            ("Trust: 88\nOccurrence: \"sustained ordinary activity\"", None),
            ("Case: \"spam\"", None),
            ("Context: \"Message: \\\"x\\\"\"", None),
            ("Message: broken", None),
            ("", None),
        ];
        for (input, expected) in cases {
            assert_eq!(expected.map(str::to_owned), of(input), "{input}");
        }
    }
}
