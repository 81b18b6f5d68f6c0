//! A guild's word on disk, sealed together with the guild: no flipped bit makes a withdrawal a grant.

use super::fields::{Reader, Writer, damaged};
use crate::{error::Result, pseudonym::Pseudonym};

const VERSION: u8 = 1;

/// What a guild said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) guild: Pseudonym,
    pub(super) granted: bool,
}

impl Word {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer.pseudonym(self.guild).byte(u8::from(self.granted));
        writer.finish()
    }
}

/// The word under a key. Where it is damaged, whoever asks must take it for a withdrawal.
pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Word> {
    let what = "a guild's consent";
    let guild = <[u8; 16]>::try_from(key).map(Pseudonym);
    // As it was written before words were sealed.
    if let ([granted @ (0 | 1)], Ok(guild)) = (bytes, guild) {
        return Ok(Word { guild, granted: *granted == 1 });
    }
    let mut reader = Reader::new(bytes, VERSION, what)?;
    let word = (|| Some(Word { guild: reader.pseudonym()?, granted: reader.byte()? == 1 }))();
    word.ok_or_else(|| damaged(what))
}

/// Whether a word stands under its own guild and can be read.
pub(super) fn is_whole(key: &[u8], bytes: &[u8]) -> bool {
    decode(key, bytes).is_ok_and(|word| word.guild.0 == key)
}
