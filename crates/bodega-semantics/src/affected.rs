//! What an unsafe request has changed beside its target: RFC 9111 section 4.4.
//!
//! `Location` and `Content-Location` of the answer name it. Only what is of the same origin counts: nobody may make
//! this cache forget another's answers. Scheme, host and port are as the client sees them.

use fluent_uri::{Uri, UriRef};

use crate::fields::Head;
use crate::key::{normalize_host, split_authority};

/// The URL a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The authority as received.
    pub authority: &'a str,
    /// The raw path.
    pub path: &'a str,
}

/// Path and query of what an answer names and is of the same origin as what was asked for. At most two.
pub fn named<H: Head + ?Sized>(asked: &Asked<'_>, answer: &H) -> Vec<(String, Option<String>)> {
    ["location", "content-location"].iter().filter_map(|name| within(asked, answer.only(name)?)).collect()
}

fn within(asked: &Asked<'_>, reference: &[u8]) -> Option<(String, Option<String>)> {
    if reference.len() > MAX_REFERENCE_BYTES {
        return None;
    }
    let reference = UriRef::parse(std::str::from_utf8(reference).ok()?).ok()?;
    let Asked { scheme, authority, path } = asked;
    // A path that is no part of a URI can still be the target; only what is relative to it cannot be found.
    let base = [path, "/"].iter().find_map(|path| Uri::parse(format!("{scheme}://{authority}{path}")).ok())?;
    let named = reference.resolve_against(&base).ok()?;
    let authority = named.authority()?;
    let same = named.scheme().as_str().eq_ignore_ascii_case(scheme)
        && !authority.as_str().contains('@')
        && normalize_host(authority.as_str()) == normalize_host(asked.authority)
        && port(authority.as_str(), scheme)? == port(asked.authority, scheme)?;
    let path = if named.path().is_empty() { "/" } else { named.path().as_str() };
    same.then(|| (path.to_owned(), named.query().map(|query| query.as_str().to_owned())))
}

/// The port, perhaps the scheme's own. `None` for what is no port.
fn port(authority: &str, scheme: &str) -> Option<u16> {
    match split_authority(authority).1 {
        "" | ":" => Some(if scheme == "https" { 443 } else { 80 }),
        port => port[1..].parse().ok(),
    }
}

/// A bound on what is resolved for an origin.
const MAX_REFERENCE_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    #[test]
    fn only_what_is_of_the_same_origin_is_named() {
        for (authority, location, expected) in [
            ("shop.example", "/b", Some(("/b", None))),
            ("shop.example", "/b?q=1#f", Some(("/b", Some("q=1")))),
            ("shop.example", "b", Some(("/a/b", None))),
            ("shop.example", "../b", Some(("/b", None))),
            ("shop.example", "?q", Some(("/a/x", Some("q")))),
            ("shop.example", "", Some(("/a/x", None))),
            ("shop.example", "https://shop.example", Some(("/", None))),
            ("shop.example", "https://shop.example/b", Some(("/b", None))),
            ("shop.example", "HTTPS://Shop.Example.:443/b", Some(("/b", None))),
            ("shop.example:443", "https://shop.example/b", Some(("/b", None))),
            ("shop.example:8443", "https://shop.example:8443/b", Some(("/b", None))),
            ("[::1]:8443", "https://[::1]:8443/b", Some(("/b", None))),
            ("[::1]", "//[::1]/b", Some(("/b", None))),
            ("shop.example", "//shop.example/b", Some(("/b", None))),
            ("shop.example", "//other.example/b", None),
            ("shop.example", "http://shop.example/b", None),
            ("shop.example", "https://shop.example:8443/b", None),
            ("shop.example:8443", "https://shop.example/b", None),
            ("shop.example", "https://other.example/b", None),
            ("shop.example", "https://shop.example@other.example/b", None),
            ("shop.example", "https://user@shop.example/b", None),
            ("shop.example", "https://shop.example.other.example/b", None),
            ("shop.example", "mailto:b@shop.example", None),
            ("shop.example", "https:/b", None),
            ("shop.example", "/b c", None),
            ("shop.example", "/%zz", None),
            ("shop.example", "https://shop.example:99999/b", None),
        ] {
            let mut answer = Fields::new();
            answer.push("Location", location.as_bytes());
            let asked = Asked { scheme: "https", authority, path: "/a/x" };
            let expected: Vec<_> =
                expected.into_iter().map(|(path, query)| (path.to_owned(), query.map(str::to_owned))).collect();
            assert_eq!(named(&asked, &answer), expected, "{authority} {location}");
        }
    }

    #[test]
    fn both_fields_count_and_two_lines_of_one_do_not() {
        let asked = Asked { scheme: "http", authority: "h", path: "/{" };
        let mut answer = Fields::new();
        answer.push("Content-Location", b"/b");
        assert_eq!(named(&asked, &answer), [("/b".to_owned(), None)]);
        answer.push("Location", b"http://h/c");
        assert_eq!(named(&asked, &answer), [("/c".to_owned(), None), ("/b".to_owned(), None)]);
        answer.push("Location", b"/d");
        assert_eq!(named(&asked, &answer), [("/b".to_owned(), None)]);
    }
}
