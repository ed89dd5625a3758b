//! May this answer be kept for others, and on which terms? RFC 9111 sections 3 and 3.5, RFC 5861.
//!
//! The safe side for a gateway that many share: answers with `Set-Cookie` are not kept, failures of the origin only
//! if somebody says how long, what was made for a user only if the origin says that it is for all.

use std::time::Duration;

use crate::cache_control::{self, CacheControl, Qualified};
use crate::fields::{Head, list_members};
use crate::freshness;
use crate::outcome::Reason;
use crate::policy::Policy;
use crate::time::Timestamp;

/// What matters of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// The method's class.
    pub method: Method,
    /// Whether something goes to the origin that names a user and is not in the key.
    pub has_user_fields: bool,
}

/// Methods as far as storing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// Any other
    Other,
}

impl Method {
    /// The class of a method as received; methods are case-sensitive.
    #[must_use]
    pub fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            _ => Self::Other,
        }
    }
}

impl RequestFacts {
    /// A GET.
    #[must_use]
    pub const fn get(has_user_fields: bool) -> Self {
        Self { method: Method::Get, has_user_fields }
    }
}

/// The terms on which an answer is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// When it was generated, by this edge's clock: its age is `now - born`.
    pub born: Timestamp,
    /// Until when it is fresh.
    pub expires: Timestamp,
    /// How long afterwards it may answer while it is being validated.
    pub stale_while_revalidate: Window,
    /// How long afterwards it may answer when the origin fails.
    pub stale_if_error: Window,
    /// Never to be used stale.
    pub must_revalidate: bool,
    /// To be validated before each use.
    pub always_validate: bool,
    /// The origin said that it is for all: it may answer requests that name a user, too.
    pub shared_explicit: bool,
}

/// A stale window in whole seconds; each entry has two, so they are small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window(u32);

impl From<Duration> for Window {
    fn from(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
    }
}

impl Window {
    /// Its length.
    #[must_use]
    pub const fn length(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }

    const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storable {
    /// Kept on these terms.
    Yes(Terms),
    /// Not kept.
    No(Reason),
}

/// Decides.
pub fn decide<H: Head + ?Sized>(
    request: &RequestFacts,
    status: u16,
    response: &H,
    policy: &Policy,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Storable {
    const NO: Storable = Storable::No(Reason::Uncacheable);
    if !policy.store {
        return Storable::No(Reason::PolicyNone);
    }
    if request.method != Method::Get || !(200..600).contains(&status) || matches!(status, 206 | 304) {
        return NO;
    }
    let (control, targeted) = cache_control::for_response(response);
    // `must-understand` lets caches that know the status ignore `no-store` (RFC 9111 section 5.2.2.3).
    let no_store = control.no_store && !(control.must_understand && is_understood(status));
    if no_store || (control.must_understand && !is_understood(status)) {
        return NO;
    }
    // A qualified `private` is for the named fields only; leaving them out is for later, keeping nothing is safe.
    if control.private != Qualified::Absent || response.has("set-cookie") || varies_by_anything(response) {
        return NO;
    }
    let shared_explicit = control.public || control.s_maxage.is_some() || (targeted && control.max_age.is_some());
    if request.has_user_fields && !shared_explicit {
        return Storable::No(Reason::UserRequest);
    }
    let lifetime = freshness::lifetime(status, response, &control, targeted, policy, response_time);
    let says_how_long = lifetime.source.is_explicit() || lifetime.source == freshness::Source::Negative;
    if (status >= 500 && status != 501 || !freshness::is_heuristically_cacheable(status)) && !says_how_long {
        return NO;
    }
    let terms = terms(&control, lifetime.lifetime, shared_explicit, policy, response, request_time, response_time);
    let has_validator = response.has("etag") || response.has("last-modified");
    let is_of_use = terms.expires > response_time
        || has_validator
        || !terms.stale_while_revalidate.is_zero()
        || (!terms.stale_if_error.is_zero() && control.stale_if_error.is_some());
    if lifetime.source == freshness::Source::None || !is_of_use {
        return NO;
    }
    Storable::Yes(terms)
}

fn terms<H: Head + ?Sized>(
    control: &CacheControl,
    lifetime: Duration,
    shared_explicit: bool,
    policy: &Policy,
    response: &H,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Terms {
    let born = response_time.minus(freshness::initial_age(response, request_time, response_time));
    // RFC 9111 section 5.2.2.10: `s-maxage` includes what `proxy-revalidate` says.
    let must_revalidate = control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some();
    Terms {
        born,
        expires: born.plus(lifetime),
        stale_while_revalidate: control.stale_while_revalidate.unwrap_or(policy.stale_while_revalidate).into(),
        stale_if_error: control.stale_if_error.unwrap_or(policy.stale_if_error).into(),
        must_revalidate,
        always_validate: control.no_cache != Qualified::Absent,
        shared_explicit,
    }
}

fn varies_by_anything<H: Head + ?Sized>(response: &H) -> bool {
    list_members(response.all("vary")).any(|member| member == b"*")
}

/// Final statuses whose meaning this cache knows (RFC 9110 section 15).
const fn is_understood(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300..=303 | 307 | 308 | 400..=418 | 421 | 422 | 426 | 500..=505)
}
