//! The cache key, and the identity by which an invalidation finds an entry.
//!
//! Keys are keyed 128-bit hashes over parts with their lengths, so that nobody can make two requests one. The common
//! case (no headers, no cookies, the query as it came) allocates nothing. `docs/concepts/cache-keys.md` states the rules.

use std::borrow::Cow;
use std::hash::Hasher;

use percent_encoding::percent_decode;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::fields::Head;
use crate::path::normal_form;
use crate::policy::{KeyRules, QueryRule};

/// A 128-bit keyed hash of everything that tells two answers apart.
/// Aligned as its halves: at 16 an entry's header would be padded by as much again.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);

/// The secret of an edge's keys.
#[derive(Clone, Copy)]
pub struct KeySecret(pub [u8; 16]);

/// What an invalidation of a URL looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlMarks {
    /// Host and path.
    pub path: u64,
    /// Host, path and query.
    pub url: u64,
}

/// The parts of a key that are always there.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// The behavior's fingerprint: origin, prefixes and key rules.
    pub scope: u64,
    /// What the origin is told of the client's scheme (`forwarding::Scheme`), or `SCHEME_UNTOLD`.
    pub scheme: u8,
    /// The host, or what stands for it where it is not in the key.
    pub host: &'a str,
    /// The path in its normal form (`path::Paths::normal`).
    pub path: &'a str,
    /// What the rules leave of the query, in its normal form (`keyed_query`).
    pub query: &'a str,
}

/// Stands for the scheme in the keys of what the origin makes without knowing it.
pub const SCHEME_UNTOLD: u8 = u8::MAX;

/// The key of a request.
pub fn key<H: Head + ?Sized>(secret: &KeySecret, parts: &KeyParts<'_>, rules: &KeyRules, request: &H) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    hasher.write_u64(parts.scope);
    hasher.write_u8(parts.scheme);
    for part in [parts.host, parts.path, parts.query] {
        write(&mut hasher, part.as_bytes());
    }
    for name in &rules.headers {
        // A mark before each value and one at the end tell an absent field from an empty one, and two lines from one.
        for value in request.all(name) {
            hasher.write_u8(1);
            write(&mut hasher, value);
        }
        hasher.write_u8(0);
    }
    for name in &rules.cookies {
        match cookie_value(request, name) {
            Some(value) => {
                hasher.write_u8(1);
                write(&mut hasher, value);
            }
            None => hasher.write_u8(0),
        }
    }
    Key(hasher.finish128().as_u128())
}

/// The key of one input of a model. `scope` is the behavior's, `host` what invalidations know its host by, `row` holds the
/// model, its version and the input, and `credential` is of those among whom the answer is shared; `None`: everybody.
#[must_use]
pub fn row_key(secret: &KeySecret, scope: u64, host: &str, row: &[u8], credential: Option<Key>) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, b"row");
    hasher.write_u64(scope);
    write(&mut hasher, host.as_bytes());
    write(&mut hasher, row);
    if let Some(Key(credential)) = credential {
        hasher.write_u128(credential);
    }
    Key(hasher.finish128().as_u128())
}

/// What stands for the credentials of a request, which are kept nowhere: a keyed hash of `Authorization` and `Cookie`.
/// `None` if it has neither.
pub fn credential<H: Head + ?Sized>(secret: &KeySecret, request: &H) -> Option<Key> {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, b"credential");
    let mut has_any = false;
    for name in ["authorization", "cookie"] {
        for value in request.all(name) {
            has_any = true;
            hasher.write_u8(1);
            write(&mut hasher, value);
        }
        hasher.write_u8(0);
    }
    has_any.then(|| Key(hasher.finish128().as_u128()))
}

/// What a request brings, where that is part of its key.
#[derive(Clone, Copy, Debug)]
pub struct ContentParts<'a> {
    /// The method as received.
    pub method: &'a str,
    /// The media type in its normal form; `None` if there was none.
    pub content_type: Option<&'a [u8]>,
    /// The lines of `Content-Encoding`.
    pub codings: &'a [Vec<u8>],
    /// The body, as far as it counts.
    pub body: &'a [u8],
}

/// A digest of what a request brings.
#[must_use]
pub fn content_digest(secret: &KeySecret, parts: &ContentParts<'_>) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, b"content");
    write(&mut hasher, parts.method.as_bytes());
    for line in parts.content_type.into_iter() {
        hasher.write_u8(1);
        write(&mut hasher, line);
    }
    hasher.write_u8(0);
    for line in parts.codings {
        hasher.write_u8(1);
        write(&mut hasher, line);
    }
    hasher.write_u8(0);
    write(&mut hasher, parts.body);
    Key(hasher.finish128().as_u128())
}

/// The key of a request with content: `url` is what its key would be without, `content` the digest.
#[must_use]
pub fn content_key(secret: &KeySecret, url: Key, content: Key) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, b"asked with content");
    hasher.write_u128(url.0);
    hasher.write_u128(content.0);
    Key(hasher.finish128().as_u128())
}

/// The identity of a URL: its parts as a key has them.
#[must_use]
pub fn url_marks(secret: &KeySecret, host: &str, path: &str, query: &str) -> UrlMarks {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, host.as_bytes());
    write(&mut hasher, path.as_bytes());
    let of_path = hasher.finish128().h1;
    // With its length even an empty query tells `/a` itself from `/a` with every query.
    write(&mut hasher, query.as_bytes());
    UrlMarks { path: of_path, url: hasher.finish128().h1 }
}

/// The identity of a tag. Tags are of no host: the same one on two hosts is one tag.
#[must_use]
pub fn tag_mark(secret: &KeySecret, tag: &str) -> u64 {
    named_mark(secret, b"tag", tag)
}

/// The identity of a model, of all its versions.
#[must_use]
pub fn model_mark(secret: &KeySecret, name: &str) -> u64 {
    named_mark(secret, b"model", name)
}

/// The identity of a distribution.
#[must_use]
pub fn distribution_mark(secret: &KeySecret, name: &str) -> u64 {
    named_mark(secret, b"distribution", name)
}

fn named_mark(secret: &KeySecret, kind: &[u8], name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, kind);
    write(&mut hasher, name.as_bytes());
    hasher.finish128().h1
}

/// The identities of the folders that `path` lies in, from the root on: of `/a/b` those of `/` and `/a/`. Of a folder,
/// which ends in `/`, the last one is its own.
pub fn folder_marks(secret: &KeySecret, host: &str, path: &str) -> impl Iterator<Item = u64> {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, b"folder");
    write(&mut hasher, host.as_bytes());
    path.split_inclusive('/').filter(|segment| segment.ends_with('/')).take(MAX_FOLDERS).map(move |segment| {
        write(&mut hasher, segment.as_bytes());
        hasher.finish128().h1
    })
}

/// Deeper folders have no identity: a path with a thousand of them would make others' lookups slow.
pub const MAX_FOLDERS: usize = 32;

/// Writes a part with its length, so that parts cannot run into each other.
pub(crate) fn write(hasher: &mut SipHasher13, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}

/// What the key holds of a query: what the rules leave of it, in its normal form (`path::normal_form`).
#[must_use]
pub fn keyed_query<'a>(rules: &KeyRules, raw: &'a str) -> Cow<'a, str> {
    match filter_query(&rules.query, rules.sort_query, raw) {
        Cow::Borrowed(kept) => normal_form(kept),
        Cow::Owned(kept) => Cow::Owned(normal_form(&kept).into_owned()),
    }
}

/// What a rule leaves of a query. Names are compared percent-decoded; what is kept is kept as it came. Borrowed if
/// that is all of it, in its order; else empty parameters are left out, too.
#[must_use]
pub fn filter_query<'a>(rule: &QueryRule, sort: bool, raw: &'a str) -> Cow<'a, str> {
    match rule {
        QueryRule::None => Cow::Borrowed(""),
        QueryRule::All if !sort => Cow::Borrowed(raw),
        _ => select(raw, sort, |parameter| is_kept(rule, parameter)),
    }
}

/// What goes to the origin: the parameters that either rule keeps, in their order or sorted.
#[must_use]
pub fn union_query<'a>(key: &QueryRule, forward: &QueryRule, sort: bool, raw: &'a str) -> Cow<'a, str> {
    if matches!(forward, QueryRule::None) {
        return filter_query(key, sort, raw);
    }
    select(raw, sort, |parameter| is_kept(key, parameter) || is_kept(forward, parameter))
}

fn select<'a>(raw: &'a str, sort: bool, is_kept: impl Fn(&str) -> bool) -> Cow<'a, str> {
    let mut previous = Cow::Borrowed("");
    let is_unchanged = raw.is_empty()
        || raw.split('&').all(|parameter| {
            let name = parameter_name(parameter);
            let in_order = !sort || previous <= name;
            previous = name;
            !parameter.is_empty() && in_order && is_kept(parameter)
        });
    if is_unchanged {
        return Cow::Borrowed(raw);
    }
    let mut parameters: Vec<&str> =
        raw.split('&').filter(|parameter| !parameter.is_empty() && is_kept(parameter)).collect();
    if sort {
        // Stable: the order of equal names can carry meaning.
        parameters.sort_by_cached_key(|parameter| parameter_name(parameter));
    }
    Cow::Owned(parameters.join("&"))
}

fn is_kept(rule: &QueryRule, parameter: &str) -> bool {
    let name = parameter_name(parameter);
    match rule {
        QueryRule::None => false,
        QueryRule::All => true,
        QueryRule::Allow(names) => names.iter().any(|allowed| *allowed == name),
        QueryRule::Deny(names) => !names.iter().any(|denied| *denied == name),
    }
}

fn parameter_name(parameter: &str) -> Cow<'_, str> {
    let name = parameter.split('=').next().unwrap_or_default();
    // Hits come by here with every parameter, and most names are plain.
    if name.contains('%') { percent_decode(name.as_bytes()).decode_utf8_lossy() } else { Cow::Borrowed(name) }
}

/// The value of the cookie `name` (RFC 6265 section 4.2.1); the first, if there are several.
pub fn cookie_value<'h, H: Head + ?Sized>(head: &'h H, name: &str) -> Option<&'h [u8]> {
    head.fields().filter(|field| field.name.eq_ignore_ascii_case("cookie")).map(|field| field.value).find_map(|line| {
        line.split(|&byte| byte == b';').find_map(|pair| {
            let pair = pair.trim_ascii();
            let at = pair.iter().position(|&byte| byte == b'=')?;
            (pair[..at] == *name.as_bytes()).then_some(&pair[at + 1..])
        })
    })
}

/// A host as keys and invalidations have it: lower case, without port and without a final dot.
#[must_use]
pub fn normalize_host(authority: &str) -> Cow<'_, str> {
    let (host, _) = split_authority(authority);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// The host without a final dot, in the case it came in, and what is behind it: nothing, or a colon and perhaps a port.
#[must_use]
pub fn split_authority(authority: &str) -> (&str, &str) {
    let (host, port) = match authority.rfind(':') {
        // The colons inside an IPv6 literal are not a port's: `[::1]:8080`.
        Some(colon) if !authority[colon..].contains(']') => authority.split_at(colon),
        _ => (authority, ""),
    };
    (host.strip_suffix('.').unwrap_or(host), port)
}

#[cfg(test)]
mod tests;
