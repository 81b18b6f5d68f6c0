//! Personal data written so that patterns miss it: `evasion.tsv` has a case a line.

use super::redact;

/// A name, the text, and what is to be left of it, apart by tabs; `\n` and `\u{200b}` as in Rust.
const TABLE: &str = include_str!("evasion.tsv");

struct Case {
    name: &'static str,
    text: String,
    expected: String,
}

fn cases() -> Vec<Case> {
    TABLE
        .lines()
        .map(|line| {
            let mut cells = line.split('\t');
            let mut cell = || cells.next().unwrap_or_else(|| panic!("three cells: {line}"));
            Case { name: cell(), text: plain(cell()), expected: plain(cell()) }
        })
        .collect()
}

fn plain(cell: &str) -> String {
    let mut parts = cell.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = if let Some(rest) = part.strip_prefix('n') {
            ('\n', rest)
        } else {
            let (code, rest) = part.strip_prefix("u{").unwrap().split_once('}').unwrap();
            (u32::from_str_radix(code, 16).ok().and_then(char::from_u32).unwrap(), rest)
        };
        text.push(character);
        text.push_str(rest);
    }
    text
}

#[test]
fn no_disguise_hides_personal_data() {
    let cases = cases();
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| redact(&case.text) != case.expected)
        .map(|case| format!("{}: {:?} gave {:?}", case.name, case.text, redact(&case.text)))
        .collect();

    assert!(cases.len() >= 200, "{}", cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

// What an attacker wants is the secret, so no run of eight of its characters may be left, however it was written.
#[test]
fn nothing_of_a_disguised_secret_is_left_and_nothing_more_is_found_in_the_rest() {
    for case in cases() {
        let redacted = redact(&case.text);
        let written: Vec<char> = case.text.chars().filter(|one| one.is_alphanumeric()).collect();
        let left: String = redacted.chars().filter(|one| one.is_alphanumeric()).collect();
        for part in written.windows(8) {
            let part: String = part.iter().collect();
            assert!(!left.contains(&part), "{}: {part} in {redacted:?}", case.name);
        }
        assert_eq!(redacted, redact(&redacted), "{}", case.name);
    }
}
