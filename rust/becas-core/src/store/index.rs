//! What admission asks of every event, in memory: rebuilt from the records at open, never written.
//!
//! A key placed at random costs a page per event on disk; here it costs eleven bytes.

use std::collections::{BTreeSet, HashMap};

use hashbrown::HashTable;

use super::{codec::Header, counters::Counters, schema::ExampleId};
use crate::{
    category::{Category, EventKind},
    pseudonym::Pseudonym,
};

/// Where an event or an input was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An example.
    Example(ExampleId),
    /// An entry of the remembered events, by number.
    Remembered(u64),
}

const REMEMBERED: u64 = 1 << 47;
const SEQUENCE_BITS: u32 = 43;

impl Place {
    /// 48 bits: a sequence of 43 lasts for 2,800 years at 100,000 events a second.
    fn pack(self) -> u64 {
        match self {
            Self::Example(id) => {
                (id.category as u64) << SEQUENCE_BITS | id.sequence & ((1 << SEQUENCE_BITS) - 1)
            }
            Self::Remembered(number) => REMEMBERED | number & (REMEMBERED - 1),
        }
    }

    fn unpack(packed: u64) -> Option<Self> {
        if packed & REMEMBERED != 0 {
            return Some(Self::Remembered(packed & (REMEMBERED - 1)));
        }
        let category = Category::from_number(i32::try_from(packed >> SEQUENCE_BITS).ok()?)?;
        Some(Self::Example(ExampleId { category, sequence: packed & ((1 << SEQUENCE_BITS) - 1) }))
    }
}

/// A 32-bit tag and a 48-bit place. Tags collide; whoever looks up compares with what lies at the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot([u16; 5]);

impl Slot {
    #[expect(clippy::cast_possible_truncation, reason = "takes numbers apart")]
    pub(super) fn new(key: &[u8; 16], place: Place) -> Self {
        let tag = tag(key);
        let place = place.pack();
        Self([
            tag as u16,
            (tag >> 16) as u16,
            place as u16,
            (place >> 16) as u16,
            (place >> 32) as u16,
        ])
    }

    fn hash(&self) -> u64 {
        spread(u32::from(self.0[0]) | u32::from(self.0[1]) << 16)
    }

    fn place(&self) -> Option<Place> {
        Place::unpack(
            u64::from(self.0[2]) | u64::from(self.0[3]) << 16 | u64::from(self.0[4]) << 32,
        )
    }
}

/// Keys are keyed hashes already; folding keeps the tag even where a test counts up in one byte.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is the tag")]
fn tag(key: &[u8; 16]) -> u32 {
    let folded = u128::from_le_bytes(*key);
    let folded = (folded as u64) ^ ((folded >> 64) as u64).rotate_left(32);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A set of slots, looked up by key.
#[derive(Debug, Default)]
pub(super) struct Slots(HashTable<Slot>);

impl Slots {
    /// Places whose key may be this one.
    pub(super) fn candidates(&self, key: &[u8; 16]) -> impl Iterator<Item = Place> {
        let tag = tag(key);
        let (low, high) = (tag & 0xFFFF, tag >> 16);
        self.0
            .iter_hash(spread(tag))
            .filter(move |slot| u32::from(slot.0[0]) == low && u32::from(slot.0[1]) == high)
            .filter_map(Slot::place)
    }

    fn insert(&mut self, slot: Slot) {
        self.0.insert_unique(slot.hash(), slot, Slot::hash);
    }

    fn remove(&mut self, slot: Slot) {
        if let Ok(found) = self.0.find_entry(slot.hash(), |other| *other == slot) {
            found.remove();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn fill(&mut self, categories: &[OfCategory], slots: impl Fn(&OfCategory) -> &[Slot]) {
        self.0.reserve(categories.iter().map(|one| slots(one).len()).sum(), Slot::hash);
        categories.iter().flat_map(slots).for_each(|slot| self.insert(*slot));
    }
}

/// What the examples of one category put into the index.
#[derive(Debug, Default)]
pub(super) struct OfCategory {
    events: Vec<Slot>,
    inputs: Vec<Slot>,
    ranks: Vec<u128>,
}

impl OfCategory {
    pub(super) fn add(&mut self, id: ExampleId, header: &Header) {
        if !header.corrected_twin {
            self.events.push(Slot::new(&header.event.0, Place::Example(id)));
        }
        if !header.yielded {
            self.inputs.push(Slot::new(&header.digest, Place::Example(id)));
        }
        self.ranks.push(eviction_rank(header, id.sequence));
    }
}

/// The order in which a full category gives up its examples, packed: corrections and twins last, then the lowest
/// tier, then the lowest score, then the oldest, then the first stored.
pub(super) fn eviction_rank(header: &Header, sequence: u64) -> u128 {
    let last = header.corrected_twin || header.kind == EventKind::AiCorrection;
    // 62 bits of time, from the smallest up; clamped far outside any calendar.
    let limit = 1_i64 << 61;
    let time = (header.time_ms.clamp(-limit, limit - 1) + limit).unsigned_abs();
    u128::from(last) << 127
        | u128::from(header.tier as u8) << 124
        | u128::from(header.score.points()) << 110
        | u128::from(time) << 48
        | u128::from(sequence & ((1 << 48) - 1))
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest 48 bits")]
pub(super) fn ranked_sequence(rank: u128) -> u64 {
    rank as u64 & ((1 << 48) - 1)
}

#[derive(Clone, Copy, Debug)]
enum Change {
    EventAdded(Slot),
    EventRemoved(Slot),
    InputAdded(Slot),
    InputRemoved(Slot),
    RankAdded(Category, u128),
    RankRemoved(Category, u128),
    PendingAdded(Pseudonym),
    PendingRemoved(Pseudonym),
    Consent(Pseudonym, Option<bool>),
}

/// All of it, with a log that takes back what a failed transaction did.
#[derive(Debug, Default)]
pub(super) struct Index {
    events: Slots,
    inputs: Slots,
    ranks: [BTreeSet<u128>; Category::ALL.len()],
    /// How many corrections wait for an original.
    pending: HashMap<Pseudonym, u32>,
    consent: HashMap<Pseudonym, bool>,
    pub(super) counters: Counters,
    /// The number of the oldest remembered event.
    pub(super) oldest_remembered: u64,
    before: (Counters, u64),
    changes: Vec<Change>,
}

impl Index {
    /// Places that may hold an event.
    pub(super) fn event(&self, event: &Pseudonym) -> impl Iterator<Item = Place> {
        self.events.candidates(&event.0)
    }

    /// Places that may answer for an input.
    pub(super) fn input(&self, digest: &[u8; 16]) -> impl Iterator<Item = Place> {
        self.inputs.candidates(digest)
    }

    /// Events known.
    pub(super) fn known_events(&self) -> usize {
        self.events.len()
    }

    pub(super) fn worst(&self, category: Category) -> Option<u128> {
        self.ranks[category as usize - 1].first().copied()
    }

    pub(super) fn stored(&self, category: Category) -> usize {
        self.ranks[category as usize - 1].len()
    }

    pub(super) fn waits(&self, original: &Pseudonym) -> bool {
        self.pending.contains_key(original)
    }

    pub(super) fn consent(&self, guild: &Pseudonym) -> Option<bool> {
        self.consent.get(guild).copied()
    }

    fn change(&mut self, change: Change) {
        self.apply(change);
        self.changes.push(change);
    }

    pub(super) fn add_event(&mut self, event: &Pseudonym, place: Place) {
        self.change(Change::EventAdded(Slot::new(&event.0, place)));
    }

    pub(super) fn remove_event(&mut self, event: &Pseudonym, place: Place) {
        self.change(Change::EventRemoved(Slot::new(&event.0, place)));
    }

    pub(super) fn add_input(&mut self, digest: &[u8; 16], id: ExampleId) {
        self.change(Change::InputAdded(Slot::new(digest, Place::Example(id))));
    }

    pub(super) fn remove_input(&mut self, digest: &[u8; 16], id: ExampleId) {
        self.change(Change::InputRemoved(Slot::new(digest, Place::Example(id))));
    }

    pub(super) fn add_rank(&mut self, header: &Header, sequence: u64) {
        self.change(Change::RankAdded(header.category, eviction_rank(header, sequence)));
    }

    pub(super) fn remove_rank(&mut self, header: &Header, sequence: u64) {
        self.change(Change::RankRemoved(header.category, eviction_rank(header, sequence)));
    }

    pub(super) fn add_pending(&mut self, original: Pseudonym) {
        self.change(Change::PendingAdded(original));
    }

    pub(super) fn remove_pending(&mut self, original: Pseudonym) {
        self.change(Change::PendingRemoved(original));
    }

    pub(super) fn set_consent(&mut self, guild: Pseudonym, granted: bool) {
        let before = self.consent.insert(guild, granted);
        self.changes.push(Change::Consent(guild, before));
    }

    /// Takes in the examples found at open.
    pub(super) fn of(categories: Vec<OfCategory>) -> Self {
        let mut index = Self::default();
        rayon::join(
            || index.events.fill(&categories, |one| &one.events),
            || index.inputs.fill(&categories, |one| &one.inputs),
        );
        for (ranks, of_category) in index.ranks.iter_mut().zip(categories) {
            *ranks = of_category.ranks.into_iter().collect();
        }
        index
    }

    /// How many examples are indexed.
    pub(super) fn examples(&self) -> u64 {
        self.ranks.iter().map(|ranks| ranks.len() as u64).sum()
    }

    /// Takes in a remembered event found at open.
    pub(super) fn load_remembered(&mut self, event: &Pseudonym, number: u64) {
        self.apply(Change::EventAdded(Slot::new(&event.0, Place::Remembered(number))));
    }

    /// Takes in a waiting correction found at open.
    pub(super) fn load_pending(&mut self, original: Pseudonym) {
        self.apply(Change::PendingAdded(original));
    }

    /// Takes in a guild's word found at open.
    pub(super) fn load_consent(&mut self, guild: Pseudonym, granted: bool) {
        self.apply(Change::Consent(guild, Some(granted)));
    }

    /// Forgets a rank whose record cannot be read, so that eviction goes on with the next.
    pub(super) fn drop_rank(&mut self, category: Category, rank: u128) {
        self.change(Change::RankRemoved(category, rank));
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::EventAdded(slot) => self.events.insert(slot),
            Change::EventRemoved(slot) => self.events.remove(slot),
            Change::InputAdded(slot) => self.inputs.insert(slot),
            Change::InputRemoved(slot) => self.inputs.remove(slot),
            Change::RankAdded(category, rank) => {
                self.ranks[category as usize - 1].insert(rank);
            }
            Change::RankRemoved(category, rank) => {
                self.ranks[category as usize - 1].remove(&rank);
            }
            Change::PendingAdded(original) => *self.pending.entry(original).or_default() += 1,
            Change::PendingRemoved(original) => {
                if let Some(count) = self.pending.get_mut(&original) {
                    *count -= 1;
                    if *count == 0 {
                        self.pending.remove(&original);
                    }
                }
            }
            Change::Consent(guild, Some(granted)) => {
                self.consent.insert(guild, granted);
            }
            Change::Consent(guild, None) => {
                self.consent.remove(&guild);
            }
        }
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self) {
        self.before = (self.counters.clone(), self.oldest_remembered);
        self.changes.clear();
    }

    /// Keeps what the transaction did.
    pub(super) fn keep(&mut self) {
        self.changes.clear();
    }

    /// Takes back what the transaction did.
    pub(super) fn take_back(&mut self) {
        (self.counters, self.oldest_remembered) = self.before.clone();
        for change in std::mem::take(&mut self.changes).into_iter().rev() {
            self.apply(match change {
                Change::EventAdded(slot) => Change::EventRemoved(slot),
                Change::EventRemoved(slot) => Change::EventAdded(slot),
                Change::InputAdded(slot) => Change::InputRemoved(slot),
                Change::InputRemoved(slot) => Change::InputAdded(slot),
                Change::RankAdded(category, rank) => Change::RankRemoved(category, rank),
                Change::RankRemoved(category, rank) => Change::RankAdded(category, rank),
                Change::PendingAdded(original) => Change::PendingRemoved(original),
                Change::PendingRemoved(original) => Change::PendingAdded(original),
                Change::Consent(guild, before) => Change::Consent(guild, before),
            });
        }
    }
}
