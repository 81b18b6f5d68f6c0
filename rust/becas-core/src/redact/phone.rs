//! Telephone numbers: international, British and North American ones anywhere, others where the words around say so.

use super::{
    context::{has_word_after, has_word_before},
    kind::PersonalData,
    nanp,
    scan::{Found, Scan},
    separator,
};

/// ITU-T E.164 allows 15 digits; two more for the prefix of international calls.
const LONGEST: usize = 17;
/// The fewest digits that a number has where words say that it is one.
const SHORTEST: usize = 6;
/// As above, written in one piece: shorter ones are short codes, which name a service.
const SHORTEST_UNBROKEN: usize = 7;
/// People write a number in at most so many groups of two digits or more.
const MOST_GROUPS: usize = 6;

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let runs = &scan.tokens.digits;
    let mut at = 0;
    let mut done = 0;
    while at < runs.len() {
        let mut candidate = Candidate::new(scan, at, done);
        let Some(groups) = candidate.groups_of_number(done) else {
            // The rest of a date is no number either.
            at += if candidate.begins_with_date() { 3 } else { 1 };
            continue;
        };
        let end = extension_end(scan, runs[at + groups - 1].end);
        found.push(Found::new(candidate.start, end, PersonalData::Phone));
        done = end;
        while at < runs.len() && runs[at].start < end {
            at += 1;
        }
    }
}

/// Groups of digits that one number could consist of, beginning with a given one.
struct Candidate<'s, 'a> {
    scan: &'s Scan<'a>,
    first: usize,
    /// Where its `+` or bracket is, or its first digit.
    start: usize,
    digits: [u8; LONGEST],
    /// How many digits the first group has, the first two, and so on.
    totals: [usize; LONGEST],
    count: usize,
    has_plus: bool,
    has_bracket: bool,
}

impl<'s, 'a> Candidate<'s, 'a> {
    fn new(scan: &'s Scan<'a>, first: usize, done: usize) -> Self {
        let runs = &scan.tokens.digits;
        let digits_start = runs[first].start;
        let opening = scan.run_back(digits_start, 2, |byte| matches!(byte, b'+' | b'(')).max(done);
        let opening = &scan.bytes[opening..digits_start];
        // `C++11` and `1+1` have no international prefix.
        let before = scan.before(digits_start - opening.len());
        let has_plus = opening.contains(&b'+')
            && opening != b"++"
            && !(opening.starts_with(b"+") && before.is_some_and(|byte| byte.is_ascii_digit()));
        // A bracket around the area code, not around all of it.
        let has_bracket = opening.contains(&b'(')
            && runs[first].len() <= 5
            && scan.at(runs[first].end) == Some(b')')
            && scan.tokens.joined[first];
        let signs = match opening {
            b"((" | b"(" => usize::from(has_bracket),
            b"(+" if !has_bracket => 1,
            _ if has_plus => opening.len(),
            _ => 0,
        };
        Self {
            scan,
            first,
            start: digits_start - signs,
            digits: [0; LONGEST],
            totals: [0; LONGEST],
            count: 0,
            has_plus,
            has_bracket,
        }
    }

    /// How many of the groups make up a number, if any do.
    fn groups_of_number(&mut self, done: usize) -> Option<usize> {
        let amid = !self.has_plus && separator::is_amid_row(self.scan, self.first, done, 1);
        if amid || self.is_inside_of_something() {
            return None;
        }
        self.collect();
        let by_itself = || (1..=self.count).rev().find(|groups| self.is_number(*groups));
        let by_itself = if self.may_begin_number() { by_itself() } else { None };
        by_itself.or_else(|| {
            // Of groups in a row the first decides: it stands nearest to the words, and takes the others with it.
            let runs = &self.scan.tokens.digits;
            let before =
                self.first.checked_sub(1).filter(|before| self.scan.tokens.joined[*before]);
            let is_first = before.is_none_or(|at| runs[at].len() == 1 || runs[at].start < done);
            if is_first { self.groups_of_number_in_context() } else { None }
        })
    }

    fn collect(&mut self) {
        let tokens = self.scan.tokens;
        let mut total = 0;
        for (at, run) in tokens.digits.iter().enumerate().skip(self.first).take(LONGEST) {
            let filled = total + run.len();
            if filled > LONGEST {
                break;
            }
            self.digits[total..filled].copy_from_slice(&self.scan.bytes[run.clone()]);
            total = filled;
            self.totals[self.count] = total;
            self.count += 1;
            if !tokens.joined[at] {
                break;
            }
        }
    }

    /// Whether the first digits are those of a number that needs no words around; most are not, and that is quick.
    fn may_begin_number(&self) -> bool {
        let total = self.count.checked_sub(1).map_or(0, |last| self.totals[last]);
        let grouped = matches!(self.length(0), 1 | 3);
        total >= SHORTEST_UNBROKEN
            && (self.has_plus
                || self.has_bracket
                || match &self.digits[..5] {
                    [b'0', ..] | [b'4', b'4', ..] => true,
                    [b'1', rest @ ..] => grouped || nanp::may_begin(rest),
                    digits => grouped || nanp::may_begin(digits),
                })
    }

    fn groups_of_number_in_context(&self) -> Option<usize> {
        let runs = &self.scan.tokens.digits[self.first..self.first + self.count];
        let most = runs.iter().take(MOST_GROUPS).take_while(|run| run.len() > 1).count();
        let mut shaped = (1..=most).rev().filter(|groups| self.is_shaped(*groups)).peekable();
        shaped.peek()?;
        let before = has_word_before(self.scan, self.start, says_phone_before);
        shaped.find(|groups| {
            (before || has_word_after(self.scan, self.end(*groups), says_phone_after))
                && !self.has_date(*groups)
                && !self.is_before_minutes(*groups)
        })
    }

    /// Whether what stands before makes it a time, a fraction or an amount.
    fn is_inside_of_something(&self) -> bool {
        let runs = &self.scan.tokens.digits;
        let follows = self.first > 0 && runs[self.first - 1].end + 1 == runs[self.first].start;
        match self.scan.before(self.start) {
            Some(b':') => follows && runs[self.first - 1].len() <= 2,
            Some(b'.') => {
                follows && runs[self.first - 1].len() == 1 && !self.scan.tokens.joined[self.first]
            }
            Some(b',') => follows && runs[self.first - 1].len() <= 3 && runs[self.first].len() == 3,
            Some(b'$') => true,
            // The second bytes of £ and € are theirs alone among letters and signs before a number.
            Some(0xA3) => self.scan.bytes[..self.start].ends_with("£".as_bytes()),
            Some(0xAC) => self.scan.bytes[..self.start].ends_with("€".as_bytes()),
            _ => false,
        }
    }

    fn digits(&self, groups: usize) -> &[u8] {
        &self.digits[..self.totals[groups - 1]]
    }

    fn length(&self, group: usize) -> usize {
        self.scan.tokens.digits[self.first + group].len()
    }

    fn end(&self, groups: usize) -> usize {
        self.scan.tokens.digits[self.first + groups - 1].end
    }

    /// Whether it is a number by itself.
    fn is_number(&self, groups: usize) -> bool {
        self.reads_as_number(groups) && !self.has_date(groups) && !self.is_before_minutes(groups)
    }

    fn reads_as_number(&self, groups: usize) -> bool {
        let digits = self.digits(groups);
        let total = digits.len();
        if total < SHORTEST_UNBROKEN {
            return false;
        }
        if self.has_plus && total <= 15 || self.has_bracket && total <= 12 {
            return true;
        }
        match digits {
            [b'0', b'0', b'1'..=b'9', ..] => total >= 10,
            [b'0', b'1', b'1', ..] if total > 11 && self.is_free(groups) => true,
            // A price often follows without a space: it goes along.
            [b'0', b'1'..=b'9', ..] => {
                matches!(total, 10 | 11) || groups == 1 && matches!(total, 12..=16)
            }
            [b'4', b'4', b'0', ..] if total == 13 => true,
            [b'4', b'4', ..] if matches!(total, 11 | 12) => self.is_free(groups),
            [b'1', rest @ ..] if total == 11 => {
                (nanp::is_valid(rest) || self.is_grouped_as(groups, &[1, 3, 3, 4]))
                    && self.is_free(groups)
            }
            _ if total == 10 => {
                (nanp::is_valid(digits) || self.is_grouped_as(groups, &[3, 3, 4]))
                    && self.is_free(groups)
            }
            _ => false,
        }
    }

    /// Whether that many groups of two digits or more are a number if the words around say so.
    fn is_shaped(&self, groups: usize) -> bool {
        let total = self.digits(groups).len();
        let shortest = if groups == 1 { SHORTEST_UNBROKEN } else { SHORTEST };
        let is_unit = |byte: u8| {
            byte == b'%' || byte.is_ascii_alphabetic() && !byte.eq_ignore_ascii_case(&b'x')
        };
        (shortest..=15).contains(&total) && !self.scan.at(self.end(groups)).is_some_and(is_unit)
    }

    /// Whether no letter touches it; a word for calling may: `call2125550123`.
    fn is_free(&self, groups: usize) -> bool {
        let letter = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphabetic());
        let end = self.end(groups);
        let open_end = !letter(self.scan.at(end)) || extension_end(self.scan, end) > end;
        open_end
            && (!letter(self.scan.before(self.start))
                || has_word_before(self.scan, self.start, says_phone_before))
    }

    /// Whether its groups have these lengths, with one separator between all of them and none of it around.
    fn is_grouped_as(&self, groups: usize, lengths: &[usize]) -> bool {
        let between = |group: usize| separator::between(self.scan, self.first + group);
        groups == lengths.len()
            && (0..groups).all(|group| self.length(group) == lengths[group])
            && (1..groups).all(|group| between(group - 1) == between(0))
            && !(between(groups - 1).is_some()
                && between(groups - 1) == between(0)
                && between(0) != Some(b" "))
    }

    /// Whether three of the groups are a date with a year of four digits, or all of it is one with two.
    fn has_date(&self, groups: usize) -> bool {
        let short = groups == 3 && self.is_date(0, 2);
        !self.has_plus && (short || (2..groups).any(|last| self.is_date(last - 2, 4)))
    }

    fn begins_with_date(&self) -> bool {
        self.count > 2 && self.is_date(0, 4)
    }

    fn is_date(&self, from: usize, year_digits: usize) -> bool {
        let lengths = [self.length(from), self.length(from + 1), self.length(from + 2)];
        let between = |group: usize| separator::between(self.scan, self.first + group);
        if between(from) != between(from + 1)
            || !matches!(between(from), Some(b"-" | b"/" | b"." | b" "))
        {
            return false;
        }
        let value = |group: usize| {
            let start = group.checked_sub(1).map_or(0, |before| self.totals[before]);
            self.digits[start..self.totals[group]]
                .iter()
                .fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'))
        };
        let is_day_month = |one: usize, other: usize| {
            let (one, other) = (value(one), value(other));
            (1..=31).contains(&one) && (1..=12).contains(&other)
                || (1..=12).contains(&one) && (1..=31).contains(&other)
        };
        let is_year = |group: usize| year_digits == 2 || (1900..2100).contains(&value(group));
        let short = |length: usize| (1..=2).contains(&length);
        (lengths[2] == year_digits
            && short(lengths[0])
            && short(lengths[1])
            && is_year(from + 2)
            && is_day_month(from, from + 1))
            || (lengths[0] == year_digits
                && short(lengths[1])
                && short(lengths[2])
                && is_year(from)
                && is_day_month(from + 1, from + 2))
    }

    /// Whether the last group is the hour of a time.
    fn is_before_minutes(&self, groups: usize) -> bool {
        let end = self.end(groups);
        !self.has_plus
            && self.length(groups - 1) <= 2
            && self.scan.at(end) == Some(b':')
            && self.scan.at(end + 1).is_some_and(|byte| byte.is_ascii_digit())
    }
}

/// Where an extension after a number ends: `x1234`, ` ext. 12`, `#5`.
fn extension_end(scan: &Scan<'_>, end: usize) -> usize {
    let rest = &scan.bytes[end..scan.bytes.len().min(end + 16)];
    let after_space = rest.strip_prefix(b" ").unwrap_or(rest);
    let marks: [&[u8]; 6] = [b"extension ", b"ext. ", b"ext.", b"ext ", b"ext", b"x"];
    let digits = marks.iter().find_map(|mark| {
        let start = after_space.get(..mark.len())?;
        start.eq_ignore_ascii_case(mark).then(|| &after_space[mark.len()..])
    });
    let Some(digits) = digits.or_else(|| rest.strip_prefix(b"#")) else { return end };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if (1..=7).contains(&count) { end + (rest.len() - digits.len()) + count } else { end }
}

fn says_phone_before(word: &[u8]) -> bool {
    matches!(
        word,
        b"answering"
            | b"call"
            | b"called"
            | b"calling"
            | b"cell"
            | b"cellphone"
            | b"contact"
            | b"desk"
            | b"dial"
            | b"fax"
            | b"helpline"
            | b"hotline"
            | b"landline"
            | b"mob"
            | b"mobile"
            | b"ph"
            | b"phone"
            | b"phoned"
            | b"ring"
            | b"sms"
            | b"tel"
            | b"telegram"
            | b"telephone"
            | b"text"
            | b"txt"
            | b"voicemail"
            | b"whatsapp"
    )
}

fn says_phone_after(word: &[u8]) -> bool {
    matches!(
        word,
        b"cell"
            | b"desk"
            | b"fax"
            | b"home"
            | b"landline"
            | b"mobile"
            | b"office"
            | b"phone"
            | b"tel"
            | b"work"
    )
}
