//! The finders in their order, run until nothing more is found.

use super::{
    bot_token, card, email, iban,
    ids::{self, Ids},
    ip, kept, keys,
    kind::PersonalData,
    links, mac, markup, phone,
    scan::{Found, Scan},
    snowflake, ssn,
    text::Redacted,
    tokens::Tokens,
    triggers::Triggers,
    url,
    view::{MASK, View},
    wallet,
};

/// Personal data at a range of bytes of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// What it is.
    pub kind: PersonalData,
}

/// A step of redaction: with which bytes of the text it can find anything, and what it finds.
struct Step {
    triggers: Triggers,
    find: fn(&Scan<'_>, &mut Vec<Found>),
}

const fn step(triggers: Triggers, find: fn(&Scan<'_>, &mut Vec<Found>)) -> Step {
    Step { triggers, find }
}

const NUMERIC: Triggers = Triggers::DIGIT;
const HEXADECIMAL: Triggers = Triggers::DIGIT.or(Triggers::COLON);

/// What is claimed by one step is out of reach for the later ones.
const STEPS: [Step; 20] = [
    step(Triggers::BRACKET, kept::find),
    step(Triggers::LESS, markup::find),
    step(Triggers::SLASH, links::find),
    step(NUMERIC, bot_token::find),
    step(Triggers::SLASH, url::find),
    step(Triggers::ANY, ids::find),
    step(Triggers::AT, email::find),
    step(Triggers::ANY, email::find_spelled),
    step(NUMERIC, keys::find_blocks),
    step(NUMERIC, keys::find_prefixed),
    step(NUMERIC, keys::find_named),
    step(NUMERIC, wallet::find),
    step(NUMERIC, iban::find),
    step(NUMERIC, snowflake::find),
    step(HEXADECIMAL, mac::find),
    step(Triggers::COLON, ip::find_v6),
    step(NUMERIC, ip::find_v4),
    step(NUMERIC, card::find),
    step(NUMERIC, ssn::find),
    step(NUMERIC, phone::find),
];

/// The steps that can find anything, as bits, by what occurs in the text.
static MEETING: [u32; 256] = {
    let mut meeting = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut number = 0;
        while number < STEPS.len() {
            #[expect(clippy::cast_possible_truncation, reason = "there are 256")]
            if Triggers::from_bits(bits as u8).meets(STEPS[number].triggers) {
                meeting[bits] |= 1 << number;
            }
            number += 1;
        }
        bits += 1;
    }
    meeting
};

/// Claims can bring new matches about (a token that stood against one has a boundary now); chains of them are short.
const MOST_PASSES: usize = 12;

/// Replaces personal data with placeholders. It has no state: one serves all threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redactor;

impl Redactor {
    /// Changes with every change of what is found or of what stands in its place.
    pub const VERSION: &str = "1";

    /// A redactor.
    pub const fn new() -> Self {
        Self
    }

    /// The text with every span replaced by its placeholder. Redacting the result again changes nothing.
    pub fn redact(&self, text: &str, ids: &Ids) -> Redacted {
        self.replace(text, &self.spans(text, ids), ids)
    }

    /// The text with the spans that were found in it, by the same ids, replaced by their placeholders.
    pub fn replace(&self, text: &str, spans: &[Span], ids: &Ids) -> Redacted {
        if spans.is_empty() {
            return Redacted::trusted(text);
        }
        let mut redacted = String::with_capacity(text.len());
        let mut copied = 0;
        for span in spans {
            redacted.push_str(&text[copied..span.start]);
            match emoji_name(*span, text, ids) {
                Some(name) => redacted.extend(["[EMOJI:", name, "]"]),
                None => redacted.push_str(span.kind.placeholder()),
            }
            copied = span.end;
        }
        redacted.push_str(&text[copied..]);
        Redacted::trusted(redacted)
    }

    /// What [`redact`](Self::redact) replaces: sorted, without overlaps, on character boundaries.
    pub fn spans(&self, text: &str, ids: &Ids) -> Vec<Span> {
        let written = Triggers::of(text.as_bytes());
        let mut view = View::new(text, written);
        let triggers = if view.is_folded() { Triggers::of(view.bytes()) } else { written };
        let claims = claims(&mut view, triggers, ids);
        let mut spans: Vec<Span> = claims
            .into_iter()
            .map(|(start, end, kind)| {
                let (start, end) = view.in_text(start, end);
                Span { start, end, kind }
            })
            .collect();
        spans.sort_unstable();
        debug_assert!(spans.windows(2).all(|pair| pair[0].end <= pair[1].start), "claims overlap");
        spans
    }
}

/// Ranges of the view and what they hold, in no order.
fn claims(view: &mut View<'_>, triggers: Triggers, ids: &Ids) -> Vec<(usize, usize, PersonalData)> {
    let mut claims = Vec::new();
    let mut found = Vec::new();
    let mut tokens = Tokens::default();
    let mut triggers = triggers;
    if triggers.meets(Triggers::DIGIT) {
        tokens.find(view.bytes());
    }
    for _ in 0..MOST_PASSES {
        let claimed = claims.len();
        let mut steps = MEETING[usize::from(triggers.bits())];
        while steps != 0 {
            let step = &STEPS[steps.trailing_zeros() as usize];
            steps &= steps - 1;
            (step.find)(&Scan { bytes: view.bytes(), tokens: &tokens, ids, triggers }, &mut found);
            if found.is_empty() {
                continue;
            }
            for found in found.drain(..) {
                claim(view, found, &mut claims);
            }
            if triggers.meets(Triggers::DIGIT) {
                tokens.find(view.bytes());
            }
        }
        if claims.len() == claimed {
            break;
        }
        triggers = Triggers::of(view.bytes());
    }
    claims
}

/// Claims what is not claimed yet of a find: a URL goes on over placeholders.
fn claim(view: &mut View<'_>, found: Found, claims: &mut Vec<(usize, usize, PersonalData)>) {
    let mut start = found.start;
    while start < found.end {
        let bytes = &view.bytes()[start..found.end];
        let length = memchr::memchr(MASK, bytes).unwrap_or(bytes.len());
        if length > 0 {
            view.mask(start, start + length);
            claims.extend(found.kind.map(|kind| (start, start + length, kind)));
        }
        start += length + 1;
    }
}

/// The name of a custom emoji, where its placeholder keeps it.
fn emoji_name<'t>(span: Span, text: &'t str, ids: &Ids) -> Option<&'t str> {
    if span.kind != PersonalData::CustomEmoji {
        return None;
    }
    text[span.start..span.end].split(':').nth(1).filter(|name| kept::is_plain_emoji_name(name, ids))
}

/// The spans of a text with offsets in code points instead of bytes.
pub fn in_code_points(spans: &[Span], text: &str) -> Vec<Span> {
    let (mut bytes, mut points) = (0, 0);
    let mut to_points = |offset: usize| {
        points += text[bytes..offset].chars().count();
        bytes = offset;
        points
    };
    spans
        .iter()
        .map(|span| Span {
            start: to_points(span.start),
            end: to_points(span.end),
            kind: span.kind,
        })
        .collect()
}
