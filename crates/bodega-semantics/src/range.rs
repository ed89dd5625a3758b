//! Single byte ranges. RFC 9110 section 14.
//!
//! Several ranges at once, other units and what cannot be read get the whole, as section 14.2 allows.

use crate::conditional::strong_match;
use crate::date;
use crate::fields::Head;

/// What a request gets of a body of known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Something else: it gets the whole.
    Other,
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
        Requested::From { first, .. } if first >= total => RangeDecision::Unsatisfiable,
        Requested::From { first, last } => {
            RangeDecision::Partial { first, last: last.map_or(total - 1, |last| last.min(total - 1)) }
        }
        Requested::Suffix { n_bytes: 0 } => RangeDecision::Unsatisfiable,
        Requested::Suffix { .. } if total == 0 => RangeDecision::Unsatisfiable,
        Requested::Suffix { n_bytes } => {
            RangeDecision::Partial { first: total.saturating_sub(n_bytes), last: total - 1 }
        }
    }
}

/// RFC 9110 section 13.1.5: only a strong validator makes parts of the same whole.
fn if_range_holds<Q, S>(request: &Q, stored: &S) -> bool
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
    let at = value.iter().position(|&byte| byte == b'=')?;
    if !value[..at].trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let spec = value[at + 1..].trim_ascii();
    if spec.contains(&b',') {
        return None;
    }
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
    fn what_is_asked_is_known_before_the_length_is() {
        for (range, expected) in [
            ("bytes=5-", Requested::From { first: 5, last: None }),
            ("bytes=5-7", Requested::From { first: 5, last: Some(7) }),
            ("bytes=-7", Requested::Suffix { n_bytes: 7 }),
            ("bytes=5-7,9-", Requested::Other),
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
