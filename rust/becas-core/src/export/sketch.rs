//! Bottom-k sketches of texts, MinHash with one hash function: near-copies are told without reading the texts again.

use std::cmp::Ordering;

use super::shingle::Shingles;

/// Hashes of a text that are kept, the smallest ones (Broder 1997, "On the resemblance and containment of documents").
/// A text with so many word pairs or fewer is compared exactly; of a longer one the k smallest hashes of both together
/// are a random sample, so that the estimate of a Jaccard index of 0.8 deviates by 0.04.
pub(super) const KEPT: usize = 96;
/// So many of [`KEPT`] hashes two near-copies share, at 5 deviations under the 77 to be expected.
const SURELY_SHARED: usize = 57;
/// The smallest text that can be a near-copy of one with more than [`KEPT`] shingles.
const NEAR_LONG: u32 = 78;

/// Sketches of many texts, one after the other; a text is named by its position.
#[derive(Debug, Default)]
pub(super) struct Sketches {
    texts: Vec<Text>,
    hashes: Vec<u32>,
}

/// What is known of a text before its hashes are looked at.
#[derive(Clone, Copy, Debug)]
struct Text {
    /// Bit h mod 64 is set for each hash h.
    bits: u64,
    start: usize,
    row: u32,
    /// Shingles of the text, kept or not.
    size: u32,
}

impl Sketches {
    /// Adds the text of a row; one without shingles is near to nothing, and is left out.
    pub(super) fn add(&mut self, row: u32, shingles: &Shingles) {
        let hashes = shingles.hashes();
        if hashes.is_empty() {
            return;
        }
        let start = self.hashes.len();
        self.hashes.extend_from_slice(&hashes[..hashes.len().min(KEPT)]);
        let bits = self.hashes[start..].iter().fold(0, |bits, hash| bits | 1 << (hash % 64));
        self.texts.push(Text { bits, start, row, size: super::numbers::index(hashes.len()) });
    }

    /// Adds the sketches of other rows, which begin at `first_row`.
    pub(super) fn append(&mut self, others: &Self, first_row: u32) {
        let start = self.hashes.len();
        self.hashes.extend_from_slice(&others.hashes);
        self.texts.extend(others.texts.iter().map(|text| Text {
            start: start + text.start,
            row: first_row + text.row,
            ..*text
        }));
    }

    /// The shortest texts first, those of a length in the order of their rows.
    pub(super) fn sort_by_size(&mut self) {
        self.texts.sort_by_key(|text| text.size);
    }

    /// How many texts there are.
    pub(super) const fn len(&self) -> usize {
        self.texts.len()
    }

    /// The row of a text.
    pub(super) fn row(&self, text: usize) -> u32 {
        self.texts[text].row
    }

    /// How many shingles a text has.
    pub(super) fn size(&self, text: usize) -> u32 {
        self.texts[text].size
    }

    /// The hashes kept of a text, ascending.
    pub(super) fn hashes(&self, text: usize) -> &[u32] {
        let Text { start, size, .. } = self.texts[text];
        &self.hashes[start..start + KEPT.min(size as usize)]
    }

    /// How many of a text's kept hashes each near-copy of it shares at least.
    pub(super) fn shared_with_near_copies(&self, text: usize) -> usize {
        let size = self.size(text);
        if size < NEAR_LONG { (4 * size as usize).div_ceil(5) } else { SURELY_SHARED }
    }

    /// False where a glance tells that two texts are no near-copies.
    pub(super) fn may_be_near(&self, one: usize, two: usize) -> bool {
        let different = (self.texts[one].bits ^ self.texts[two].bits).count_ones() as usize;
        self.whole(one, two).is_none_or(|most| different <= most)
    }

    /// In how many hashes near-copies differ at most, where all hashes of both are kept: J ≥ 4/5 is
    /// |A ∩ B| ≥ 4/9 (|A| + |B|), and so |A Δ B| ≤ 1/9 (|A| + |B|).
    fn whole(&self, one: usize, two: usize) -> Option<usize> {
        let (first, second) = (self.size(one) as usize, self.size(two) as usize);
        (first.max(second) <= KEPT).then_some((first + second) / 9)
    }

    /// Whether the Jaccard index |A ∩ B| / |A ∪ B| of two texts is at least 0.8, as far as their sketches tell.
    pub(super) fn are_near(&self, one: usize, two: usize) -> bool {
        let (most, sample) =
            self.whole(one, two).map_or((KEPT / 5, KEPT), |most| (most, usize::MAX));
        let (left, right) = (self.hashes(one), self.hashes(two));
        let (mut at, mut other_at, mut seen, mut different) = (0, 0, 0, 0);
        while seen < sample && different <= most {
            let order = match (left.get(at), right.get(other_at)) {
                (None, None) => break,
                (Some(a), Some(b)) => a.cmp(b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            at += usize::from(order.is_le());
            other_at += usize::from(order.is_ge());
            different += usize::from(order.is_ne());
            seen += 1;
        }
        different <= most
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Shingles, Sketches};

    /// Two texts of words with these numbers.
    fn pair(one: std::ops::Range<u32>, two: std::ops::Range<u32>) -> Sketches {
        let mut sketches = Sketches::default();
        for (row, range) in [(0, one), (1, two)] {
            let text: Vec<String> = range.map(|number| format!("w{number}")).collect();
            sketches.add(row, &Shingles::of(&text.join(" ")));
        }
        sketches
    }

    #[test]
    fn texts_of_so_many_pairs_are_compared_exactly() {
        // 91 words are 90 pairs. Without the first `shift` words, and as many more: 90 − shift of 90 + shift in common.
        for start in (0..100).map(|trial| 1_000 * trial) {
            assert!(pair(start..start + 91, start + 10..start + 101).are_near(0, 1), "80 of 100");
            assert!(!pair(start..start + 91, start + 11..start + 102).are_near(0, 1), "79 of 101");
        }
    }

    #[test]
    fn of_longer_texts_a_sample_decides() {
        // 401 words are 400 pairs; (shift, share of pairs of texts that are called near): J = 0.9, 0.86, 0.74, 0.7.
        for (shift, least, most) in [(21, 99, 100), (30, 90, 100), (60, 0, 15), (70, 0, 3)] {
            let near = (0..100).filter(|trial| {
                let start = 1_000 * trial;
                pair(start..start + 401, start + shift..start + shift + 401).are_near(0, 1)
            });
            assert!((least..=most).contains(&near.count()), "{shift}");
        }
    }

    #[test]
    fn a_long_text_and_a_whole_one_are_compared_like_two_long_ones() {
        // 90 pairs, all of them among the 100 of the other: J = 0.9. Among 140: 0.64.
        let near = |length: u32| {
            (0..100)
                .map(|trial| 1_000 * trial)
                .filter(|start| pair(*start..start + 91, *start..start + length + 1).are_near(0, 1))
                .count()
        };
        assert!(near(100) >= 97);
        assert!(near(140) <= 3);
    }

    #[test]
    fn near_copies_share_as_much_as_is_looked_for() {
        // Shifts to a Jaccard index of 0.8 or a little more, at lengths around what is kept.
        for pairs in [5, 9, 40, 77, 78, 90, 96, 97, 110, 400] {
            let shift = pairs / 9;
            for start in (0..100).map(|trial| 1_000 * trial) {
                let sketches =
                    pair(start..start + pairs + 1, start + shift..start + shift + pairs + 1);
                let shared = sketches
                    .hashes(0)
                    .iter()
                    .filter(|hash| sketches.hashes(1).contains(hash))
                    .count();
                assert!(shared >= sketches.shared_with_near_copies(0), "{pairs}");
            }
        }
    }

    #[test]
    fn a_text_without_content_has_no_sketch() {
        let mut sketches = Sketches::default();
        sketches.add(0, &Shingles::of(""));
        sketches.add(1, &Shingles::of("  "));
        sketches.add(2, &Shingles::of("hello"));
        assert_eq!((1, 2, 1), (sketches.len(), sketches.row(0), sketches.size(0)));
    }

    #[test]
    fn no_more_than_a_sketch_is_kept_of_a_text() {
        assert_eq!(KEPT, pair(0..1000, 0..2).hashes(0).len());
    }
}
