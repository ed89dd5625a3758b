//! Conditional requests answered from what is stored. RFC 9110 section 13.

use crate::date;
use crate::fields::Head;

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditional {
    /// The whole answer is to be sent.
    Full,
    /// 304: the client has it already.
    NotModified,
    /// 412: a condition is false.
    Failed,
}

/// Evaluates the conditions in the order of RFC 9110 section 13.2.2.
///
/// A cache need not heed `If-Match` and `If-Unmodified-Since` (RFC 9111 section 4.3.2). A gateway speaks for the origin,
/// though, and a client that asks for the rest of one version must not get a part of another.
pub fn evaluate<Q, S>(method: &str, request: &Q, status: u16, stored: &S) -> Conditional
where
    Q: Head + ?Sized,
    S: Head + ?Sized,
{
    // RFC 9110 section 13.2.1: conditions are about what a 2xx would answer.
    if !(200..300).contains(&status) {
        return Conditional::Full;
    }
    let etag = stored.first("etag");
    let modified = stored.first("last-modified").and_then(date::parse);
    let lists = |name: &str, matches: fn(&[u8], &[u8]) -> bool| {
        request
            .all(name)
            .any(|line| line == b"*" || etag.is_some_and(|etag| entity_tags(line).any(|member| matches(member, etag))))
    };
    // Dates are no lists: several, or what cannot be read, are as none (RFC 9110 sections 13.1.3 and 13.1.4).
    let named_date = |name: &str| request.only(name).and_then(date::parse);
    if request.has("if-match") {
        if !lists("if-match", strong_match) {
            return Conditional::Failed;
        }
    } else if let Some(since) = named_date("if-unmodified-since")
        && modified.is_some_and(|modified| modified > since)
    {
        return Conditional::Failed;
    }
    // QUERY is as safe as these, and has conditions as they have.
    let reads = matches!(method, "GET" | "HEAD" | "QUERY");
    if request.has("if-none-match") {
        if lists("if-none-match", weak_match) {
            return if reads { Conditional::NotModified } else { Conditional::Failed };
        }
    } else if reads
        && let Some(since) = named_date("if-modified-since")
        // RFC 9111 section 4.3.2: without `Last-Modified`, the time at which the stored answer was made.
        && let Some(modified) = modified.or_else(|| stored.first("date").and_then(date::parse))
        && modified <= since
    {
        return Conditional::NotModified;
    }
    Conditional::Full
}

/// Whether a field of the stored answer belongs into a 304 (RFC 9110 section 15.4.5): all that a 200 would carry,
/// but not what describes a body that is not sent.
#[must_use]
pub fn is_not_modified_field(name: &str) -> bool {
    !["content-length", "content-encoding", "content-type", "content-language", "content-range", "transfer-encoding"]
        .iter()
        .any(|left_out| name.eq_ignore_ascii_case(left_out))
}

/// RFC 9110 section 8.8.3.2: both strong, and the same.
pub(crate) fn strong_match(one: &[u8], other: &[u8]) -> bool {
    one == other && one.starts_with(b"\"")
}

/// RFC 9110 section 8.8.3.2: the same but for weakness.
pub fn weak_match(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag: &'_ [u8]| tag.len() - tag.strip_prefix(b"W/").unwrap_or(tag).len();
    one[opaque(one)..] == other[opaque(other)..]
}

/// The members of a list of entity tags. They are no quoted strings: a backslash is part of the tag and escapes
/// nothing (RFC 9110 section 8.8.3). A tag without quotes, which some origins send, ends at the comma.
fn entity_tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        rest = &rest[start..];
        let opens = if rest.starts_with(b"W/\"") { 3 } else { usize::from(rest.starts_with(b"\"")) };
        let closes = rest[opens..].iter().position(|&byte| byte == b'"').filter(|_| opens > 0);
        let end = match closes {
            Some(at) => opens + at + 1,
            None => rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len()),
        };
        let (tag, behind) = rest.split_at(end);
        rest = behind;
        Some(tag.trim_ascii_end())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const OLDER: &str = "Sat, 05 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    #[test]
    fn conditions_in_the_order_of_section_13_2_2() {
        let stored = Fields::of(&[("ETag", "\"a\""), ("Last-Modified", OLD)]);
        for (name, method, request, expected) in [
            ("none", "GET", vec![], Conditional::Full),
            ("13.1.2 same tag", "GET", vec![("If-None-Match", "\"a\"")], Conditional::NotModified),
            ("13.1.2 weak comparison", "GET", vec![("If-None-Match", "W/\"a\"")], Conditional::NotModified),
            ("13.1.2 one of several", "HEAD", vec![("If-None-Match", "\"b\", \"a\"")], Conditional::NotModified),
            ("13.1.2 any", "GET", vec![("If-None-Match", "*")], Conditional::NotModified),
            ("13.1.2 other tag", "GET", vec![("If-None-Match", "\"b\"")], Conditional::Full),
            (
                "13.1.3 tags go before dates",
                "GET",
                vec![("If-None-Match", "\"b\""), ("If-Modified-Since", NEW)],
                Conditional::Full,
            ),
            ("13.1.3 not modified", "GET", vec![("If-Modified-Since", OLD)], Conditional::NotModified),
            ("13.1.3 invalid date", "GET", vec![("If-Modified-Since", "yesterday")], Conditional::Full),
            ("13.1.1 same tag", "GET", vec![("If-Match", "\"a\"")], Conditional::Full),
            ("13.1.1 other tag", "GET", vec![("If-Match", "\"b\"")], Conditional::Failed),
            ("13.1.1 weak never matches", "GET", vec![("If-Match", "W/\"a\"")], Conditional::Failed),
            ("13.1.1 any", "GET", vec![("If-Match", "*")], Conditional::Full),
            (
                "13.1.1 one of several lines",
                "GET",
                vec![("If-Match", "\"b\""), ("If-Match", "\"a\"")],
                Conditional::Full,
            ),
            ("13.1.1 an empty list", "GET", vec![("If-Match", "")], Conditional::Failed),
            ("13.1.2 any, not reading", "PUT", vec![("If-None-Match", "*")], Conditional::Failed),
            ("13.1.2 an empty list", "GET", vec![("If-None-Match", "")], Conditional::Full),
            ("13.1.2 a star in a tag", "GET", vec![("If-None-Match", "\"*\"")], Conditional::Full),
            ("13.1.3 modified", "GET", vec![("If-Modified-Since", OLDER)], Conditional::Full),
            ("13.1.3 later", "HEAD", vec![("If-Modified-Since", NEW)], Conditional::NotModified),
            ("13.1.3 only when reading", "POST", vec![("If-Modified-Since", OLD)], Conditional::Full),
            (
                "13.1.3 two dates are none",
                "GET",
                vec![("If-Modified-Since", OLD), ("If-Modified-Since", OLD)],
                Conditional::Full,
            ),
            ("13.1.4 modified since", "GET", vec![("If-Unmodified-Since", OLDER)], Conditional::Failed),
            ("13.1.4 not modified since", "GET", vec![("If-Unmodified-Since", OLD)], Conditional::Full),
            ("13.1.4 invalid date", "GET", vec![("If-Unmodified-Since", "0")], Conditional::Full),
            (
                "13.2.2 If-Match goes before If-Unmodified-Since",
                "GET",
                vec![("If-Match", "\"a\""), ("If-Unmodified-Since", OLDER)],
                Conditional::Full,
            ),
            (
                "13.2.2 both steps",
                "GET",
                vec![("If-Match", "\"a\""), ("If-None-Match", "\"a\"")],
                Conditional::NotModified,
            ),
            (
                "13.2.2 the first step decides",
                "GET",
                vec![("If-Match", "\"b\""), ("If-None-Match", "\"a\"")],
                Conditional::Failed,
            ),
        ] {
            assert_eq!(evaluate(method, &Fields::of(&request), 200, &stored), expected, "{name}");
        }
        let request = Fields::of(&[("If-None-Match", "\"a\"")]);
        assert_eq!(evaluate("GET", &request, 404, &stored), Conditional::Full, "13.2.1");
    }
    #[test]
    fn without_validators_only_any_and_the_date_match() {
        let dated = Fields::of(&[("Date", OLD)]);
        for (name, request, stored, expected) in [
            ("13.1.2 any", ("If-None-Match", "*"), Fields::new(), Conditional::NotModified),
            ("13.1.2 no tag", ("If-None-Match", "\"a\""), Fields::new(), Conditional::Full),
            ("13.1.1 any", ("If-Match", "*"), Fields::new(), Conditional::Full),
            ("13.1.1 no tag", ("If-Match", "\"a\""), Fields::new(), Conditional::Failed),
            (
                "9111-4.3.2 as old as the stored answer",
                ("If-Modified-Since", OLD),
                dated.clone(),
                Conditional::NotModified,
            ),
            ("9111-4.3.2 older", ("If-Modified-Since", OLDER), dated.clone(), Conditional::Full),
            ("no date at all", ("If-Modified-Since", NEW), Fields::new(), Conditional::Full),
            ("13.1.4 Date does not stand in", ("If-Unmodified-Since", OLDER), dated, Conditional::Full),
        ] {
            assert_eq!(evaluate("GET", &Fields::of(&[request]), 200, &stored), expected, "{name}");
        }
    }

    #[test]
    fn entity_tags_are_no_quoted_strings() {
        for (line, expected) in [
            ("\"a\"", vec!["\"a\""]),
            (" , \"a\" ,W/\"b\",, ", vec!["\"a\"", "W/\"b\""]),
            // Read as an escape, the backslash joined both tags into one.
            ("\"a\\\", \"b\"", vec!["\"a\\\"", "\"b\""]),
            ("\"a,b\",\"c\"", vec!["\"a,b\"", "\"c\""]),
            ("\"a\"\"b\"", vec!["\"a\"", "\"b\""]),
            ("a, b c ,W/d", vec!["a", "b c", "W/d"]),
            ("\"a, b", vec!["\"a", "b"]),
            ("", vec![]),
        ] {
            let tags: Vec<&[u8]> = entity_tags(line.as_bytes()).collect();
            assert_eq!(tags, expected.iter().map(|tag| tag.as_bytes()).collect::<Vec<_>>(), "{line}");
        }
    }

    #[test]
    fn comparison_as_the_table_of_section_8_8_3_2() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            assert_eq!(strong_match(one.as_bytes(), other.as_bytes()), strong, "{one} {other}");
            assert_eq!(weak_match(one.as_bytes(), other.as_bytes()), weak, "{one} {other}");
        }
    }

    #[test]
    fn a_304_says_nothing_about_a_body_it_has_not() {
        for name in ["Cache-Control", "Content-Location", "Date", "ETag", "Expires", "Vary", "Last-Modified", "X-A"] {
            assert!(is_not_modified_field(name), "15.4.5: {name}");
        }
        for name in ["Content-Length", "content-type", "Content-Encoding", "Content-Range", "Transfer-Encoding"] {
            assert!(!is_not_modified_field(name), "{name}");
        }
    }
}
