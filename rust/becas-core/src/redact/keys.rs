//! Keys and tokens of services, by their prefixes, and what follows words such as `password:`.

use std::{ops::Range, sync::LazyLock};

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::{memchr2_iter, memmem};

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
    tokens::is_word,
};

/// A prefix and how many characters follow it at least.
struct Prefix {
    text: &'static str,
    least: usize,
    /// Which characters follow.
    alphabet: fn(u8) -> bool,
}

const fn prefix(text: &'static str, least: usize, alphabet: fn(u8) -> bool) -> Prefix {
    Prefix { text, least, alphabet }
}

/// Where the prefixes are documented by the services; lengths are those of secret scanners, a little shorter so that
/// cut keys count.
static PREFIXES: [Prefix; 57] = [
    prefix("AKIA", 12, is_upper),
    prefix("ASIA", 12, is_upper),
    prefix("ABIA", 12, is_upper),
    prefix("ACCA", 12, is_upper),
    prefix("AIza", 30, is_word),
    prefix("ya29.", 20, is_word),
    prefix("GOCSPX-", 20, is_word),
    prefix("ghp_", 20, is_alphanumeric),
    prefix("gho_", 20, is_alphanumeric),
    prefix("ghu_", 20, is_alphanumeric),
    prefix("ghs_", 20, is_alphanumeric),
    prefix("ghr_", 20, is_alphanumeric),
    prefix("github_pat_", 20, is_word),
    prefix("glpat-", 16, is_word),
    prefix("gldt-", 16, is_word),
    prefix("xoxb-", 10, is_word),
    prefix("xoxp-", 10, is_word),
    prefix("xoxa-", 10, is_word),
    prefix("xoxr-", 10, is_word),
    prefix("xoxs-", 10, is_word),
    prefix("xoxe-", 10, is_word),
    prefix("xoxe.", 10, is_dotted),
    prefix("xapp-", 10, is_word),
    prefix("sk_live_", 10, is_alphanumeric),
    prefix("sk_test_", 10, is_alphanumeric),
    prefix("pk_live_", 10, is_alphanumeric),
    prefix("pk_test_", 10, is_alphanumeric),
    prefix("rk_live_", 10, is_alphanumeric),
    prefix("rk_test_", 10, is_alphanumeric),
    prefix("whsec_", 16, is_base64),
    prefix("sk-", 20, is_word),
    prefix("hf_", 20, is_alphanumeric),
    prefix("npm_", 20, is_alphanumeric),
    prefix("pypi-", 20, is_word),
    prefix("SG.", 30, is_dotted),
    prefix("dop_v1_", 20, is_alphanumeric),
    prefix("doo_v1_", 20, is_alphanumeric),
    prefix("shpat_", 20, is_alphanumeric),
    prefix("shpss_", 20, is_alphanumeric),
    prefix("shpca_", 20, is_alphanumeric),
    prefix("sq0atp-", 16, is_word),
    prefix("sq0csp-", 16, is_word),
    prefix("dapi", 28, is_alphanumeric),
    prefix("PMAK-", 20, is_word),
    prefix("lin_api_", 20, is_alphanumeric),
    prefix("ntn_", 20, is_alphanumeric),
    prefix("r8_", 20, is_alphanumeric),
    prefix("gsk_", 20, is_alphanumeric),
    prefix("AGE-SECRET-KEY-1", 20, is_upper),
    prefix("eyJ", 20, is_dotted),
    prefix("key-", 24, is_alphanumeric),
    prefix("tskey-", 10, is_word),
    prefix("sntrys_", 20, is_base64),
    prefix("glsa_", 20, is_word),
    prefix("figd_", 20, is_word),
    prefix("EAACEdEose0cBA", 10, is_alphanumeric),
    prefix("becas_ft_", 30, is_word),
];

static FIND_PREFIX: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(PREFIXES.iter().map(|prefix| prefix.text))
        .ok()
});

/// Words that a secret follows, in small letters; the first ones introduce what a person chose, which may be short.
const WORDS: [&[u8]; 13] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"pwd",
    b"secret",
    b"token",
    b"apikey",
    b"api_key",
    b"api-key",
    b"api key",
    b"access",
    b"auth",
    b"credential",
];
const CHOSEN: usize = 4;

static BEARER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"earer "));

static BEGIN: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b"-----BEGIN "));
const KEY: &[u8] = b"PRIVATE KEY";

/// How long a chosen password is at least, and a made secret.
const SHORTEST_CHOSEN: usize = 6;
const SHORTEST_MADE: usize = 16;
/// Shannon entropy that random characters exceed and words do not, in bits a character.
const RANDOM: f64 = 3.0;
/// No secret is longer; the entropy of more is not asked for.
const LONGEST: usize = 512;

/// Blocks of private keys, to their end or, where that is cut off, to the end of their lines.
pub(super) fn find_blocks(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for start in BEGIN.find_iter(scan.bytes) {
        let title = start + BEGIN.needle().len();
        let title_end = scan
            .run(title, |byte| byte.is_ascii_uppercase() || byte == b' ' || byte.is_ascii_digit());
        let is_key = memmem::find(&scan.bytes[title..title_end], KEY).is_some();
        if start < done || !is_key {
            continue;
        }
        let body = scan.run(title_end, |byte| {
            is_base64(byte) || matches!(byte, b'-' | b'\n' | b'\r' | b' ' | b'\\' | b':' | b',')
        });
        let end_line = memmem::find(&scan.bytes[title_end..body], b"-----END ");
        done = match end_line {
            Some(at) => {
                let name = title_end + at + b"-----END ".len();
                let dashes = scan.run(name, |byte| {
                    byte.is_ascii_uppercase() || byte == b' ' || byte.is_ascii_digit()
                });
                scan.run(dashes, |byte| byte == b'-')
            }
            None => last_chunk(scan, title_end, body),
        };
        found.push(Found::new(start, done, PersonalData::ApiKey));
    }
}

/// Where the last chunk of a key's text ends, in a block that is cut off: shorter chunks are the words after it.
fn last_chunk(scan: &Scan<'_>, start: usize, end: usize) -> usize {
    let mut last = scan.run_within(start, end, |byte| byte == b'-');
    let mut at = last;
    while at < end {
        let stop = scan.run_within(at, end, is_base64);
        if stop - at >= SHORTEST_MADE {
            last = stop;
        }
        at = stop + 1;
    }
    last
}

/// Keys with a known prefix.
pub(super) fn find_prefixed(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let Some(automaton) = FIND_PREFIX.as_ref() else { return };
    let mut done = 0;
    for word in &scan.tokens.words {
        // `SG.` and `ya29.` end before the word begins.
        let from = word.start.saturating_sub(8).max(done);
        if from >= word.end {
            continue;
        }
        for hit in automaton.find_iter(&scan.bytes[from..word.end]) {
            let (start, body) = (from + hit.start(), from + hit.end());
            if start < done || scan.before(start).is_some_and(|byte| byte.is_ascii_alphanumeric()) {
                continue;
            }
            let prefix = &PREFIXES[hit.pattern().as_usize()];
            let end = scan.run(body, prefix.alphabet);
            if end - body >= prefix.least && scan.bytes[body..end].iter().any(u8::is_ascii_digit) {
                done = end;
                found.push(Found::new(start, end, PersonalData::ApiKey));
            }
        }
    }
}

/// Values after words such as `password:`, `api_key =`, `Bearer `.
pub(super) fn find_named(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for sign in memchr2_iter(b':', b'=', scan.bytes) {
        let mut value = value_range(scan, sign + 1);
        let scheme = &scan.bytes[value.clone()];
        if scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"basic") {
            value = value_range(scan, value.end);
        }
        if value.start < done || !may_be_secret(&scan.bytes[value.clone()]) {
            continue;
        }
        if let Some(word) = word_before(scan, sign)
            && is_secret(&scan.bytes[value.clone()], word < CHOSEN)
        {
            done = value.end;
            found.push(Found::new(value.start, value.end, PersonalData::ApiKey));
        }
    }
    if scan.tokens.words.is_empty() {
        return;
    }
    for at in BEARER.find_iter(scan.bytes) {
        let value = value_range(scan, at + BEARER.needle().len());
        if is_secret(&scan.bytes[value.clone()], false) {
            found.push(Found::new(value.start, value.end, PersonalData::ApiKey));
        }
    }
    found.sort_by_key(|found| found.start);
    found.dedup_by(|later, earlier| later.start < earlier.end);
}

/// The value from an offset on, without spaces and quotes before it and the punctuation after it.
fn value_range(scan: &Scan<'_>, from: usize) -> Range<usize> {
    let limit = scan.bytes.len().min(from + 8);
    let start = scan.run_within(from.min(limit), limit, |byte| {
        matches!(byte, b' ' | b'"' | b'\'' | b'`' | b'|' | b'*' | b':' | b'=' | b'>')
    });
    let limit = scan.bytes.len().min(start + LONGEST);
    let end = scan.run_within(start, limit, |byte| {
        is_dotted(byte)
            || matches!(
                byte,
                b'+' | b'/' | b'!' | b'$' | b'&' | b'@' | b'#' | b'^' | b'%' | b'?' | b'~'
            )
    });
    // Base64 is padded; elsewhere a `=` begins the next value, and values that overlap would take quadratic time.
    let padded = scan.run_within(end, scan.bytes.len().min(end + 2), |byte| byte == b'=');
    if padded > end && end > start {
        return start..padded;
    }
    let last = scan.bytes[start..end]
        .iter()
        .rposition(|byte| !matches!(byte, b'.' | b'!' | b'?' | b'-' | b'_' | b'~'));
    start..last.map_or(start, |last| start + last + 1)
}

/// Which of the words is in the name before a sign: `"aws_secret_access_key" :`.
fn word_before(scan: &Scan<'_>, sign: usize) -> Option<usize> {
    let mut name = [0; 28];
    let start = scan.run_back(sign, name.len(), |byte| {
        is_word(byte) || matches!(byte, b' ' | b'"' | b'\'' | b'`' | b'*')
    });
    let name = &mut name[..sign - start];
    name.copy_from_slice(&scan.bytes[start..sign]);
    name.make_ascii_lowercase();
    WORDS.iter().position(|word| name.windows(word.len()).any(|part| part == *word))
}

fn may_be_secret(value: &[u8]) -> bool {
    value.len() >= SHORTEST_CHOSEN
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
}

fn is_secret(value: &[u8], is_chosen: bool) -> bool {
    may_be_secret(value) && (is_chosen || value.len() >= SHORTEST_MADE && entropy(value) > RANDOM)
}

/// Shannon entropy of the bytes' frequencies, in bits a byte.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u16; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = f64::from(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    let share = |count: &u16| f64::from(*count) / total;
    counts.iter().filter(|count| **count > 0).map(|count| -share(count) * share(count).log2()).sum()
}

const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

const fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

const fn is_dotted(byte: u8) -> bool {
    is_word(byte) || byte == b'.'
}
