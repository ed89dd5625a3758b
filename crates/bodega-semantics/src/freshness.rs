//! How long an answer is fresh, and how old it is when it arrives. RFC 9111 sections 4.2.1 to 4.2.3.

use std::time::Duration;

use crate::cache_control::CacheControl;
use crate::date;
use crate::fields::Head;
use crate::policy::Policy;
use crate::time::Timestamp;

/// What named the lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A targeted field (RFC 9213).
    Targeted,
    /// `s-maxage`
    SharedMaxAge,
    /// `max-age`
    MaxAge,
    /// `Expires`
    Expires,
    /// A tenth of the age since `Last-Modified`.
    Heuristic,
    /// The policy's lifetime for this status.
    Negative,
    /// The policy's default.
    Default,
    /// Nothing: the answer says nothing, and its status or the policy allows no guess.
    None,
}

impl Source {
    /// Whether the origin said it.
    #[must_use]
    pub const fn is_explicit(self) -> bool {
        matches!(self, Self::Targeted | Self::SharedMaxAge | Self::MaxAge | Self::Expires)
    }
}

/// How long, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The freshness lifetime, within the policy's bounds.
    pub lifetime: Duration,
    /// What named it.
    pub source: Source,
}

/// The freshness lifetime of an answer that arrived at `response_time`.
pub fn lifetime<H: Head + ?Sized>(
    status: u16,
    head: &H,
    control: &CacheControl,
    targeted: bool,
    policy: &Policy,
    response_time: Timestamp,
) -> Lifetime {
    let bounded =
        |lifetime: Duration, source| Lifetime { lifetime: lifetime.max(policy.min_ttl).min(policy.max_ttl), source };
    if let Some(lifetime) = control.s_maxage {
        return bounded(lifetime, if targeted { Source::Targeted } else { Source::SharedMaxAge });
    }
    if let Some(lifetime) = control.max_age {
        return bounded(lifetime, if targeted { Source::Targeted } else { Source::MaxAge });
    }
    if !targeted && let Some(value) = head.first("expires") {
        // RFC 9111 section 5.3: an invalid date, and of several fields the first, means already expired.
        let date = head.first("date").and_then(date::parse).unwrap_or(response_time);
        let lifetime = date::parse(value).map_or(Duration::ZERO, |expires| expires.since(date));
        return bounded(lifetime, Source::Expires);
    }
    // Before any guess: what the policy says of this very status is the more particular.
    if let Ok(at) = policy.negative_ttl.binary_search_by_key(&status, |(status, _)| *status) {
        return bounded(policy.negative_ttl[at].1, Source::Negative);
    }
    // RFC 9111 section 4.2.2. A default of zero means that only what answers say counts, so no tenth of an age either.
    let is_cacheable = is_heuristically_cacheable(status);
    if !(is_cacheable || control.public) || policy.default_ttl.is_zero() {
        return Lifetime { lifetime: Duration::ZERO, source: Source::None };
    }
    if let Some(modified) = head.first("last-modified").and_then(date::parse) {
        let date = head.first("date").and_then(date::parse).unwrap_or(response_time);
        return bounded((date.since(modified) / 10).min(policy.default_ttl), Source::Heuristic);
    }
    if policy.heuristic_only || !is_cacheable {
        return Lifetime { lifetime: Duration::ZERO, source: Source::None };
    }
    bounded(policy.default_ttl, Source::Default)
}

/// How old the answer was when it arrived: the corrected initial age of RFC 9111 section 4.2.3.
pub fn initial_age<H: Head + ?Sized>(head: &H, request_time: Timestamp, response_time: Timestamp) -> Duration {
    let date = head.first("date").and_then(date::parse);
    let apparent = date.map_or(Duration::ZERO, |date| {
        // `Date` has whole seconds: an answer is not older because of the part of a second it lacks.
        Timestamp::from_seconds(response_time.seconds()).since(date)
    });
    let delay = response_time.since(request_time);
    apparent.max(age_value(head) + delay)
}

/// The received `Age`: the first member; what cannot be read is 0 (RFC 9111 section 5.1).
fn age_value<H: Head + ?Sized>(head: &H) -> Duration {
    let Some(value) = head.first("age") else { return Duration::ZERO };
    let value = value.split(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Duration::ZERO;
    }
    let seconds = value
        .iter()
        .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(1 << 31));
    Duration::from_secs(seconds)
}

/// RFC 9110 section 15.1. A 206 is never stored here, and is left out.
#[must_use]
pub const fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache_control::for_response;
    use crate::fields::Fields;
    use crate::policy::tests::policy;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const HOUR: u64 = 3600;

    fn head(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    /// The time so many seconds from now, as a date.
    fn at(seconds: i64) -> String {
        let seconds = 1_700_000_000_u64.checked_add_signed(seconds).unwrap();
        String::from_utf8(date::format(Timestamp::from_seconds(seconds)).to_vec()).unwrap()
    }

    fn of(status: u16, lines: &[(&str, &str)], policy: &Policy) -> (u64, Source) {
        let head = head(lines);
        let (control, targeted) = for_response(&head);
        let lifetime = lifetime(status, &head, &control, targeted, policy, NOW);
        (lifetime.lifetime.as_secs(), lifetime.source)
    }

    #[test]
    fn the_more_particular_word_goes_first() {
        let (date, expires, modified) = (at(-10), at(50), at(-1000));
        let all = [
            ("Bodega-Cache-Control", "max-age=1"),
            ("CDN-Cache-Control", "max-age=2"),
            ("Cache-Control", "s-maxage=3"),
            ("Cache-Control", "max-age=4"),
            ("Expires", &expires),
            ("Last-Modified", &modified),
            ("Date", &date),
        ];
        let expected = [
            (1, Source::Targeted),
            (2, Source::Targeted),
            (3, Source::SharedMaxAge),
            (4, Source::MaxAge),
            (60, Source::Expires),
            (99, Source::Heuristic),
            (86_400, Source::Default),
        ];
        for (from, expected) in expected.into_iter().enumerate() {
            assert_eq!(of(200, &all[from..], &policy()), expected, "without the first {from}");
        }
        let targeted = [("CDN-Cache-Control", "public"), ("Cache-Control", "max-age=4"), ("Expires", &expires)];
        assert_eq!(of(200, &targeted, &policy()).1, Source::Default, "9213-2.2: the others do not count");
        assert_eq!(of(200, &[("CDN-Cache-Control", "s-maxage=7, max-age=8")], &policy()), (7, Source::Targeted));
    }

    #[test]
    fn expires_is_counted_from_date() {
        let (past, now, soon) = (at(-100), at(0), at(60));
        for (name, lines, expected) in [
            ("4.2.1", vec![("Expires", &*soon), ("Date", &*now)], 60),
            ("without Date: from arrival", vec![("Expires", &*soon)], 60),
            ("an invalid Date: from arrival", vec![("Expires", &*soon), ("Date", "today")], 60),
            ("a Date in the past", vec![("Expires", &*soon), ("Date", &*past)], 160),
            ("already past", vec![("Expires", &*past), ("Date", &*now)], 0),
            ("equal", vec![("Expires", &*now), ("Date", &*now)], 0),
            ("5.3: 0 is past", vec![("Expires", "0")], 0),
            ("5.3: so is what is no date", vec![("Expires", "in an hour")], 0),
            ("4.2.1: the first of several", vec![("Expires", "0"), ("Expires", &*soon)], 0),
        ] {
            assert_eq!(of(200, &lines, &policy()), (expected, Source::Expires), "{name}");
        }
    }

    #[test]
    fn a_guess_is_a_tenth_at_most_the_default_and_only_for_some_statuses() {
        let (old, young, future) = (at(-100 * 86_400), at(-1000), at(1000));
        for (modified, expected) in [
            (&*young, (100, Source::Heuristic)),
            (&*old, (86_400, Source::Heuristic)),
            (&*future, (0, Source::Heuristic)),
            ("long ago", (86_400, Source::Default)),
        ] {
            assert_eq!(of(200, &[("Last-Modified", modified)], &policy()), expected, "{modified}");
        }
        let guessed = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
        for status in 100..600 {
            let expected = if guessed.contains(&status) { Source::Default } else { Source::None };
            assert_eq!(of(status, &[], &policy()).1, expected, "15.1: {status}");
            assert_eq!(of(status, &[("Cache-Control", "max-age=1")], &policy()), (1, Source::MaxAge), "{status}");
        }
        let only_said = Policy { default_ttl: Duration::ZERO, ..policy() };
        assert_eq!(of(200, &[("Last-Modified", &young)], &only_said), (0, Source::None));
    }

    #[test]
    fn the_policy_bounds_every_lifetime_and_names_those_of_failures() {
        let bounded = Policy {
            min_ttl: Duration::from_secs(10),
            max_ttl: Duration::from_secs(HOUR),
            negative_ttl: vec![(404, Duration::from_secs(20)), (500, Duration::from_secs(1))],
            ..policy()
        };
        let modified = at(-1000);
        for (name, status, lines, expected) in [
            ("too short", 200, vec![("Cache-Control", "max-age=1")], (10, Source::MaxAge)),
            ("too long", 200, vec![("Cache-Control", "max-age=99999")], (HOUR, Source::MaxAge)),
            ("a default too long", 200, vec![], (HOUR, Source::Default)),
            ("a failure that says nothing", 404, vec![], (20, Source::Negative)),
            ("before a guess", 404, vec![("Last-Modified", &*modified)], (20, Source::Negative)),
            ("behind what it says", 404, vec![("Cache-Control", "max-age=30")], (30, Source::MaxAge)),
            ("within the bounds", 500, vec![], (10, Source::Negative)),
            ("no other failure", 502, vec![], (0, Source::None)),
        ] {
            assert_eq!(of(status, &lines, &bounded), expected, "{name}");
        }
        let crossed = Policy { min_ttl: Duration::from_secs(HOUR), max_ttl: Duration::from_secs(5), ..policy() };
        assert_eq!(of(200, &[], &crossed).0, 5, "the upper bound wins");
    }

    #[test]
    fn the_age_on_arrival_is_the_larger_of_two_reckonings() {
        let (now, past, future) = (at(0), at(-30), at(30));
        for (name, lines, delay_ms, expected_ms) in [
            ("nothing said", vec![], 0, 0),
            ("4.2.3 the delay counts", vec![], 1500, 1500),
            ("4.2.3 corrected", vec![("Age", "20"), ("Date", &*now)], 1500, 21_500),
            ("4.2.3 apparent", vec![("Age", "20"), ("Date", &*past)], 0, 30_000),
            ("4.2.3 a Date in the future", vec![("Date", &*future)], 0, 0),
            ("an invalid Date", vec![("Date", "now")], 0, 0),
            ("5.1 leading zeros", vec![("Age", "007")], 0, 7_000),
            ("5.1 the first of a list", vec![("Age", "7, 100")], 0, 7_000),
            ("5.1 the first of several lines", vec![("Age", "7"), ("Age", "100")], 0, 7_000),
            ("5.1 negative is ignored", vec![("Age", "-7")], 0, 0),
            ("5.1 a fraction is ignored", vec![("Age", "7.0")], 0, 0),
            ("5.1 a word is ignored", vec![("Age", "old")], 0, 0),
            ("1.2.2 overflow", vec![("Age", "99999999999999999999999")], 0, (1 << 31) * 1000),
        ] {
            let arrived = NOW.plus(Duration::from_millis(999));
            let asked = arrived.minus(Duration::from_millis(delay_ms));
            assert_eq!(initial_age(&head(&lines), asked, arrived).as_millis(), expected_ms, "{name}");
        }
        let backwards = initial_age(&head(&[]), NOW, Timestamp::default());
        assert_eq!(backwards, Duration::ZERO, "a clock that was set back");
    }
}
