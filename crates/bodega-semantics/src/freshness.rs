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
    if let Ok(at) = policy.negative_ttl.binary_search_by_key(&status, |(status, _)| *status) {
        return bounded(policy.negative_ttl[at].1, Source::Negative);
    }
    if !is_heuristically_cacheable(status) || policy.default_ttl.is_zero() {
        return Lifetime { lifetime: Duration::ZERO, source: Source::None };
    }
    if let Some(modified) = head.first("last-modified").and_then(date::parse) {
        let date = head.first("date").and_then(date::parse).unwrap_or(response_time);
        return bounded((date.since(modified) / 10).min(policy.default_ttl), Source::Heuristic);
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
