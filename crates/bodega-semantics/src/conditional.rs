//! Conditional requests answered from what is stored. RFC 9110 section 13.

use crate::date;
use crate::fields::{Head, list_members};

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
    if request.has("if-match") {
        let matches = list_members(request.all("if-match"))
            .any(|member| member == b"*" || etag.is_some_and(|etag| strong_match(member, etag)));
        if !matches {
            return Conditional::Failed;
        }
    } else if let Some(since) = request.first("if-unmodified-since").and_then(date::parse)
        && modified.is_some_and(|modified| modified > since)
    {
        return Conditional::Failed;
    }
    let reads = matches!(method, "GET" | "HEAD");
    if request.has("if-none-match") {
        let matches = list_members(request.all("if-none-match"))
            .any(|member| member == b"*" || etag.is_some_and(|etag| weak_match(member, etag)));
        if matches {
            return if reads { Conditional::NotModified } else { Conditional::Failed };
        }
    } else if reads
        && let Some(since) = request.first("if-modified-since").and_then(date::parse)
        && modified.is_some_and(|modified| modified <= since)
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

fn weak_match(one: &[u8], other: &[u8]) -> bool {
    let opaque = |tag: &'_ [u8]| -> Vec<u8> { tag.strip_prefix(b"W/").unwrap_or(tag).to_vec() };
    opaque(one) == opaque(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    #[test]
    fn conditions_in_the_order_of_section_13_2_2() {
        let stored = fields(&[("ETag", "\"a\""), ("Last-Modified", OLD)]);
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
            (
                "13.1.4 modified since",
                "GET",
                vec![("If-Unmodified-Since", "Sat, 05 Nov 1994 08:49:37 GMT")],
                Conditional::Failed,
            ),
        ] {
            assert_eq!(evaluate(method, &fields(&request), 200, &stored), expected, "{name}");
        }
        let request = fields(&[("If-None-Match", "\"a\"")]);
        assert_eq!(evaluate("GET", &request, 404, &stored), Conditional::Full, "13.2.1");
    }
}
