//! URLs: user info, query values and path parts that are no plain words go; scheme, host and words stay.

use memchr::memchr2_iter;

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
    url_part::is_token,
    view::MASK,
};

/// The longest name that DNS allows.
pub(super) const LONGEST_HOST: usize = 253;
/// The longest scheme that is looked for.
pub(super) const LONGEST_SCHEME: usize = 20;

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for sign in memchr2_iter(b'/', b'?', scan.bytes) {
        if sign < done {
            continue;
        }
        if scan.bytes[sign] == b'/'
            && scan.before(sign) == Some(b':')
            && scan.at(sign + 1) == Some(b'/')
        {
            let authority = sign + 2;
            done = end(scan, authority);
            Url { scan, found }.whole(authority, done);
        } else if follows_host(scan, sign) {
            done = end(scan, sign);
            if scan.bytes[sign] == b'/' || scan.bytes[sign..done].contains(&b'=') {
                Url { scan, found }.after_authority(sign, done);
            }
        }
    }
}

/// Whether a `/` or `?` ends a host that is written without a scheme: `bit.ly/…`.
fn follows_host(scan: &Scan<'_>, sign: usize) -> bool {
    let start = scan.run_back(sign, LONGEST_HOST, is_host_byte);
    let host = &scan.bytes[start..sign];
    let Some(dot) = memchr::memrchr(b'.', host) else { return false };
    let top = &host[dot + 1..];
    dot > 0
        && top.len() >= 2
        && top.iter().all(u8::is_ascii_alphabetic)
        && !scan.before(start).is_some_and(|byte| matches!(byte, b'@' | b'/'))
}

pub(super) const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-'
}

/// Where a URL ends: before a space, a quote or the like, and before the punctuation of the sentence around it. What
/// is claimed inside does not end it.
pub(super) fn end(scan: &Scan<'_>, from: usize) -> usize {
    let end = scan.run_with_letters(from, is_url_byte);
    let trimmed = scan.bytes[from..end].iter().rposition(|byte| {
        !matches!(
            byte,
            b'.' | b',' | b':' | b';' | b'!' | b'?' | b'\'' | b')' | b']' | b'*' | b'_' | b'~'
        )
    });
    trimmed.map_or(from, |last| from + last + 1)
}

const fn is_url_byte(byte: u8) -> bool {
    byte == MASK
        || byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

struct Url<'s, 'a, 'f> {
    scan: &'s Scan<'a>,
    found: &'f mut Vec<Found>,
}

impl Url<'_, '_, '_> {
    fn whole(&mut self, authority: usize, end: usize) {
        let length = self.scan.bytes[authority..end]
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        let authority_end = length.map_or(end, |length| authority + length);
        if let Some(at) = memchr::memrchr(b'@', &self.scan.bytes[authority..authority_end]) {
            self.claim(authority, authority + at, PersonalData::UrlCredentials);
        }
        self.after_authority(authority_end, end);
    }

    fn after_authority(&mut self, start: usize, end: usize) {
        let bytes = &self.scan.bytes[..end];
        let position = |from: usize, sign: u8| {
            memchr::memchr(sign, &bytes[from..]).map_or(end, |at| from + at)
        };
        let fragment = position(start, b'#');
        let query = position(start, b'?').min(fragment);
        self.path(start, query);
        self.parameters(query, fragment);
        if memchr::memchr(b'=', &bytes[fragment..]).is_some() {
            self.parameters(fragment, end);
        } else {
            self.path(fragment, end);
        }
    }

    /// Parts between slashes, with their parameters after semicolons.
    fn path(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let stop = self.scan.run_within(at, end, |byte| !matches!(byte, b'/' | b';' | b'#'));
            match memchr::memchr(b'=', &self.scan.bytes[at..stop]) {
                Some(equals) => self.claim(at + equals + 1, stop, PersonalData::UrlQuery),
                None => self.part(at, stop),
            }
            at = stop + 1;
        }
    }

    fn part(&mut self, start: usize, end: usize) {
        // `/@name` is somebody's page.
        if self.scan.bytes.get(start) == Some(&b'@') {
            self.claim(start + 1, end, PersonalData::UrlToken);
            return;
        }
        let pieces = self.scan.bytes[start..end].split(|byte| *byte == MASK);
        if pieces.into_iter().any(is_token) {
            self.claim(start, end, PersonalData::UrlToken);
        }
    }

    /// `?key=value&key=value`: the keys stay. A query without keys goes as a whole.
    fn parameters(&mut self, start: usize, end: usize) {
        let mut at = start + 1;
        while at < end {
            let stop = self.scan.run_within(at, end, |byte| !matches!(byte, b'&' | b';'));
            let value = memchr::memchr(b'=', &self.scan.bytes[at..stop])
                .map_or(at, |equals| at + equals + 1);
            self.claim(value, stop, PersonalData::UrlQuery);
            at = stop + 1;
        }
    }

    fn claim(&mut self, start: usize, end: usize, kind: PersonalData) {
        if start < end {
            self.found.push(Found::new(start, end, kind));
        }
    }
}
