//! Links into Discord: invites, webhooks, messages and channels, files on the CDN.

use memchr::memchr_iter;

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
    tokens::is_word,
    url,
};

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    let mut done = 0;
    for slash in memchr_iter(b'/', scan.bytes) {
        if slash < done || !scan.before(slash).is_some_and(|byte| byte.is_ascii_alphabetic()) {
            continue;
        }
        let host = scan.run_back(slash, url::LONGEST_HOST, url::is_host_byte);
        let Some((end, kind)) = link(scan, &scan.bytes[host..slash], slash) else { continue };
        done = end;
        found.push(Found::new(scheme(scan, host), end, kind));
    }
}

/// What a link is and where it ends, by its host and what follows.
fn link(scan: &Scan<'_>, host: &[u8], slash: usize) -> Option<(usize, PersonalData)> {
    if is_domain(host, b"discordapp.net")
        || is(host, b"cdn.discordapp.com")
        || is(host, b"cdn.discord.com")
    {
        return Some((url::end(scan, slash), PersonalData::CdnLink));
    }
    if is_domain(host, b"discord.gg") {
        return invite(scan, slash);
    }
    if !is_domain(host, b"discord.com") && !is_domain(host, b"discordapp.com") {
        return None;
    }
    let path = &scan.bytes[slash..];
    if starts(path, b"/invite/") {
        invite(scan, slash + b"/invite".len())
    } else if starts(path, b"/channels/") {
        Some((url::end(scan, slash), PersonalData::MessageLink))
    } else if starts(path, b"/api/") {
        let version = scan.run(slash + b"/api/".len(), |byte| byte.is_ascii_alphanumeric());
        let webhooks =
            starts(path, b"/api/webhooks/") || starts(&scan.bytes[version..], b"/webhooks/");
        webhooks.then(|| (url::end(scan, slash), PersonalData::Webhook))
    } else {
        None
    }
}

/// An invite needs a code; whatever else hangs on the link goes with it.
fn invite(scan: &Scan<'_>, slash: usize) -> Option<(usize, PersonalData)> {
    let code = scan.run(slash + 1, is_word);
    (code > slash + 2).then(|| (url::end(scan, slash), PersonalData::Invite))
}

/// Where the link begins: at its scheme, if it has one.
fn scheme(scan: &Scan<'_>, host: usize) -> usize {
    let before = &scan.bytes[..host];
    match before.strip_suffix(b"://") {
        Some(before) => {
            scan.run_back(before.len(), url::LONGEST_SCHEME, |byte| byte.is_ascii_alphabetic())
        }
        None => host,
    }
}

fn is(host: &[u8], name: &[u8]) -> bool {
    host.eq_ignore_ascii_case(name)
}

/// The domain itself or a host below it: `ptb.discord.com`, but not `mydiscord.com`.
fn is_domain(host: &[u8], domain: &[u8]) -> bool {
    host.len().checked_sub(domain.len()).is_some_and(|at| {
        host[at..].eq_ignore_ascii_case(domain) && (at == 0 || host[at - 1] == b'.')
    })
}

fn starts(path: &[u8], prefix: &[u8]) -> bool {
    path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
