//! The cache key, and the identity by which an invalidation finds an entry.
//!
//! Keys are keyed 128-bit hashes over parts with their lengths, so that nobody can make two requests one. The common
//! case (no headers, no cookies, the query as it came) allocates nothing.

use std::borrow::Cow;
use std::hash::Hasher;

use percent_encoding::percent_decode;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::fields::Head;
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
    /// The host, or what stands for it where it is not in the key.
    pub host: &'a str,
    /// The raw path.
    pub path: &'a str,
    /// What the rules leave of the query.
    pub query: &'a str,
}

/// The key of a request.
pub fn key<H: Head + ?Sized>(secret: &KeySecret, parts: &KeyParts<'_>, rules: &KeyRules, request: &H) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    hasher.write_u64(parts.scope);
    for part in [parts.host, parts.path, parts.query] {
        write(&mut hasher, part.as_bytes());
    }
    for name in &rules.headers {
        let mut n_values = 0_u64;
        for value in request.all(name) {
            write(&mut hasher, value);
            n_values += 1;
        }
        // Their number tells an absent field from an empty one, and two lines from one.
        hasher.write_u64(n_values);
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

/// The key of a variant: the primary key and what the request says in the fields the answer varies by.
pub(crate) fn extend<'a>(secret: &KeySecret, primary: Key, parts: impl Iterator<Item = Option<Cow<'a, [u8]>>>) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    hasher.write_u128(primary.0);
    for part in parts {
        match part {
            Some(value) => {
                hasher.write_u8(1);
                write(&mut hasher, &value);
            }
            None => hasher.write_u8(0),
        }
    }
    Key(hasher.finish128().as_u128())
}

/// The identity of a URL.
#[must_use]
pub fn url_marks(secret: &KeySecret, host: &str, path: &str, query: &str) -> UrlMarks {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, host.as_bytes());
    write(&mut hasher, path.as_bytes());
    let of_path = hasher.finish128().h1;
    write(&mut hasher, query.as_bytes());
    // Another bit tells `/a` itself from `/a` with every query.
    hasher.write_u8(1);
    UrlMarks { path: of_path, url: hasher.finish128().h1 }
}

fn write(hasher: &mut SipHasher13, bytes: &[u8]) {
    hasher.write_usize(bytes.len());
    hasher.write(bytes);
}

/// What a rule leaves of a query. Names are compared percent-decoded; what is kept is kept as it came.
#[must_use]
pub fn filter_query<'a>(rule: &QueryRule, sort: bool, raw: &'a str) -> Cow<'a, str> {
    if raw.is_empty() {
        return Cow::Borrowed("");
    }
    match rule {
        QueryRule::None => Cow::Borrowed(""),
        QueryRule::All if !sort => Cow::Borrowed(raw),
        QueryRule::All => join(parameters(raw).collect(), true),
        QueryRule::Allow(_) | QueryRule::Deny(_) => {
            join(parameters(raw).filter(|parameter| is_kept(rule, parameter)).collect(), sort)
        }
    }
}

/// What goes to the origin: the parameters that either rule keeps, in their order or sorted.
#[must_use]
pub fn union_query<'a>(key: &QueryRule, forward: &QueryRule, sort: bool, raw: &'a str) -> Cow<'a, str> {
    if matches!(forward, QueryRule::None) {
        return filter_query(key, sort, raw);
    }
    join(parameters(raw).filter(|parameter| is_kept(key, parameter) || is_kept(forward, parameter)).collect(), sort)
}

fn parameters(raw: &str) -> impl Iterator<Item = &str> {
    raw.split('&').filter(|parameter| !parameter.is_empty())
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
    percent_decode(name.as_bytes()).decode_utf8_lossy()
}

fn join<'a>(mut parameters: Vec<&'a str>, sort: bool) -> Cow<'a, str> {
    if sort {
        // Stable: the order of equal names can carry meaning.
        parameters.sort_by_key(|parameter| parameter_name(parameter));
    }
    Cow::Owned(parameters.join("&"))
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
    let host = match authority.rfind(':') {
        // The colons inside an IPv6 literal are not a port's.
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Whether a path has segments `.` or `..`, also percent-encoded or divided by backslashes: origins resolve them,
/// and would answer for another path than the one that was classified.
#[must_use]
pub fn has_dot_segments(path: &str) -> bool {
    // Most paths have no dot at the start of a segment; one pass says so.
    let bytes = path.as_bytes();
    let suspicious = bytes.windows(2).any(|pair| matches!(pair[0], b'/' | b'\\') && matches!(pair[1], b'.' | b'%'))
        || bytes.windows(3).any(|three| three[0] == b'%' && matches!(three[1], b'2' | b'5'));
    if !suspicious {
        return false;
    }
    let decoded: Vec<u8> = percent_decode(bytes).collect();
    [bytes, &decoded]
        .iter()
        .any(|path| path.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"." || segment == b".."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    const SECRET: KeySecret = KeySecret([1; 16]);

    fn rules() -> KeyRules {
        KeyRules { query: QueryRule::All, sort_query: false, headers: vec![], cookies: vec![], host: true }
    }

    fn parts<'a>(host: &'a str, path: &'a str, query: &'a str) -> KeyParts<'a> {
        KeyParts { scope: 1, host, path, query }
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let none = Fields::new();
        let keys = [
            parts("a", "/b", "c"),
            parts("a/", "b", "c"),
            parts("a", "/bc", ""),
            parts("", "a/b", "c"),
            KeyParts { scope: 2, ..parts("a", "/b", "c") },
        ]
        .map(|parts| key(&SECRET, &parts, &rules(), &none));
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| one != other), "{at}");
        }
        assert_ne!(keys[0], key(&KeySecret([2; 16]), &parts("a", "/b", "c"), &rules(), &none));
    }

    #[test]
    fn absent_empty_and_repeated_fields_differ() {
        let rules = KeyRules { headers: vec!["x".into()], cookies: vec!["c".into()], ..rules() };
        let of = |lines: &[(&str, &str)]| {
            let mut fields = Fields::new();
            for (name, value) in lines {
                fields.push(name, value.as_bytes());
            }
            key(&SECRET, &parts("a", "/", ""), &rules, &fields)
        };
        let keys = [
            of(&[]),
            of(&[("X", "")]),
            of(&[("X", "a")]),
            of(&[("X", "a"), ("X", "a")]),
            of(&[("Cookie", "c=1")]),
            of(&[("Cookie", "c=2; d=1")]),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(keys[at + 1..].iter().all(|other| one != other), "{at}");
        }
        assert_eq!(of(&[("Cookie", "z=1; c=1")]), of(&[("Cookie", "c=1; y=3")]));
    }

    #[test]
    fn queries_are_filtered_by_decoded_name_and_kept_as_they_came() {
        let allow = QueryRule::Allow(vec!["page".into(), "lang".into()]);
        let deny = QueryRule::Deny(vec!["utm_source".into()]);
        for (rule, sort, raw, expected) in [
            (&QueryRule::All, false, "b=2&a=1&&", "b=2&a=1&&"),
            (&QueryRule::All, true, "b=2&a=1&b=1", "a=1&b=2&b=1"),
            (&QueryRule::None, false, "a=1", ""),
            (&allow, false, "x=1&page=2&lang=de", "page=2&lang=de"),
            (&allow, false, "p%61ge=2", "p%61ge=2"),
            (&deny, false, "utm_source=x&a=1", "a=1"),
            (&deny, false, "utm%5Fsource=x&a=1", "a=1"),
        ] {
            assert_eq!(filter_query(rule, sort, raw), expected, "{raw}");
        }
        assert_eq!(union_query(&allow, &QueryRule::Allow(vec!["x".into()]), false, "x=1&y=2&page=3"), "x=1&page=3");
    }

    #[test]
    fn dot_segments_are_found_in_every_disguise() {
        for path in [
            "/..",
            "/a/../b",
            "/./a",
            "/a/.",
            "/%2e%2e/a",
            "/%2E./a",
            "/a/..%2fb",
            "/a\\..\\b",
            "/a%5c..%5cb",
            "/a/%2e",
        ] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in ["/", "/a.b", "/..a", "/a..", "/.well-known/x", "/a/...", "/a%20b", "*", "/a%2Fb"] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }

    #[test]
    fn a_url_and_all_queries_of_its_path_are_different_marks() {
        let marks = url_marks(&SECRET, "h", "/a", "");
        assert_ne!(marks.path, marks.url);
        assert_eq!(marks.path, url_marks(&SECRET, "h", "/a", "q=1").path);
        assert_ne!(marks.url, url_marks(&SECRET, "h", "/a", "q=1").url);
    }
}
