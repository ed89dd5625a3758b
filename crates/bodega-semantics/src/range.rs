//! Byte ranges. RFC 9110 section 14.
//!
//! Other units, what cannot be read, and too many ranges at once get the whole, as section 14.2 allows; what an answer
//! of several parts looks like is in `multipart`.

use crate::conditional::strong_match;
use crate::date;
use crate::fields::Head;
use crate::multipart::{self, MAX_RANGES, Span};

/// What a request gets of a body of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeDecision {
    /// All of it (200).
    Full,
    /// `first..=last` (206).
    Partial {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// These parts, in this order (206): at least two, and shorter than the whole.
    Several(Vec<Span>),
    /// Nothing of it (416).
    Unsatisfiable,
}

/// What a request asks for, before the length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// From `first`, to `last` or the end.
    From {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: Option<u64>,
    },
    /// The last `n_bytes`.
    Suffix {
        /// How many.
        n_bytes: u64,
    },
    /// Several ranges, or something that looks so.
    Several,
    /// Something else: it gets the whole.
    Other,
}

impl Requested {
    /// What that is of `total` bytes; `None` if there is nothing there.
    #[must_use]
    pub fn of(self, total: u64) -> Option<Span> {
        let end = total.checked_sub(1)?;
        match self {
            Self::From { first, last } if first <= end => Some(Span { first, last: last.unwrap_or(end).min(end) }),
            Self::Suffix { n_bytes } if n_bytes > 0 => Some(Span { first: total.saturating_sub(n_bytes), last: end }),
            _ => None,
        }
    }
}

/// The range that `head` asks for, if any.
pub fn requested<H: Head + ?Sized>(head: &H) -> Option<Requested> {
    let mut lines = head.all("range");
    let value = lines.next()?;
    if lines.next().is_some() {
        return Some(Requested::Other);
    }
    Some(parse(value).unwrap_or(Requested::Other))
}

/// Decides for a GET of something stored whole.
pub fn decide<Q, S>(request: &Q, stored: &S, total: u64) -> RangeDecision
where
    Q: Head + ?Sized,
    S: Head + ?Sized,
{
    let Some(requested) = requested(request) else { return RangeDecision::Full };
    if !if_range_holds(request, stored) {
        return RangeDecision::Full;
    }
    match requested {
        Requested::Other => RangeDecision::Full,
        Requested::Several => decide_several(request, stored, total),
        Requested::From { .. } | Requested::Suffix { .. } => match requested.of(total) {
            Some(Span { first, last }) => RangeDecision::Partial { first, last },
            None => RangeDecision::Unsatisfiable,
        },
    }
}

fn decide_several<Q, S>(request: &Q, stored: &S, total: u64) -> RangeDecision
where
    Q: Head + ?Sized,
    S: Head + ?Sized,
{
    let mut found = [Span { first: 0, last: 0 }; MAX_RANGES];
    let (mut n_asked, mut n_found) = (0, 0);
    let value = request.first("range").unwrap_or_default();
    for (at, member) in members(value).unwrap_or_default().split(|&byte| byte == b',').enumerate() {
        // RFC 9110 section 5.6.1.2: empty members of a list are ignored, within reason.
        let member = member.trim_ascii();
        if member.is_empty() && at < 2 * MAX_RANGES {
            continue;
        }
        let Some(one) = spec(member) else { return RangeDecision::Full };
        n_asked += 1;
        if n_asked > MAX_RANGES {
            return RangeDecision::Full;
        }
        if let Some(span) = one.of(total) {
            found[n_found] = span;
            n_found += 1;
        }
    }
    let mut spans = multipart::coalesce(&found[..n_found]);
    match spans.len() {
        0 => RangeDecision::Unsatisfiable,
        1 => spans.pop().map_or(RangeDecision::Full, |Span { first, last }| RangeDecision::Partial { first, last }),
        _ if multipart::length(&spans, stored.first("content-type"), total) >= total => RangeDecision::Full,
        _ => RangeDecision::Several(spans),
    }
}

/// Whether a field is about the bytes of one message, not about what they are part of: cutting makes it wrong.
///
/// `Content-Digest` (RFC 9530 section 2) and `Content-MD5` (RFC 2616 section 14.15) are; `Repr-Digest` (RFC 9530 section
/// 3) and `Digest` (RFC 3230 section 4.3.2) are about the whole, and stay.
#[must_use]
pub fn is_about_content(name: &str) -> bool {
    ["content-digest", "content-md5"].iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether the request wants parts of what is stored: no `If-Range`, or one that holds. RFC 9110 section 13.1.5: only a
/// strong validator makes parts of the same whole.
pub fn if_range_holds<Q, S>(request: &Q, stored: &S) -> bool
where
    Q: Head + ?Sized,
    S: Head + ?Sized,
{
    if !request.has("if-range") {
        return true;
    }
    // Two conditions cannot both be the one that was meant.
    let Some(condition) = request.only("if-range") else { return false };
    if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
        return stored.first("etag").is_some_and(|etag| strong_match(condition, etag));
    }
    // A date is strong if it lies well before the answer was made (RFC 9110 section 8.8.2.2).
    let modified = stored.first("last-modified");
    let is_same = modified.is_some_and(|modified| modified == condition);
    let made = stored.first("date").and_then(date::parse);
    let is_strong = match (modified.and_then(date::parse), made) {
        (Some(modified), Some(made)) => made.since(modified).as_secs() >= 1,
        _ => false,
    };
    is_same && is_strong
}

fn parse(value: &[u8]) -> Option<Requested> {
    let members = members(value)?;
    if members.contains(&b',') { Some(Requested::Several) } else { spec(members) }
}

/// What stands behind `bytes=`.
fn members(value: &[u8]) -> Option<&[u8]> {
    let at = value.iter().position(|&byte| byte == b'=')?;
    value[..at].trim_ascii().eq_ignore_ascii_case(b"bytes").then(|| value[at + 1..].trim_ascii())
}

fn spec(spec: &[u8]) -> Option<Requested> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        return Some(Requested::Suffix { n_bytes: number(last)? });
    }
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    if last.is_some_and(|last| last < first) {
        return None;
    }
    Some(Requested::From { first, last })
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Fields;

    fn ask(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    #[test]
    fn ranges_of_ten_bytes() {
        let stored = ask(&[("ETag", "\"a\"")]);
        for (range, expected) in [
            ("bytes=0-0", RangeDecision::Partial { first: 0, last: 0 }),
            ("bytes=3-", RangeDecision::Partial { first: 3, last: 9 }),
            ("bytes=3-99", RangeDecision::Partial { first: 3, last: 9 }),
            ("bytes=-3", RangeDecision::Partial { first: 7, last: 9 }),
            ("bytes=-99", RangeDecision::Partial { first: 0, last: 9 }),
            ("Bytes = 1-2", RangeDecision::Partial { first: 1, last: 2 }),
            ("bytes=9-9", RangeDecision::Partial { first: 9, last: 9 }),
            ("bytes=0-", RangeDecision::Partial { first: 0, last: 9 }),
            ("bytes=0-99999999999999999999", RangeDecision::Partial { first: 0, last: 9 }),
            ("bytes=-99999999999999999999", RangeDecision::Partial { first: 0, last: 9 }),
            ("bytes=10-", RangeDecision::Unsatisfiable),
            ("bytes=10-12", RangeDecision::Unsatisfiable),
            ("bytes=-", RangeDecision::Full),
            ("bytes=--1", RangeDecision::Full),
            ("bytes=+1-2", RangeDecision::Full),
            ("bytes=1 -2", RangeDecision::Full),
            ("bytes=0x1-2", RangeDecision::Full),
            ("bytes", RangeDecision::Full),
            ("", RangeDecision::Full),
            ("bytes=-0", RangeDecision::Unsatisfiable),
            ("bytes=5-3", RangeDecision::Full),
            ("bytes=0-1,3-4", RangeDecision::Full),
            ("bytes=a-b", RangeDecision::Full),
            ("rows=0-1", RangeDecision::Full),
            ("bytes=99999999999999999999-", RangeDecision::Unsatisfiable),
        ] {
            assert_eq!(decide(&ask(&[("Range", range)]), &stored, 10), expected, "{range}");
        }
        for range in ["bytes=-1", "bytes=0-", "bytes=0-0"] {
            assert_eq!(
                decide(&ask(&[("Range", range)]), &stored, 0),
                RangeDecision::Unsatisfiable,
                "{range} of nothing"
            );
        }
        let twice = ask(&[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]);
        assert_eq!(decide(&twice, &stored, 10), RangeDecision::Full, "two lines");
        assert_eq!(decide(&Fields::new(), &stored, 10), RangeDecision::Full, "no range");
    }

    #[test]
    fn several_ranges_of_a_thousand_bytes() {
        let stored = ask(&[("Content-Type", "text/plain")]);
        let several = |pairs: &[(u64, u64)]| {
            RangeDecision::Several(pairs.iter().map(|&(first, last)| Span { first, last }).collect())
        };
        let many = |n_ranges: usize| {
            let list: Vec<String> = (0..n_ranges).map(|at| format!("{0}-{0}", at * 20)).collect();
            format!("bytes={}", list.join(","))
        };
        for (name, range, expected) in [
            ("two", "bytes=0-1,4-5".to_owned(), several(&[(0, 1), (4, 5)])),
            ("in the order of the request", "bytes=-1, 0-0".to_owned(), several(&[(999, 999), (0, 0)])),
            ("5.6.1.2 empty members", "bytes=,0-1, ,4-5,".to_owned(), several(&[(0, 1), (4, 5)])),
            ("only empty members", "bytes=,".to_owned(), RangeDecision::Unsatisfiable),
            ("touching", "bytes=0-1,2-3".to_owned(), RangeDecision::Partial { first: 0, last: 3 }),
            ("overlapping", "bytes=0-9,5-,-1".to_owned(), RangeDecision::Partial { first: 0, last: 999 }),
            ("one of them satisfiable", "bytes=1000-,3-4".to_owned(), RangeDecision::Partial { first: 3, last: 4 }),
            ("none satisfiable", "bytes=1000-,-0".to_owned(), RangeDecision::Unsatisfiable),
            ("one of them nonsense", "bytes=0-1,x".to_owned(), RangeDecision::Full),
            ("one of them backwards", "bytes=0-1,9-8".to_owned(), RangeDecision::Full),
            ("no shorter than the whole", "bytes=0-400,402-999".to_owned(), RangeDecision::Full),
            ("as many as are allowed, but their heads outweigh the rest", many(16), RangeDecision::Full),
        ] {
            assert_eq!(decide(&ask(&[("Range", &range)]), &stored, 1000), expected, "{name}");
        }
        let sixteen = decide(&ask(&[("Range", &many(16))]), &stored, 1_000_000);
        assert!(matches!(sixteen, RangeDecision::Several(spans) if spans.len() == 16));
        assert_eq!(decide(&ask(&[("Range", &many(17))]), &stored, 1_000_000), RangeDecision::Full, "too many");
        let beyond = format!("{},5000000-", many(16));
        assert_eq!(decide(&ask(&[("Range", &beyond)]), &stored, 1_000_000), RangeDecision::Full, "all are counted");
        let commas = format!("bytes=0-1{}", ",".repeat(1000));
        assert_eq!(decide(&ask(&[("Range", &commas)]), &stored, 1000), RangeDecision::Full, "too many commas");
        let failed = ask(&[("Range", "bytes=0-1,4-5"), ("If-Range", "\"a\"")]);
        assert_eq!(decide(&failed, &stored, 1000), RangeDecision::Full, "13.1.5");
    }

    #[test]
    fn what_is_asked_is_known_before_the_length_is() {
        for (range, expected) in [
            ("bytes=5-", Requested::From { first: 5, last: None }),
            ("bytes=5-7", Requested::From { first: 5, last: Some(7) }),
            ("bytes=-7", Requested::Suffix { n_bytes: 7 }),
            ("bytes=5-7,9-", Requested::Several),
            ("lines=5-7", Requested::Other),
        ] {
            assert_eq!(requested(&ask(&[("Range", range)])), Some(expected), "{range}");
        }
        assert_eq!(requested(&Fields::new()), None);
    }

    #[test]
    fn if_range_needs_a_strong_validator() {
        let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
        let stored = ask(&[("ETag", "\"a\""), ("Last-Modified", modified), ("Date", "Sun, 06 Nov 1994 09:49:37 GMT")]);
        for (condition, partial) in
            [("\"a\"", true), ("\"b\"", false), ("W/\"a\"", false), (modified, true), ("x", false)]
        {
            let request = ask(&[("Range", "bytes=0-1"), ("If-Range", condition)]);
            assert_eq!(decide(&request, &stored, 10) != RangeDecision::Full, partial, "{condition}");
        }
        let range = ("Range", "bytes=0-1");
        let weak = ask(&[("ETag", "W/\"a\""), ("Last-Modified", modified), ("Date", modified)]);
        for (name, condition, stored) in [
            ("13.1.5 a weak tag, even the same", "W/\"a\"", &weak),
            ("8.8.2.2 a date as young as the answer", modified, &weak),
            ("nothing to compare with", "\"a\"", &Fields::new()),
            ("no date to compare with", modified, &Fields::new()),
        ] {
            assert_eq!(decide(&ask(&[range, ("If-Range", condition)]), stored, 10), RangeDecision::Full, "{name}");
        }
        let twice = ask(&[range, ("If-Range", "\"a\""), ("If-Range", "\"a\"")]);
        assert_eq!(decide(&twice, &stored, 10), RangeDecision::Full, "two conditions");
        // RFC 9110 section 13.1.5: a condition that fails turns the request into one for the whole, not into a 416.
        let beyond = ask(&[("Range", "bytes=99-"), ("If-Range", "\"b\"")]);
        assert_eq!(decide(&beyond, &stored, 10), RangeDecision::Full);
    }
}
