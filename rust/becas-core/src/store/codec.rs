//! The example record: a fixed header, then people, label, input and output, under one crc.
//!
//! ```text
//!  0 version u8      1 flags u8        2 kind u8        3 category u8
//!  4 tier u8         5 outcome u8      6 score u16      8 crc32 u32 of everything else
//! 12 people u32     16 label bytes u32 20 input bytes u32 24 output bytes u32 28 zero u32
//! 32 time i64       40 event 16       56 digest 16     72 user 16       88 guild 16
//! 104 people × 16, label, input, output
//! ```
//! Numbers are little-endian; an absent user or guild is zeros with its flag clear.

use super::schema::ExampleId;
use crate::{
    category::{Category, EventKind, Outcome},
    error::{Error, Result},
    example::{Example, InputDigest},
    pseudonym::Pseudonym,
    redact::Redacted,
    score::{Score, Tier},
};

const RECORD_VERSION: u8 = 1;
const CRC_AT: usize = 8;
const PEOPLE_AT: usize = 104;

const HUMAN_VALIDATED: u8 = 1;
const RAG_ENHANCED: u8 = 1 << 1;
const SUPERSEDED: u8 = 1 << 2;
const CORRECTED_TWIN: u8 = 1 << 3;
const HAS_USER: u8 = 1 << 4;
const HAS_GUILD: u8 = 1 << 5;
/// A superseded example whose twin answers for its input from now on.
const YIELDED: u8 = 1 << 6;

/// Everything of a record but its texts: what admission, balancing and erasure need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each a bit on disk")]
pub struct Header {
    /// What it teaches.
    pub category: Category,
    /// The event it came from.
    pub kind: EventKind,
    /// Its tier.
    pub tier: Tier,
    /// How the decision turned out.
    pub outcome: Outcome,
    /// Its score.
    pub score: Score,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// The event's id.
    pub event: Pseudonym,
    /// Equal for the same input.
    pub digest: InputDigest,
    /// The author.
    pub user: Option<Pseudonym>,
    /// The guild.
    pub guild: Option<Pseudonym>,
    /// A person confirmed or made the label.
    pub human_validated: bool,
    /// Retrieved precedents took part.
    pub rag_enhanced: bool,
    /// A later correction replaced it.
    pub superseded: bool,
    /// Made from a correction of another event.
    pub corrected_twin: bool,
    /// Its twin answers for its input.
    pub(super) yielded: bool,
}

impl Header {
    pub(super) fn of(example: &Example) -> Self {
        Self {
            category: example.category,
            kind: example.kind,
            tier: example.tier,
            outcome: example.outcome,
            score: example.score,
            time_ms: example.time_ms,
            event: example.event,
            digest: example.digest,
            user: example.user,
            guild: example.guild,
            human_validated: example.human_validated,
            rag_enhanced: example.rag_enhanced,
            superseded: example.superseded,
            corrected_twin: example.corrected_twin,
            yielded: false,
        }
    }

    fn flags(&self) -> u8 {
        [
            (self.human_validated, HUMAN_VALIDATED),
            (self.rag_enhanced, RAG_ENHANCED),
            (self.superseded, SUPERSEDED),
            (self.corrected_twin, CORRECTED_TWIN),
            (self.user.is_some(), HAS_USER),
            (self.guild.is_some(), HAS_GUILD),
            (self.yielded, YIELDED),
        ]
        .into_iter()
        .fold(0, |flags, (set, flag)| if set { flags | flag } else { flags })
    }
}

/// An example as it is stored, its crc checked, still in the map.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// All but its texts.
    pub header: Header,
    /// Differs, but for one chance in 2³², from that of the same example after a change.
    pub checksum: u32,
    people: &'a [u8],
    label: &'a str,
    input: &'a str,
    output: &'a str,
}

impl<'a> Record<'a> {
    /// Shows an example as it would be stored.
    pub fn show<T>(
        id: ExampleId,
        example: &Example,
        see: impl FnOnce(&Record<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut bytes = Vec::new();
        encode(example, &mut bytes)?;
        see(&decode(id, &bytes)?)
    }

    /// The label in its text form.
    pub const fn label(&self) -> &'a str {
        self.label
    }

    /// The message and its context.
    pub const fn input(&self) -> &'a str {
        self.input
    }

    /// The answer, compact JSON.
    pub const fn output(&self) -> &'a str {
        self.output
    }

    /// Everyone it is about.
    pub(super) fn people(&self) -> impl Iterator<Item = Pseudonym> + 'a {
        self.people.as_chunks::<16>().0.iter().map(|bytes| Pseudonym(*bytes))
    }

    /// The whole example.
    pub(super) fn to_example(self) -> Example {
        let header = self.header;
        Example {
            category: header.category,
            kind: header.kind,
            input: Redacted::trusted(self.input),
            output: Redacted::trusted(self.output),
            label: Redacted::trusted(self.label),
            score: header.score,
            tier: header.tier,
            outcome: header.outcome,
            time_ms: header.time_ms,
            event: header.event,
            user: header.user,
            guild: header.guild,
            people: self.people().collect(),
            digest: header.digest,
            human_validated: header.human_validated,
            rag_enhanced: header.rag_enhanced,
            superseded: header.superseded,
            corrected_twin: header.corrected_twin,
        }
    }
}

fn length(bytes: usize) -> Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(|_| Error::InvalidArgument {
        field: "event".to_owned(),
        problem: "its example is over 4 GiB: send less text".to_owned(),
    })
}

/// Appends the record of an example.
pub(super) fn encode(example: &Example, into: &mut Vec<u8>) -> Result<Header> {
    let header = Header::of(example);
    let start = into.len();
    let zeros = Pseudonym([0; 16]);
    into.extend_from_slice(&[
        RECORD_VERSION,
        header.flags(),
        header.kind as u8,
        header.category as u8,
        header.tier as u8,
        header.outcome as u8,
    ]);
    into.extend_from_slice(&header.score.points().to_le_bytes());
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&length(example.people.len())?);
    for text in [&example.label, &example.input, &example.output] {
        into.extend_from_slice(&length(text.as_str().len())?);
    }
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&header.time_ms.to_le_bytes());
    into.extend_from_slice(&header.event.0);
    into.extend_from_slice(&header.digest);
    into.extend_from_slice(&header.user.unwrap_or(zeros).0);
    into.extend_from_slice(&header.guild.unwrap_or(zeros).0);
    for person in &example.people {
        into.extend_from_slice(&person.0);
    }
    for text in [&example.label, &example.input, &example.output] {
        into.extend_from_slice(text.as_str().as_bytes());
    }
    seal(&mut into[start..]);
    Ok(header)
}

/// Marks a record as superseded, and as yielded if its twin has taken its place.
pub(super) fn supersede(record: &mut [u8], yielded: bool) {
    if let Some(flags) = record.get_mut(1) {
        *flags |= if yielded { SUPERSEDED | YIELDED } else { SUPERSEDED };
        seal(record);
    }
}

fn crc(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[..CRC_AT]);
    hasher.update(&record[CRC_AT + 4..]);
    hasher.finalize()
}

fn seal(record: &mut [u8]) {
    let crc = crc(record).to_le_bytes();
    record[CRC_AT..CRC_AT + 4].copy_from_slice(&crc);
}

/// The event's id, unchecked: for telling apart records whose tags collide.
pub(super) fn event_of(record: &[u8]) -> Option<Pseudonym> {
    at(record, 40).map(Pseudonym)
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

/// The error for an example that cannot be read.
pub(super) fn damaged(id: ExampleId, why: &str) -> Error {
    Error::Store {
        problem: format!(
            "example {id} is damaged ({why}): restore a backup, or repair the store to drop it"
        ),
    }
}

/// As much of a record as fits together, for erasing it.
pub(super) fn decode_unchecked(id: ExampleId, bytes: &[u8]) -> Option<Record<'_>> {
    (bytes.len() >= PEOPLE_AT).then(|| parse(id, bytes)).flatten()
}

/// Reads a record back; an error names the example and says why.
pub(super) fn decode(id: ExampleId, bytes: &[u8]) -> Result<Record<'_>> {
    check(id, bytes)?;
    parse(id, bytes).ok_or_else(|| damaged(id, "its fields do not fit together"))
}

/// Reads a record's header back without looking into its texts, which the crc covers too.
pub(super) fn decode_header(id: ExampleId, bytes: &[u8]) -> Result<Header> {
    check(id, bytes)?;
    let header = parse_header(bytes).filter(|header| header.category == id.category);
    header.ok_or_else(|| damaged(id, "its fields do not fit together"))
}

fn check(id: ExampleId, bytes: &[u8]) -> Result<()> {
    let damaged = |why| Err(damaged(id, why));
    if bytes.len() < PEOPLE_AT {
        return damaged("too short");
    }
    if at(bytes, CRC_AT) != Some(crc(bytes).to_le_bytes()) {
        return damaged("its crc does not match");
    }
    if bytes[0] != RECORD_VERSION {
        return damaged("its record version is unknown");
    }
    Ok(())
}

fn parse_header(bytes: &[u8]) -> Option<Header> {
    let flags = bytes[1];
    Some(Header {
        category: Category::from_number(i32::from(bytes[3]))?,
        kind: EventKind::from_number(bytes[2])?,
        tier: Tier::from_number(i32::from(bytes[4]))?,
        outcome: Outcome::from_number(i32::from(bytes[5]))?,
        score: Score::from_points(u32::from(u16::from_le_bytes(at(bytes, 6)?))),
        time_ms: i64::from_le_bytes(at(bytes, 32)?),
        event: Pseudonym(at(bytes, 40)?),
        digest: at(bytes, 56)?,
        user: (flags & HAS_USER != 0).then_some(Pseudonym(at(bytes, 72)?)),
        guild: (flags & HAS_GUILD != 0).then_some(Pseudonym(at(bytes, 88)?)),
        human_validated: flags & HUMAN_VALIDATED != 0,
        rag_enhanced: flags & RAG_ENHANCED != 0,
        superseded: flags & SUPERSEDED != 0,
        corrected_twin: flags & CORRECTED_TWIN != 0,
        yielded: flags & YIELDED != 0,
    })
}

fn parse(id: ExampleId, bytes: &[u8]) -> Option<Record<'_>> {
    let header = parse_header(bytes)?;
    let size = |offset| usize::try_from(u32::from_le_bytes(at(bytes, offset)?)).ok();
    let (people, rest) = bytes[PEOPLE_AT..].split_at_checked(size(12)?.checked_mul(16)?)?;
    let (label, rest) = rest.split_at_checked(size(16)?)?;
    let (input, output) = rest.split_at_checked(size(20)?)?;
    if header.category != id.category || output.len() != size(24)? {
        return None;
    }
    Some(Record {
        header,
        checksum: u32::from_le_bytes(at(bytes, CRC_AT)?),
        people,
        label: std::str::from_utf8(label).ok()?,
        input: std::str::from_utf8(input).ok()?,
        output: std::str::from_utf8(output).ok()?,
    })
}
