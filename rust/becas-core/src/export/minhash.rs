//! MinHash signatures: 63 bytes a text, the greater part of what an export holds in memory, from which near-copies are found without comparing all pairs.

use super::shingle::{Shingles, mix};

/// Bytes of a signature, one for each hash function.
pub(super) const LANES: usize = BANDS * BAND_ROWS;
/// Rows of a band. Two texts meet in a band with probability J³, so in one of the 21 bands with 1 − (1 − J³)²¹:
/// all but 3 in 10 million pairs at J = 0.8.
const BAND_ROWS: usize = 3;
/// Bands of a signature.
pub(super) const BANDS: usize = 21;

/// For each of 63 hash functions the lowest 8 bits of the smallest hash (b-bit minwise hashing, Li and König 2010):
/// a byte agrees with probability J + (1 − J)/256. Deviation of the agreement at J = 0.8: 3.2 of 63 lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature([u8; LANES]);

impl Signature {
    /// `None` where there is nothing to compare.
    pub(super) fn of(shingles: &Shingles) -> Option<Self> {
        if shingles.hashes().is_empty() {
            return None;
        }
        let mut smallest = [u32::MAX; LANES];
        for hash in shingles.hashes() {
            let folded = low_half(*hash ^ (*hash >> 32));
            for (lane, (factor, offset)) in smallest.iter_mut().zip(FUNCTIONS) {
                *lane = (*lane).min(folded.wrapping_mul(factor).wrapping_add(offset));
            }
        }
        // Mixed first: the low bits of a linear function depend on the low bits of its argument only.
        Some(Self(smallest.map(|value| mix(u64::from(value)).to_le_bytes()[0])))
    }

    /// The bytes of a band as one number.
    pub(super) fn band(&self, band: usize) -> u32 {
        let start = band * BAND_ROWS;
        self.0[start..start + BAND_ROWS]
            .iter()
            .fold(0, |number, byte| (number << 8) | u32::from(*byte))
    }

    /// In how many of the 63 lanes two signatures agree.
    pub(super) fn agreement(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).filter(|(one, two)| one == two).count()
    }
}

/// Factor and offset of h(x) = factor · x + offset mod 2³², factors odd: permutations of the 32-bit numbers.
static FUNCTIONS: [(u32, u32); LANES] = functions();

const fn functions() -> [(u32, u32); LANES] {
    let mut functions = [(0, 0); LANES];
    let mut lane = 0;
    let mut state: u64 = 0;
    while lane < LANES {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let random = mix(state);
        functions[lane] = (low_half(random) | 1, low_half(random >> 32));
        lane += 1;
    }
    functions
}

/// The lower 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
pub(super) const fn low_half(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::{LANES, Shingles, Signature};

    fn numbered(range: std::ops::Range<u32>) -> Signature {
        let text: Vec<String> = range.map(|number| format!("w{number}")).collect();
        Signature::of(&Shingles::of(&text.join(" "))).unwrap()
    }

    #[test]
    fn agreement_estimates_the_jaccard_index() {
        // 400 pairs on either side, so many in common; the mean of 40 signatures is within 3 deviations.
        for (shift, shared) in [(0_u32, 400_u32), (45, 355), (100, 300), (200, 200), (400, 0)] {
            let jaccard = f64::from(shared) / f64::from(800 - shared);
            let expected = jaccard + (1.0 - jaccard) / 256.0;
            let trials = 40;
            let agreed: usize = (0..trials)
                .map(|trial| {
                    let start = trial * 10_000;
                    numbered(start..start + 401)
                        .agreement(&numbered(start + shift..start + shift + 401))
                })
                .sum();
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let (agreed, lanes) = (agreed as f64, LANES as f64 * f64::from(trials));
            let share = agreed / lanes;
            let deviation = (expected * (1.0 - expected) / lanes).sqrt() + 1e-9;
            assert!((share - expected).abs() <= 3.0 * deviation, "{jaccard}: {share} {expected}");
        }
    }

    #[test]
    fn a_text_without_content_has_no_signature() {
        assert_eq!(None, Signature::of(&Shingles::of("")));
        assert_eq!(None, Signature::of(&Shingles::of("  ")));
    }
}
