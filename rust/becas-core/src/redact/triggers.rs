//! One cheap pass that tells which finders can find anything at all.

/// A set of bytes that occur, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Triggers(u8);

impl Triggers {
    /// Of a step that runs on any text.
    pub(super) const ANY: Self = Self(u8::MAX);
    pub(super) const DIGIT: Self = Self(1);
    pub(super) const AT: Self = Self(1 << 1);
    pub(super) const LESS: Self = Self(1 << 2);
    pub(super) const COLON: Self = Self(1 << 3);
    /// `/` or `?`.
    pub(super) const SLASH: Self = Self(1 << 4);
    /// An opening bracket of any kind: placeholders and spelled-out `(at)`.
    pub(super) const BRACKET: Self = Self(1 << 5);
    /// Anything outside ASCII.
    pub(super) const WIDE: Self = Self(1 << 6);
    /// `=`.
    pub(super) const EQUALS: Self = Self(1 << 7);

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0 || other.0 == Self::ANY.0
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether all of the other set are in this one.
    pub(super) const fn include(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(0, |bits, &byte| bits | TABLE[usize::from(byte)]))
    }
}

const TABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte {
            0x30..=0x39 => Triggers::DIGIT.0,
            0x40 => Triggers::AT.0,
            0x3C => Triggers::LESS.0 | Triggers::BRACKET.0,
            0x3A => Triggers::COLON.0,
            0x2F | 0x3F => Triggers::SLASH.0,
            0x28 | 0x5B | 0x7B => Triggers::BRACKET.0,
            0x3D => Triggers::EQUALS.0,
            0x80.. => Triggers::WIDE.0,
            _ => 0,
        };
        byte += 1;
    }
    table
};
