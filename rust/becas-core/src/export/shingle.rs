//! A text as a set of word pairs, by which near-copies are told.

use unicode_normalization::UnicodeNormalization;

/// The distinct shingles of a text, hashed and sorted; empty for a text without any visible character.
///
/// The text is NFKC-normalised and lowercased; invisible formatting characters are dropped; everything that is
/// neither letter nor digit separates words. Scripts without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) count
/// each character as a word; so does a text of symbols only. A shingle is two words in a row, or the only word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shingles(Vec<u32>);

impl Shingles {
    /// The shingles of a text.
    pub(super) fn of(text: &str) -> Self {
        let words = words(text);
        let mut hashes: Vec<u32> = match words.as_slice() {
            [only] => vec![mixed(*only)],
            several => several.windows(2).map(|pair| mixed(mix(pair[0]) ^ pair[1])).collect(),
        };
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// The hashes, ascending and distinct.
    pub(super) fn hashes(&self) -> &[u32] {
        &self.0
    }
}

/// The hashes of the words, in order.
fn words(text: &str) -> Vec<u64> {
    let words = if text.is_ascii() {
        // Its own normal form: the greater part of messages need no tables.
        text.as_bytes()
            .split(|byte| !byte.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| {
                word.iter().fold(FNV_OFFSET, |state, byte| fnv(state, byte.to_ascii_lowercase()))
            })
            .collect()
    } else {
        split(visible(text).flat_map(char::to_lowercase))
    };
    if words.is_empty() {
        let symbols = visible(text).filter(|one| !one.is_whitespace());
        return symbols.map(|symbol| fnv_of(FNV_OFFSET, symbol)).collect();
    }
    words
}

fn visible(text: &str) -> impl Iterator<Item = char> {
    text.nfkc().filter(|character| !is_invisible(*character))
}

fn split(characters: impl Iterator<Item = char>) -> Vec<u64> {
    let mut words = Vec::new();
    let mut word = None;
    for character in characters {
        if stands_alone(character) {
            words.extend(word.take());
            words.push(fnv_of(FNV_OFFSET, character));
        } else if character.is_alphanumeric() {
            word = Some(fnv_of(word.unwrap_or(FNV_OFFSET), character));
        } else {
            words.extend(word.take());
        }
    }
    words.extend(word);
    words
}

/// Zero-width and directional characters, by which copies are disguised.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// Letters of scripts that put no spaces between words.
fn stands_alone(character: char) -> bool {
    matches!(
        character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
            | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
            | '\u{20000}'..='\u{323af}'
    )
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// A step of FNV-1a.
fn fnv(state: u64, byte: u8) -> u64 {
    (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
}

/// FNV-1a over the bytes of a character.
fn fnv_of(state: u64, character: char) -> u64 {
    character.encode_utf8(&mut [0; 4]).bytes().fold(state, fnv)
}

/// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
const fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Its lower half: enough to tell the few shingles of two texts apart.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn mixed(state: u64) -> u32 {
    mix(state) as u32
}

#[cfg(test)]
mod tests {
    use super::{super::sketch::Sketches, Shingles};

    fn near(one: &str, two: &str) -> bool {
        let mut sketches = Sketches::default();
        sketches.add(0, &Shingles::of(one));
        sketches.add(1, &Shingles::of(two));
        sketches.are_near(0, 1)
    }

    #[test]
    fn case_punctuation_width_and_invisible_characters_do_not_tell_texts_apart() {
        let plain = Shingles::of("Free nitro, claim it here");
        for disguised in [
            "free NITRO claim it here!!!",
            "Fr\u{200b}ee nitro: claim it here",
            "Ｆree nitro - claim\u{a0}it **here**",
        ] {
            assert_eq!(plain, Shingles::of(disguised), "{disguised}");
        }
    }

    #[test]
    fn the_boundary_is_a_jaccard_index_of_four_fifths() {
        // 9 pairs; with a tenth word appended 9 of 10 are shared, with two more 9 of 11, with three more 9 of 12.
        let base = "a b c d e f g h i j";
        assert!(near(base, "a b c d e f g h i j k"));
        assert!(near(base, "a b c d e f g h i j k l"));
        assert!(!near(base, "a b c d e f g h i j k l m"));
        // 8 of 10: exactly 0.8.
        assert!(near("a b c d e f g h i j", "x b c d e f g h i j"));
        // A word in the middle changes two pairs: 7 of 11.
        assert!(!near("a b c d e f g h i j", "a b c x e f g h i j"));
    }

    #[test]
    fn numbers_are_words_like_others() {
        assert!(!near("message number 17 of the test", "message number 18 of the test"));
    }

    #[test]
    fn scripts_without_spaces_and_bare_symbols_have_shingles_too() {
        assert_eq!(5, Shingles::of("免费领取礼品").hashes().len());
        assert!(near("免费领取礼品点击这里", "免费领取礼品点击这里吧"));
        assert_eq!(Shingles::of("🎉 🎁"), Shingles::of("🎉🎁"));
        assert_eq!(1, Shingles::of("hello").hashes().len());
        assert!(Shingles::of(" \u{200b}\n").hashes().is_empty());
    }
}
