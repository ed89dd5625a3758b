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

/// The key of one input of a model. `scope` is the behavior's, `row` holds the model, its version and the input.
#[must_use]
pub fn row_key(secret: &KeySecret, scope: u64, row: &[u8]) -> Key {
    let mut hasher = SipHasher13::new_with_key(&secret.0);
    write(&mut hasher, b"row");
    hasher.write_u64(scope);
    write(&mut hasher, row);
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
mod tests {
    use super::*;
    use crate::fields::Fields;

    const SECRET: KeySecret = KeySecret([1; 16]);

    fn rules() -> KeyRules {
        KeyRules { query: QueryRule::All, sort_query: false, headers: vec![], cookies: vec![], host: true }
    }

    fn parts<'a>(host: &'a str, path: &'a str, query: &'a str) -> KeyParts<'a> {
        KeyParts { scope: 1, scheme: 0, host, path, query }
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
            KeyParts { scheme: 1, ..parts("a", "/b", "c") },
            KeyParts { scheme: SCHEME_UNTOLD, ..parts("a", "/b", "c") },
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
            (&QueryRule::All, true, "a=1&&b=2", "a=1&b=2"),
            (&QueryRule::All, true, "%62=2&a=1", "a=1&%62=2"),
            (&QueryRule::All, true, "", ""),
            (&QueryRule::None, true, "&", ""),
            (&allow, false, "x=1", ""),
            (&allow, false, "page", "page"),
            (&allow, false, "page=1&page=2", "page=1&page=2"),
            (&allow, false, "Page=1", ""),
            (&allow, true, "page=1&lang=de", "lang=de&page=1"),
            (&allow, false, "page=1;x=2", "page=1;x=2"),
            (&deny, false, "&a=1&", "a=1"),
            (&deny, false, "utm_source", ""),
            (&deny, false, "utm_source2=1&=2", "utm_source2=1&=2"),
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
    fn a_url_and_all_queries_of_its_path_are_different_marks() {
        let marks = url_marks(&SECRET, "h", "/a", "");
        assert_ne!(marks.path, marks.url);
        assert_eq!(marks.path, url_marks(&SECRET, "h", "/a", "q=1").path);
        assert_ne!(marks.url, url_marks(&SECRET, "h", "/a", "q=1").url);
    }

    #[test]
    fn the_query_of_a_key_is_in_its_normal_form() {
        let all = rules();
        for (raw, expected) in [
            ("a=%7e", "a=~"),
            ("a=%c3%bc&b=%2f", "a=%C3%BC&b=%2F"),
            ("a=1+2", "a=1+2"),
            ("a=1%202", "a=1%202"),
            // What has no one meaning is left as it came.
            ("a=100%&b=%7e", "a=100%&b=%7e"),
            ("A=%2", "A=%2"),
        ] {
            assert_eq!(keyed_query(&all, raw), expected, "{raw}");
        }
        let sorted = KeyRules { sort_query: true, ..all };
        assert_eq!(keyed_query(&sorted, "b=%7e&a=1"), "a=1&b=~");
        assert!(matches!(keyed_query(&sorted, "a=1&b=%C3%BC"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_query_that_stays_as_it_is_is_borrowed() {
        let allow = QueryRule::Allow(vec!["a".into(), "b".into()]);
        for (rule, sort, raw) in [
            (&QueryRule::All, false, "b&&a"),
            (&QueryRule::All, true, "a=1&b=2&b=1&c"),
            (&allow, false, "b=1&a=2"),
            (&allow, true, "a=2&b=1"),
            (&allow, true, ""),
            (&QueryRule::Deny(vec!["x".into()]), true, "a=1"),
            (&QueryRule::None, true, "a=1"),
        ] {
            assert!(matches!(filter_query(rule, sort, raw), Cow::Borrowed(_)), "{rule:?} {raw}");
        }
    }

    #[test]
    fn the_origin_gets_what_either_rule_keeps() {
        let (page, x) = (QueryRule::Allow(vec!["page".into()]), QueryRule::Allow(vec!["x".into()]));
        for (key, forward, sort, raw, expected) in [
            (&page, &QueryRule::None, false, "x=1&page=2", "page=2"),
            (&page, &x, false, "x=1&y=3&page=2", "x=1&page=2"),
            (&page, &x, true, "x=1&y=3&page=2", "page=2&x=1"),
            (&QueryRule::None, &QueryRule::All, false, "x=1&page=2", "x=1&page=2"),
            (&QueryRule::None, &QueryRule::None, false, "x=1", ""),
        ] {
            assert_eq!(union_query(key, forward, sort, raw), expected, "{raw}");
        }
    }

    #[test]
    fn the_values_of_one_field_are_not_those_of_the_next() {
        let rules =
            KeyRules { headers: vec!["x".into(), "y".into()], cookies: vec!["c".into(), "d".into()], ..rules() };
        let of = |lines: &[(&str, &str)]| {
            let mut fields = Fields::new();
            for (name, value) in lines {
                fields.push(name, value.as_bytes());
            }
            key(&SECRET, &parts("a", "/", ""), &rules, &fields)
        };
        assert_ne!(of(&[("X", "a")]), of(&[("Y", "a")]));
        assert_ne!(of(&[("X", "a"), ("Y", "b")]), of(&[("X", "a"), ("X", "b")]));
        assert_ne!(of(&[("Cookie", "c=1")]), of(&[("Cookie", "d=1")]));
        assert_ne!(of(&[("Cookie", "c=")]), of(&[]));
        assert_eq!(of(&[("x", "a")]), of(&[("X", "a")]));
        assert_eq!(of(&[("Z", "a"), ("Cookie", "e=1")]), of(&[]));
    }

    #[test]
    fn cookies_are_found_by_exact_name() {
        let find = |lines: &[&str], name: &str| {
            let mut fields = Fields::new();
            for line in lines {
                fields.push("Cookie", line.as_bytes());
            }
            cookie_value(&fields, name).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        for (lines, name, expected) in [
            (vec!["a=1; b=2"], "b", Some("2")),
            (vec!["a=1;b=2"], "b", Some("2")),
            (vec!["a=1", "b=2"], "b", Some("2")),
            (vec!["a=1; a=2"], "a", Some("1")),
            (vec!["A=1"], "a", None),
            (vec!["aa=1; b=a=1"], "a", None),
            (vec!["a=x=y"], "a", Some("x=y")),
            (vec!["a=\"q\""], "a", Some("\"q\"")),
            (vec!["a; b=2"], "a", None),
            (vec!["a="], "a", Some("")),
            (vec![], "a", None),
        ] {
            assert_eq!(find(&lines, name).as_deref(), expected, "{lines:?} {name}");
        }
    }

    #[test]
    fn hosts_are_lower_case_without_port_and_final_dot() {
        for (authority, expected) in [
            ("shop.example", "shop.example"),
            ("Shop.Example", "shop.example"),
            ("shop.example:8080", "shop.example"),
            ("shop.example.", "shop.example"),
            ("SHOP.example.:443", "shop.example"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("", ""),
            (":", ""),
            (".", ""),
        ] {
            assert_eq!(normalize_host(authority), expected, "{authority}");
        }
        assert!(matches!(normalize_host("shop.example:80"), Cow::Borrowed(_)));
    }
}
