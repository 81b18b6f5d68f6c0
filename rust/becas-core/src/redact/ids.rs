//! The event's own ids, wherever they recur in text.

use memchr::memmem;

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
    snowflake,
    triggers::Triggers,
    view::View,
};
use crate::pseudonym::IdKind;

/// Shorter ids would blank out ordinary text.
const SHORTEST: usize = 4;
/// From this length on, an id is found inside of longer words as well.
const UNMISTAKABLE: usize = 12;

/// What bots put where an id belongs, and people say in messages.
const ROLES: [&str; 25] = [
    "admin",
    "administrator",
    "anonymous",
    "automod",
    "bot",
    "channel",
    "console",
    "default",
    "everyone",
    "guild",
    "here",
    "human",
    "member",
    "message",
    "moderator",
    "none",
    "null",
    "owner",
    "server",
    "staff",
    "system",
    "test",
    "undefined",
    "unknown",
    "user",
];

/// Whether a text is what bots put where an id belongs: it names a role, and nobody.
pub(crate) fn is_role(text: &str) -> bool {
    is_role_in_bytes(text.trim().as_bytes())
}

fn is_role_in_bytes(text: &[u8]) -> bool {
    ROLES.iter().any(|role| text.eq_ignore_ascii_case(role.as_bytes()))
}

/// The raw ids of one event, made once and used for all of its fields.
///
/// An id of 17 digits or more needs not be listed to vanish, but if it is, its placeholder says what it was. Other ids
/// are found exactly as written if they have at least four bytes and are no word for a role (`bot`, `system`,
/// `moderator`, in any case); ids of fewer than twelve bytes only as words of their own. Anything else would blank out
/// ordinary text, and names nobody.
#[derive(Debug, Default)]
pub struct Ids {
    numbers: Vec<(Box<[u8]>, PersonalData)>,
    others: Vec<Other>,
}

struct Other {
    id: Box<[u8]>,
    /// What occurs wherever the id does; most ids have digits, and most texts have none.
    needs: Triggers,
    kind: PersonalData,
}

impl std::fmt::Debug for Other {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.kind.placeholder())
    }
}

impl Ids {
    /// No ids.
    pub const fn new() -> Self {
        Self { numbers: Vec::new(), others: Vec::new() }
    }

    /// Adds an id; of the same id twice, the first kind counts.
    pub fn add(&mut self, kind: IdKind, raw: &str) {
        let view = View::new(raw, Triggers::of(raw.as_bytes()));
        let id = view.bytes().trim_ascii();
        let kind = match kind {
            IdKind::User => PersonalData::User,
            IdKind::Guild => PersonalData::Guild,
            IdKind::Channel => PersonalData::Channel,
            IdKind::Message => PersonalData::Message,
            IdKind::Event => PersonalData::Event,
        };
        if snowflake::is_long_number(id) {
            if self.number(id).is_none() {
                self.numbers.push((id.into(), kind));
            }
        } else if id.len() >= SHORTEST
            && !is_role_in_bytes(id)
            && !self.others.iter().any(|other| *other.id == *id)
        {
            // Of two ids at one place the longer is found.
            let place = self.others.partition_point(|other| other.id.len() >= id.len());
            self.others.insert(place, Other { id: id.into(), needs: Triggers::of(id), kind });
        }
    }

    /// Whether any id is in a name.
    pub(super) fn occur_in(&self, name: &[u8]) -> bool {
        self.others.iter().any(|other| memmem::find(name, &other.id).is_some())
    }

    /// Whose a long number is.
    pub(super) fn number(&self, digits: &[u8]) -> Option<PersonalData> {
        self.numbers.iter().find(|(number, _)| **number == *digits).map(|(_, kind)| *kind)
    }
}

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    for other in scan.ids.others.iter().filter(|other| scan.triggers.include(other.needs)) {
        let length = other.id.len();
        let finder = memmem::Finder::new(&other.id);
        let mut from = 0;
        while let Some(at) = finder.find(&scan.bytes[from..]) {
            let range = from + at..from + at + length;
            from = range.start + 1;
            if length >= UNMISTAKABLE || scan.stands_alone(&range) {
                from = range.end;
                found.push(Found::new(range.start, range.end, other.kind));
            }
        }
    }
    if scan.ids.others.len() > 1 {
        found.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
        let mut end = 0;
        found.retain(|found| {
            let free = found.start >= end;
            end = end.max(found.end);
            free
        });
    }
}
