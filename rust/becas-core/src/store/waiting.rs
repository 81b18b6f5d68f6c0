//! Corrections on disk: waiting for their original, for a label, or for whoever judges shadow requests.

use super::{
    fields::{Reader, Writer, damaged},
    schema::{self, ExampleId},
};
use crate::{
    category::{Category, EventKind},
    error::Result,
    example::CorrectionOf,
    pseudonym::Pseudonym,
    redact::Redacted,
    score::{Score, Tier},
};

const VERSION: u8 = 1;

/// A correction with the id of the event that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filed {
    /// The ai.correction's own id.
    pub(super) event: Pseudonym,
    /// When the service got it, milliseconds since the epoch.
    pub(super) arrived_ms: i64,
    pub(super) correction: CorrectionOf,
}

/// A correction in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Counts up; trim the outbox by it.
    pub cursor: u64,
    /// The ai.correction's own id.
    pub event: Pseudonym,
    /// What it says.
    pub correction: CorrectionOf,
}

/// A corrected event for which no rule gives a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabellingCase {
    /// The event that was corrected.
    pub original: Pseudonym,
    /// What it was.
    pub kind: EventKind,
    /// Its category.
    pub category: Category,
    /// Its author.
    pub user: Option<Pseudonym>,
    /// The wrong label, empty where it was not kept.
    pub label: Redacted,
    /// Where the example was when the case was filed.
    pub example: Option<ExampleId>,
    /// What the moderator said.
    pub correction: CorrectionOf,
}

impl LabellingCase {
    pub(super) fn concerns(&self, person: Pseudonym) -> bool {
        self.user == Some(person) || self.correction.people.contains(&person)
    }
}

fn write_correction(writer: &mut Writer, correction: &CorrectionOf) {
    writer
        .pseudonym(correction.original)
        .text_or_none(correction.corrected_label.as_ref())
        .text(correction.mistake.as_str())
        .text_or_none(correction.moderator_action.as_ref())
        .text(correction.lesson.as_str())
        .text(correction.message.as_str())
        .raw(&correction.message_digest)
        .number(u64::from(correction.score.points()))
        .byte(correction.tier as u8)
        .time(correction.time_ms)
        .pseudonym_or_none(correction.guild)
        .byte(u8::from(correction.verified))
        .number(correction.people.len() as u64);
    for person in &correction.people {
        writer.pseudonym(*person);
    }
}

fn read_correction(reader: &mut Reader<'_>) -> Option<CorrectionOf> {
    Some(CorrectionOf {
        original: reader.pseudonym()?,
        corrected_label: reader.text_or_none()?,
        mistake: Redacted::trusted(reader.text()?),
        moderator_action: reader.text_or_none()?,
        lesson: Redacted::trusted(reader.text()?),
        message: Redacted::trusted(reader.text()?),
        message_digest: reader.take(16)?.try_into().ok()?,
        score: Score::from_points(u32::try_from(reader.number()?).ok()?),
        tier: Tier::from_number(i32::from(reader.byte()?))?,
        time_ms: reader.time()?,
        guild: reader.pseudonym_or_none()?,
        verified: reader.byte()? != 0,
        people: (0..reader.number()?).map(|_| reader.pseudonym()).collect::<Option<_>>()?,
    })
}

impl Filed {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer.pseudonym(self.event).time(self.arrived_ms);
        write_correction(&mut writer, &self.correction);
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "a waiting correction";
        let mut reader = Reader::new(bytes, VERSION, what)?;
        (|| {
            Some(Self {
                event: reader.pseudonym()?,
                arrived_ms: reader.time()?,
                correction: read_correction(&mut reader)?,
            })
        })()
        .ok_or_else(|| damaged(what))
    }
}

/// Whether a waiting correction stands under its own original and can be read.
pub(super) fn is_whole(key: &[u8], bytes: &[u8]) -> bool {
    let original = schema::pseudonym_from_key(key);
    Filed::decode(bytes).is_ok_and(|filed| Some(filed.correction.original) == original)
}

/// What `labelling` holds under an original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Labelling {
    /// Some correction gave a label, so that later ones without one are no cases.
    Solved {
        /// When, milliseconds since the epoch.
        arrived_ms: i64,
    },
    /// Nobody has yet.
    Open(Box<LabellingCase>),
}

impl Labelling {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        match self {
            Self::Solved { arrived_ms } => {
                writer.byte(0).time(*arrived_ms);
            }
            Self::Open(case) => {
                writer.byte(1).byte(case.kind as u8).byte(case.category as u8);
                writer.pseudonym_or_none(case.user).text(case.label.as_str());
                // Sequences begin at 1.
                writer.number(case.example.map_or(0, |id| id.sequence));
                write_correction(&mut writer, &case.correction);
            }
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "a labelling case";
        let mut reader = Reader::new(bytes, VERSION, what)?;
        Self::read(&mut reader).ok_or_else(|| damaged(what))
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.byte()? == 0 {
            return Some(Self::Solved { arrived_ms: reader.time()? });
        }
        let kind = EventKind::from_number(reader.byte()?)?;
        let category = Category::from_number(i32::from(reader.byte()?))?;
        let user = reader.pseudonym_or_none()?;
        let label = Redacted::trusted(reader.text()?);
        let sequence = reader.number()?;
        let correction = read_correction(reader)?;
        Some(Self::Open(Box::new(LabellingCase {
            original: correction.original,
            kind,
            category,
            user,
            label,
            example: (sequence > 0).then_some(ExampleId { category, sequence }),
            correction,
        })))
    }
}
