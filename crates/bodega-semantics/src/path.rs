//! Paths: which are refused, which are one, and as what behaviors see them.
//!
//! Three forms of one path. Raw is what goes to the origin. Normal is what the key holds: RFC 3986 section 6.2.2, so
//! that two are equal only if every origin that keeps to that RFC takes them for the same. Matched is what chooses the
//! behavior: as the most generous origin would read it, so that no spelling slips past a behavior to the next.
//! `docs/concepts/cache-keys.md` states the rules. Most paths are all three, and then nothing is allocated.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// A path that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths<'a> {
    /// The form that keys and invalidations have.
    pub normal: Cow<'a, str>,
    matched: Option<String>,
}

impl<'a> Paths<'a> {
    /// The forms of no path.
    pub const NONE: Self = Self { normal: Cow::Borrowed(""), matched: None };

    /// The forms of a raw path. `None` if it is refused: origins would not agree on what it names.
    #[must_use]
    pub fn of(raw: &'a str) -> Option<Self> {
        if is_plain(raw) {
            return Some(Self { normal: Cow::Borrowed(raw), matched: None });
        }
        if !is_well_formed(raw) || has_dot_segments(raw) {
            return None;
        }
        let normal = normal_form(raw);
        let matched = matched_form(&normal);
        Some(Self { normal, matched })
    }

    /// The form that chooses a behavior.
    #[must_use]
    pub fn matched(&self) -> &str {
        self.matched.as_deref().unwrap_or(&self.normal)
    }
}

/// RFC 3986 section 6.2.2: the digits of escapes are upper case (6.2.2.1), and no unreserved character is escaped
/// (6.2.2.2). What holds an escape that is none comes back as it is. A normal form has no other.
#[must_use]
pub fn normal_form(text: &str) -> Cow<'_, str> {
    if !text.contains('%') || !is_well_formed(text) || escapes(text).all(is_normal_escape) {
        return Cow::Borrowed(text);
    }
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        let (escape, behind) = rest[at..].split_at_checked(3).unwrap_or((&rest[at..], ""));
        match decoded(escape.as_bytes()).filter(|byte| is_unreserved(*byte)) {
            Some(byte) => normal.push(char::from(byte)),
            None => normal.extend(escape.chars().map(|digit| digit.to_ascii_uppercase())),
        }
        rest = behind;
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

/// The form of a path pattern in which it is compared with `Paths::matched`. `None` if it holds an escape that is none.
#[must_use]
pub fn pattern_form(pattern: &str) -> Option<String> {
    let normal = is_well_formed(pattern).then(|| normal_form(pattern))?;
    Some(matched_form(&normal).unwrap_or_else(|| normal.into_owned()))
}

/// What follows `prefix` in a raw path, compared in their normal forms. `None` if the path does not begin with it.
#[must_use]
pub fn without_prefix<'a>(raw: &'a str, prefix: &str) -> Option<&'a str> {
    if let Some(rest) = raw.strip_prefix(prefix) {
        return Some(rest);
    }
    let prefix = normal_form(prefix);
    let mut wanted = prefix.as_bytes();
    let mut rest = raw;
    while !wanted.is_empty() {
        let n_bytes = if rest.starts_with('%') { 3 } else { rest.chars().next()?.len_utf8() };
        let (unit, behind) = rest.split_at_checked(n_bytes)?;
        wanted = wanted.strip_prefix(normal_form(unit).as_bytes())?;
        rest = behind;
    }
    Some(rest)
}

/// Whether there is nothing that any rule here is about. One pass over every path.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    path.bytes().all(|byte| {
        let is_plain = match byte {
            b'%' | b'\\' => false,
            b'/' | b'.' => before != b'/',
            _ => true,
        };
        before = byte;
        is_plain
    })
}

/// Whether every `%` begins an escape, and none is of the byte at which programs in C stop reading.
fn is_well_formed(text: &str) -> bool {
    escapes(text).all(|escape| decoded(escape).is_some_and(|byte| byte != 0))
}

/// What stands at each `%`: three bytes, or what is left.
fn escapes(text: &str) -> impl Iterator<Item = &[u8]> {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').map(|(at, _)| &bytes[at..bytes.len().min(at + 3)])
}

fn is_normal_escape(escape: &[u8]) -> bool {
    !escape.iter().any(u8::is_ascii_lowercase) && !decoded(escape).is_some_and(is_unreserved)
}

fn decoded(escape: &[u8]) -> Option<u8> {
    match escape {
        [b'%', high, low] => Some(hex(*high)? * 16 + hex(*low)?),
        _ => None,
    }
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whatever some origin takes for a slash is one, and several are one. `None` if that changes nothing.
fn matched_form(normal: &str) -> Option<String> {
    if !normal.contains("//") && !normal.contains('\\') && !normal.contains("%2F") && !normal.contains("%5C") {
        return None;
    }
    let slashes = normal.replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
    let mut matched = String::with_capacity(slashes.len());
    for character in slashes.chars() {
        if character != '/' || !matched.ends_with('/') {
            matched.push(character);
        }
    }
    Some(matched)
}

/// Whether a path has segments `.` or `..`, also percent-encoded, divided by backslashes, or with parameters (which
/// servlet containers take off before they resolve): origins resolve them, and would answer for another path than the
/// one that was classified.
#[must_use]
pub fn has_dot_segments(path: &str) -> bool {
    // How many dots a segment has so far, `None` if it is more than dots. What is at the end closes the last segment.
    let mut n_dots = Some(0_usize);
    percent_decode(path.as_bytes()).chain([b'/']).any(|byte| {
        if matches!(byte, b'/' | b'\\') {
            return matches!(n_dots.replace(0), Some(1 | 2));
        }
        if byte == b';' {
            return matches!(n_dots.take(), Some(1 | 2));
        }
        n_dots = n_dots.filter(|_| byte == b'.').map(|n_dots| n_dots + 1);
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_are_one_have_one_normal_form() {
        for (raw, normal) in [
            ("/a", "/a"),
            ("/%61", "/a"),
            ("/%41", "/A"),
            ("/%7Euser/%2d%5f%2E5", "/~user/-_.5"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            // Reserved characters keep their escapes: to an origin they are data then, and no delimiters.
            ("/a%2fb", "/a%2Fb"),
            ("/a%3bb;c", "/a%3Bb;c"),
            ("/a%2Cb,c", "/a%2Cb,c"),
            ("/%2561", "/%2561"),
            ("/a%20b", "/a%20b"),
            // Case, final slashes and slashes in a row are for the origin to read.
            ("/A", "/A"),
            ("/a/", "/a/"),
            ("//a///b", "//a///b"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(Paths::of(raw).unwrap().normal, normal, "{raw}");
        }
    }

    #[test]
    fn what_is_normal_is_borrowed() {
        for raw in ["/a/b.c", "/caf%C3%A9", "/.well-known/a", "//a", "/a%2Fb"] {
            assert!(matches!(Paths::of(raw).unwrap().normal, Cow::Borrowed(_)), "{raw}");
        }
        for raw in ["/a/b.c", "/caf%C3%A9", "/.well-known/a"] {
            assert_eq!(Paths::of(raw).unwrap().matched, None, "{raw}");
        }
    }

    #[test]
    fn behaviors_see_what_the_most_generous_origin_would() {
        for (raw, matched) in [
            ("/account/x", "/account/x"),
            ("/%61ccount/x", "/account/x"),
            ("//account//x", "/account/x"),
            ("/account%2fx", "/account/x"),
            ("/%2Faccount%2F%2fx", "/account/x"),
            ("/account\\x", "/account/x"),
            ("/account%5Cx", "/account/x"),
            ("/account%252Fx", "/account%252Fx"),
            ("/Account/x", "/Account/x"),
        ] {
            assert_eq!(Paths::of(raw).unwrap().matched(), matched, "{raw}");
        }
    }

    #[test]
    fn patterns_are_written_in_any_spelling() {
        for (pattern, form) in [
            ("/account/*", "/account/*"),
            ("/%61ccount/*", "/account/*"),
            ("/caf%c3%a9/*", "/caf%C3%A9/*"),
            ("/proxy/https://*", "/proxy/https:/*"),
            ("*", "*"),
        ] {
            assert_eq!(pattern_form(pattern).as_deref(), Some(form), "{pattern}");
        }
        for pattern in ["/100%", "/%*", "/%2*", "/a%00"] {
            assert_eq!(pattern_form(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn escapes_that_are_none_are_refused() {
        for path in ["/%", "/a%2", "/%zz", "/%6%31", "/%%36%31", "/a%00.css", "/%+1"] {
            assert_eq!(Paths::of(path), None, "{path}");
            assert_eq!(normal_form(path), path);
        }
    }

    #[test]
    fn a_prefix_is_taken_off_in_any_spelling() {
        for (raw, prefix, rest) in [
            ("/api/x", "/api", Some("/x")),
            ("/%61pi/%78", "/api", Some("/%78")),
            ("/api/x", "/%61pi", Some("/x")),
            ("/~a/x", "/%7ea", Some("/x")),
            ("/a%2fb/x", "/a%2Fb", Some("/x")),
            ("/a/b/x", "/a%2Fb", None),
            ("/a%2", "/a%2F", None),
            ("/ap", "/api", None),
            ("/x", "", Some("/x")),
        ] {
            assert_eq!(without_prefix(raw, prefix), rest, "{raw} {prefix}");
        }
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
            "/a/..;/b",
            "/a/.;x=1",
            "/a/%2e%2e%3b/b",
        ] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in ["..", ".", "/a/b/..", "\\..", "/%2e", "/a%2f%2e%2e", "%2e%2e%5Ca", "/a/./", "/%2E%2e/"] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in ["", "/%252e%252e/a", "/a;..", "/...;/a", "/%2e%2e%2e", "/%", "/%2", "/.%00", "/a%2fb.c/.d"] {
            assert!(!has_dot_segments(path), "{path}");
        }
        for path in ["/", "/a.b", "/..a", "/a..", "/.well-known/x", "/a/...", "/a%20b", "*", "/a%2Fb"] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }
}
