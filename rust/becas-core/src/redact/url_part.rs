//! Which parts of a URL's path are tokens and which are words.

/// From this many digits on, a number names something.
const LONG_NUMBER: usize = 6;
/// Longer than any word that a path is made of.
const LONG_WORD: usize = 25;
/// Digits that a word may begin or end with: `covid19`, `mp3`, `2nd`.
const FEW_DIGITS: usize = 3;
/// Shorter mixtures of letters and digits tell nothing.
const SHORT: usize = 5;

/// Whether a path part holds something that is no plain word: an id, a key, an encoded address.
pub(super) fn is_token(part: &[u8]) -> bool {
    part.windows(3).any(|three| three.eq_ignore_ascii_case(b"%40"))
        || part.contains(&b'@')
        || part.split(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric()).any(is_token_word)
}

fn is_token_word(word: &[u8]) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == word.len() {
        return digits >= LONG_NUMBER;
    }
    if digits == 0 {
        return word.len() >= LONG_WORD && word.is_ascii() || is_shuffled(word);
    }
    let at_start = word.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let at_end = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let numbered = digits == at_start || digits == at_end;
    word.len() >= SHORT && !(numbered && digits <= FEW_DIGITS && !is_shuffled(word))
}

/// Capitals in the middle of words, as in `dQwWgXcQ`; `GettingStarted` and `JavaScript` are words.
fn is_shuffled(word: &[u8]) -> bool {
    let rises = word
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .count();
    rises >= 2 && word.len() < 3 * (rises + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_tokens_go() {
        for word in [
            "",
            "index.html",
            "GettingStarted",
            "covid19",
            "2nd",
            "page2",
            "2024",
            "05",
            "v2",
            "how-to-redact",
            "mp3",
            "über-uns",
            "JavaScript",
            "top10",
            "iPhone",
            "free-nitro",
        ] {
            assert!(!is_token(word.as_bytes()), "{word}");
        }
        for token in [
            "dQw4w9WgXcQ",
            "3xYzAbC",
            "550e8400-e29b-41d4-a716-446655440000",
            "123456",
            "alice%40example.com",
            "a@b",
            "deadbeefdeadbeefdeadbeefdeadbeef",
            "kJhGfDsAqWe",
            "u1829304",
        ] {
            assert!(is_token(token.as_bytes()), "{token}");
        }
    }
}
