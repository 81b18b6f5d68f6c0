//! The text as it reads, with the way back to how it is written.

use std::borrow::Cow;

use super::{
    fold::{Fold, fold},
    triggers::Triggers,
};

/// Stands for every byte that is already claimed. No pattern matches it, so that matches never overlap, and every
/// look-around ends at it, so that the length of what it hides decides nothing.
pub(super) const MASK: u8 = 0x1F;

/// How far around a spelled-out `(at)` spaces belong to it.
const SPACES: usize = 2;

/// How long a spelled-out sign is at most, with its opening bracket: `[ dot `.
const LONGEST_SPELLED: usize = 8;

/// UTF-8 that is matched instead of the text: look-alikes folded to ASCII, invisible characters dropped.
pub(super) struct View<'t> {
    bytes: Cow<'t, [u8]>,
    shifts: Vec<Shift>,
}

/// From this offset on, view and text run in step, until the next shift.
#[derive(Clone, Copy, Debug)]
struct Shift {
    view: usize,
    text: usize,
    /// Bytes of text behind the one byte at `view`, where the two do not run in step; else 0.
    width: usize,
}

impl<'t> View<'t> {
    pub(super) fn new(text: &'t str, triggers: Triggers) -> Self {
        if !triggers.meets(Triggers::WIDE.or(Triggers::BRACKET)) {
            return Self { bytes: Cow::Borrowed(text.as_bytes()), shifts: Vec::new() };
        }
        let mut builder = Builder { text, folded: None, copied: 0, shifts: Vec::new(), spaces: 0 };
        builder.run();
        match builder.folded {
            Some(folded) => Self { bytes: Cow::Owned(folded), shifts: builder.shifts },
            None => Self { bytes: Cow::Borrowed(text.as_bytes()), shifts: Vec::new() },
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether anything reads differently than it is written.
    pub(super) fn is_folded(&self) -> bool {
        !self.shifts.is_empty()
    }

    pub(super) fn mask(&mut self, start: usize, end: usize) {
        self.bytes.to_mut()[start..end].fill(MASK);
    }

    /// Byte range of the text behind a non-empty range of the view. Invisible characters inside belong to it, those
    /// at its ends do not.
    pub(super) fn in_text(&self, start: usize, end: usize) -> (usize, usize) {
        let last = end - 1;
        let before_end = self.shift(last);
        let end = if before_end.width > 0 {
            before_end.text + before_end.width
        } else {
            before_end.text + (last - before_end.view) + 1
        };
        let at_start = self.shift(start);
        (at_start.text + (start - at_start.view), end)
    }

    fn shift(&self, offset: usize) -> Shift {
        let after = self.shifts.partition_point(|shift| shift.view <= offset);
        after.checked_sub(1).map_or(Shift { view: 0, text: 0, width: 0 }, |last| self.shifts[last])
    }
}

struct Builder<'t> {
    text: &'t str,
    /// None until the first character that reads differently.
    folded: Option<Vec<u8>>,
    /// How much of the text is in `folded`.
    copied: usize,
    shifts: Vec<Shift>,
    /// How many spaces would still belong to the spelled-out sign before them.
    spaces: usize,
}

impl Builder<'_> {
    fn run(&mut self) {
        let bytes = self.text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at = match bytes[at] {
                close @ (b')' | b']' | b'}' | b'>') => self.close(at, at + 1, close),
                b' ' if self.spaces > 0 => self.space(at, at + 1),
                0..0x80 => {
                    self.spaces = 0;
                    let plain =
                        |byte: &u8| *byte < 0x80 && !matches!(byte, b')' | b']' | b'}' | b'>');
                    at + bytes[at..].iter().take_while(|byte| plain(byte)).count()
                }
                _ => self.wide(at),
            };
        }
        self.copy(bytes.len());
    }

    /// Folds the character at an offset, which is outside ASCII; returns where the next one is.
    fn wide(&mut self, at: usize) -> usize {
        let Some(character) = self.text[at..].chars().next() else { return self.text.len() };
        let end = at + character.len_utf8();
        let fold = fold(character);
        if !matches!(fold, Fold::Drop | Fold::To(b' ')) {
            self.spaces = 0;
        }
        match fold {
            Fold::Keep => end,
            Fold::To(b' ') if self.spaces > 0 => self.space(at, end),
            Fold::Drop => {
                let view = self.reached(at);
                self.replace(view, at, end, None);
                end
            }
            Fold::To(close @ (b')' | b']' | b'}' | b'>')) => {
                let next = self.close(at, end, close);
                if self.copied < end {
                    let view = self.reached(at);
                    self.replace(view, at, end, Some(close));
                }
                next
            }
            Fold::To(sign) => {
                let view = self.reached(at);
                self.replace(view, at, end, Some(sign));
                end
            }
        }
    }

    /// Drops a space after a spelled-out sign.
    fn space(&mut self, at: usize, end: usize) -> usize {
        let view = self.reached(at);
        self.replace(view, at, end, None);
        self.spaces -= 1;
        end
    }

    /// Reads a closing bracket: where it ends a spelled-out sign, that and the spaces around it become the sign.
    fn close(&mut self, at: usize, end: usize, close: u8) -> usize {
        self.copy(at);
        let bytes = self.text.as_bytes();
        let read = self.folded.as_deref().unwrap_or(&bytes[..at]);
        self.spaces = 0;
        let Some((sign, open)) = spelled_out(read, close) else { return end };
        let spaces =
            read[..open].iter().rev().take(SPACES).take_while(|byte| **byte == b' ').count();
        let start = open - spaces;
        let written = self.written(start);
        if let Some(folded) = &mut self.folded {
            folded.truncate(start);
        }
        while self.shifts.last().is_some_and(|shift| shift.view > start) {
            self.shifts.pop();
        }
        self.replace(start, written, end, Some(sign));
        self.spaces = SPACES;
        end
    }

    /// Copies the text up to an offset, if anything is folded yet.
    fn copy(&mut self, to: usize) {
        if let Some(folded) = &mut self.folded {
            folded.extend_from_slice(&self.text.as_bytes()[self.copied..to]);
            self.copied = to;
        }
    }

    /// Copies the text up to an offset and tells how long the view is then.
    fn reached(&mut self, at: usize) -> usize {
        self.copy(at);
        self.folded.as_ref().map_or(at, Vec::len)
    }

    /// Puts a sign, or nothing, for `start..end` of the text at `view`, where the view ends.
    fn replace(&mut self, view: usize, start: usize, end: usize, sign: Option<u8>) {
        let bytes = self.text.as_bytes();
        let folded = self.folded.get_or_insert_with(|| {
            let mut folded = Vec::with_capacity(bytes.len());
            folded.extend_from_slice(&bytes[..view]);
            folded
        });
        folded.extend(sign);
        let after = folded.len();
        self.copied = end;
        if sign.is_some() {
            self.push(Shift { view, text: start, width: end - start });
        }
        self.push(Shift { view: after, text: end, width: 0 });
    }

    /// Of several shifts at one offset of the view only the last decides.
    fn push(&mut self, shift: Shift) {
        if self.shifts.last().is_some_and(|last| last.view == shift.view) {
            self.shifts.pop();
        }
        self.shifts.push(shift);
    }

    /// The offset of the text behind one of the view.
    fn written(&self, view: usize) -> usize {
        let after = self.shifts.partition_point(|shift| shift.view <= view);
        after
            .checked_sub(1)
            .map_or(view, |last| self.shifts[last].text + (view - self.shifts[last].view))
    }
}

/// Reads `(at)`, `[dot]`, `{ . }` and the like backwards from the bracket that closes it; gives the sign and where the
/// bracket is that opens it.
fn spelled_out(read: &[u8], close: u8) -> Option<(u8, usize)> {
    let open = match close {
        b')' => b'(',
        b']' => b'[',
        b'}' => b'{',
        _ => b'<',
    };
    let first = read.len().saturating_sub(LONGEST_SPELLED);
    let at = first + memchr::memrchr(open, &read[first..])?;
    let word = read[at + 1..].trim_ascii();
    let sign = if word == b"@"
        || word.eq_ignore_ascii_case(b"at")
        || word.eq_ignore_ascii_case(b"@t")
    {
        b'@'
    } else if word == b"." || word.eq_ignore_ascii_case(b"dot") || word.eq_ignore_ascii_case(b"d0t")
    {
        b'.'
    } else {
        return None;
    };
    Some((sign, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> View<'_> {
        View::new(text, Triggers::of(text.as_bytes()))
    }

    #[test]
    fn text_that_reads_as_written_is_not_copied() {
        for text in ["plain", "naïve – no", "任何人", "(see below)"] {
            let view = view(text);
            assert_eq!(text.contains('–'), view.is_folded());
        }
    }

    #[test]
    fn every_offset_of_the_view_leads_back_to_what_was_written() {
        let text = "a\u{200B}b ０８\u{FE0F}\u{20E3} x (at)  y [dot] z é!";

        let view = view(text);

        assert_eq!("ab 08 x@y.z é!", String::from_utf8_lossy(view.bytes()));
        let written = |start: usize, end: usize| {
            let (start, end) = view.in_text(start, end);
            &text[start..end]
        };
        assert_eq!("a", written(0, 1));
        assert_eq!("a\u{200B}b", written(0, 2));
        assert_eq!("０８", written(3, 5));
        assert_eq!("８", written(4, 5));
        assert_eq!("x (at)  y", written(6, 9));
        assert_eq!(" (at)", written(7, 8));
        assert_eq!("é", written(12, 14));
        assert_eq!("é!", written(12, 15));
    }
}
