//! Scores in fixed point, the tiers they fall in, and the factors they are made of.

mod confidence;
mod factors;
mod reason;

pub use self::{
    confidence::ten_thousandths,
    factors::{Quality, SCORER_VERSION, assess},
    reason::Reason,
};

use crate::config::Scoring;

/// A quality score in 1/10,000: 0 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Score(u16);

impl Score {
    /// 1.0000.
    pub const MAX: Self = Self(10_000);

    /// A score of so many ten-thousandths, clamped to 1.
    pub const fn from_points(points: u32) -> Self {
        if points >= 10_000 {
            Self::MAX
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "below 10,000")]
            Self(points as u16)
        }
    }

    /// Ten-thousandths.
    pub const fn points(self) -> u16 {
        self.0
    }

    /// 0 to 1; the double nearest to the four decimals.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

/// The tier of an event; the numbers are those of the proto and of stored records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tier {
    /// Counted, not stored.
    Reject = 1,
    /// From .60 by default.
    Bronze = 2,
    /// From .75 by default.
    Silver = 3,
    /// From .90 by default.
    Gold = 4,
}

impl Tier {
    /// The name in exports, manifests and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }

    /// The tier of a score.
    pub const fn of(score: Score, scoring: &Scoring) -> Self {
        let points = score.points();
        if points >= scoring.gold {
            Self::Gold
        } else if points >= scoring.silver {
            Self::Silver
        } else if points >= scoring.bronze {
            Self::Bronze
        } else {
            Self::Reject
        }
    }

    /// The tier of a number of the proto; `None` for unspecified or unknown.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Reject, Self::Bronze, Self::Silver, Self::Gold]
            .into_iter()
            .find(|tier| *tier as i32 == number)
    }
}
