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

impl Terms {
    /// Whether it may answer for a while after it has expired, be it while it is validated or when the origin fails.
    #[must_use]
    pub const fn may_be_stale(&self) -> bool {
        let has_window = !self.stale_while_revalidate.is_zero() || !self.stale_if_error.is_zero();
        has_window && !self.must_revalidate
    }
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
    // RFC 9110 section 9.3.2: the answer to a HEAD has no body that a GET could get.
    if request.method != Method::Get {
        return Storable::No(Reason::Method);
    }
    // A 206 is part of an answer and a 304 none: both change what is stored, neither is it (RFC 9111 sections 3.3, 4.3.4).
    // A 416 answers a range that the key does not hold.
    if !(200..600).contains(&status) || matches!(status, 206 | 304 | 416) {
        return NO;
    }
    let (control, targeted) = cache_control::for_response(response);
    // RFC 9111 section 5.2.2.3: `must-understand` lets caches that know the status ignore `no-store`, and no others keep
    // the answer.
    let is_refused = if control.must_understand { !is_understood(status) } else { control.no_store };
    if is_refused {
        return NO;
    }
    if control.private == Qualified::Whole || varies_by_anything(response) {
        return NO;
    }
    // A cookie is for one user. Who knows better says so: `no-cache="set-cookie"` keeps the answer without the field.
    if !policy.mode.is_rfc() && response.has("set-cookie") && !control.withholds("set-cookie") {
        return NO;
    }
    let shared_explicit = control.public
        || control.s_maxage.is_some()
        || (targeted && control.max_age.is_some())
        // RFC 9111 section 3.5 lets `must-revalidate` speak for all, too; origins mostly mean something else by it.
        || (policy.mode.is_rfc() && control.must_revalidate);
    if request.has_user_fields && !shared_explicit {
        return Storable::No(Reason::UserRequest);
    }
    let lifetime = freshness::lifetime(status, response, &control, targeted, policy, response_time);
    let says_how_long = lifetime.source.is_explicit() || lifetime.source == freshness::Source::Negative;
    let may_be_guessed = freshness::is_heuristically_cacheable(status) || control.public;
    if ((status >= 500 && !policy.mode.is_rfc()) || !may_be_guessed) && !says_how_long {
        return NO;
    }
    let terms = terms(&control, lifetime.lifetime, shared_explicit, policy, response, request_time, response_time);
    let has_validator = response.has("etag") || response.has("last-modified");
    let is_of_use = if terms.always_validate {
        // RFC 9111 section 5.2.2.4: it answers nobody before the origin has confirmed it, which takes a validator.
        has_validator
    } else {
        lifetime.source != freshness::Source::None
            && (terms.expires > response_time
                || has_validator
                || !terms.stale_while_revalidate.is_zero()
                || (!terms.stale_if_error.is_zero() && control.stale_if_error.is_some()))
    };
    if is_of_use { Storable::Yes(terms) } else { NO }
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
    let age = freshness::initial_age(response, request_time, response_time);
    let forbids_stale = control.must_revalidate || control.proxy_revalidate;
    // RFC 9111 section 5.2.2.10: `s-maxage` includes what `proxy-revalidate` says. An answer that also names a window of
    // its own means it, and only that one.
    let names_window = control.stale_while_revalidate.is_some() || control.stale_if_error.is_some();
    let only_own = control.s_maxage.is_some() && !policy.mode.is_rfc() && names_window;
    let window = |own: Option<Duration>, default: Duration| {
        Window::from(own.unwrap_or(if only_own { Duration::ZERO } else { default }))
    };
    Terms {
        born: response_time.minus(age),
        // Not `born.plus(lifetime)`: `born` stops at the epoch, and what is older than that would seem fresh.
        expires: if lifetime > age { response_time.plus(lifetime - age) } else { response_time.minus(age - lifetime) },
        stale_while_revalidate: window(control.stale_while_revalidate, policy.stale_while_revalidate),
        stale_if_error: window(control.stale_if_error, policy.stale_if_error),
        must_revalidate: forbids_stale || (control.s_maxage.is_some() && !only_own),
        always_validate: control.no_cache == Qualified::Whole,
        shared_explicit,
    }
}

fn varies_by_anything<H: Head + ?Sized>(response: &H) -> bool {
    list_members(response.all("vary")).any(|member| member == b"*")
}

/// The fields that the first client gets and the store does not: those that `private` and `no-cache` name (RFC 9111
/// sections 5.2.2.4 and 5.2.2.7). Lower case.
pub fn withheld<H: Head + ?Sized>(response: &H) -> Vec<String> {
    let (control, _) = cache_control::for_response(response);
    let mut names = Vec::new();
    for qualified in [control.private, control.no_cache] {
        if let Qualified::Fields(listed) = qualified {
            names.extend(listed);
        }
    }
    names
}

/// Final statuses whose meaning this cache knows (RFC 9110 section 15).
const fn is_understood(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 300..=303 | 307 | 308 | 400..=418 | 421 | 422 | 426 | 500..=505)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date;
    use crate::fields::Fields;
    use crate::policy::tests::policy;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const NO: Storable = Storable::No(Reason::Uncacheable);

    type Lines<'a> = &'a [(&'a str, &'a str)];

    fn head(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        fields
    }

    fn ask(status: u16, lines: &[(&str, &str)], change: impl FnOnce(&mut Policy, &mut RequestFacts)) -> Storable {
        let (mut policy, mut facts) = (policy(), RequestFacts::get(false));
        change(&mut policy, &mut facts);
        decide(&facts, status, &head(lines), &policy, NOW, NOW)
    }

    /// Seconds of freshness of what may be stored.
    fn fresh_for(status: u16, lines: &[(&str, &str)]) -> Option<u64> {
        match ask(status, lines, |_, _| {}) {
            Storable::Yes(terms) => Some(terms.expires.since(NOW).as_secs()),
            Storable::No(_) => None,
        }
    }

    #[test]
    fn what_may_be_stored_by_section_3_and_how_long() {
        const DAY: u64 = 86_400;
        const TAG: (&str, &str) = ("ETag", "\"a\"");
        const CONTROL: &str = "Cache-Control";
        #[rustfmt::skip]
        let table: &[(&str, u16, Lines<'_>, Option<u64>)] = &[
            ("says nothing", 200, &[], Some(DAY)),
            ("4.2.1 max-age", 200, &[(CONTROL, "max-age=60")], Some(60)),
            ("4.2.1 s-maxage", 200, &[(CONTROL, "s-maxage=10, max-age=60")], Some(10)),
            ("4.2.3 age counts", 200, &[(CONTROL, "max-age=60"), ("Age", "20")], Some(40)),
            ("9213-2.2 targeted", 200, &[("CDN-Cache-Control", "max-age=5"), (CONTROL, "no-store")], Some(5)),
            ("9213-2.2 targeted no-store", 200, &[("CDN-Cache-Control", "no-store"), (CONTROL, "max-age=5")], None),
            ("9213-2.1 targeted, not parsing", 200, &[("CDN-Cache-Control", "max-age=5,"), (CONTROL, "no-store")], None),
            ("5.2.2.5 no-store", 200, &[(CONTROL, "no-store, max-age=60")], None),
            ("5.2.2.5 no-store on a second line", 200, &[(CONTROL, "max-age=60"), (CONTROL, "no-store")], None),
            ("5.2.2.7 private", 200, &[(CONTROL, "private, max-age=60")], None),
            ("5.2.2.7 private fields", 200, &[(CONTROL, "private=\"x\", max-age=60")], Some(60)),
            ("5.2.2.4 no-cache with a validator", 200, &[(CONTROL, "no-cache, max-age=60"), TAG], Some(60)),
            ("5.2.2.4 no-cache without", 200, &[(CONTROL, "no-cache, max-age=60")], None),
            ("5.2.2.4 no-cache fields", 200, &[(CONTROL, "no-cache=\"x\", max-age=60")], Some(60)),
            ("5.2.2.3 must-understand lifts no-store", 200, &[(CONTROL, "no-store, must-understand, max-age=9")], Some(9)),
            ("5.2.2.3 must-understand, unknown status", 299, &[(CONTROL, "must-understand, max-age=9")], None),
            ("5.2.2.3 and no-store, unknown status", 299, &[(CONTROL, "no-store, must-understand, max-age=9")], None),
            ("4.1 Vary", 200, &[("Vary", "Accept"), (CONTROL, "max-age=60")], Some(60)),
            ("4.1 Vary: *", 200, &[("Vary", "*"), (CONTROL, "max-age=60")], None),
            ("4.1 Vary: * among others", 200, &[("Vary", "a"), ("Vary", "b , *"), (CONTROL, "max-age=60")], None),
            ("7.3 Set-Cookie", 200, &[("Set-Cookie", "a=1"), (CONTROL, "max-age=60")], None),
            ("7.3 Set-Cookie, said to be for all", 200, &[("Set-Cookie", "a=1"), (CONTROL, "public, s-maxage=60")], None),
            ("7.3 Set-Cookie, targeted", 200, &[("Set-Cookie", "a=1"), ("CDN-Cache-Control", "max-age=60")], None),
            ("stale, without validator", 200, &[(CONTROL, "max-age=0")], None),
            ("stale, with a tag", 200, &[(CONTROL, "max-age=0"), TAG], Some(0)),
            ("stale, with a date", 200, &[(CONTROL, "max-age=0"), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")], Some(0)),
            ("5861-3 stale, with a window", 200, &[(CONTROL, "max-age=0, stale-while-revalidate=9")], Some(0)),
            ("5861-4 stale, with a window", 200, &[(CONTROL, "max-age=0, stale-if-error=9")], Some(0)),
            ("aged out, without validator", 200, &[(CONTROL, "max-age=60"), ("Age", "60")], None),
            ("5.3 Expires: 0", 200, &[("Expires", "0")], None),
            ("204", 204, &[], Some(DAY)),
            ("301", 301, &[], Some(DAY)),
            ("302 says nothing", 302, &[], None),
            ("302 says how long", 302, &[(CONTROL, "max-age=60")], Some(60)),
            ("404", 404, &[], Some(DAY)),
            ("403 says nothing", 403, &[], None),
            ("403 with only a validator", 403, &[TAG], None),
            ("412 says how long", 412, &[(CONTROL, "max-age=60")], Some(60)),
            ("500 says nothing", 500, &[], None),
            ("500 says how long", 500, &[(CONTROL, "max-age=60")], Some(60)),
            ("501 says nothing, though 15.1 would allow a guess", 501, &[], None),
            ("599 by Expires", 599, &[("Expires", "Tue, 14 Nov 2023 22:14:20 GMT")], Some(60)),
            ("100 is not final", 100, &[(CONTROL, "max-age=60")], None),
            ("206", 206, &[(CONTROL, "max-age=60")], None),
            ("416", 416, &[(CONTROL, "max-age=60")], None),
            ("304", 304, &[(CONTROL, "max-age=60")], None),
            ("600 is no status", 600, &[(CONTROL, "max-age=60")], None),
        ];
        assert_eq!(date::format(NOW), *b"Tue, 14 Nov 2023 22:13:20 GMT");
        for (name, status, lines, expected) in table {
            assert_eq!(fresh_for(*status, lines), *expected, "{name}");
        }
    }

    #[test]
    fn what_the_policy_and_the_request_forbid_has_its_reason() {
        let control = [("Cache-Control", "max-age=60")];
        let public = [("Cache-Control", "public, max-age=60")];
        assert_eq!(ask(200, &public, |policy, _| policy.store = false), Storable::No(Reason::PolicyNone));
        for method in [Method::Head, Method::Other] {
            assert_eq!(ask(200, &public, |_, facts| facts.method = method), Storable::No(Reason::Method));
        }
        // RFC 9111 section 3.5, and the same for every field that names a user.
        for (lines, is_stored) in [
            (&control[..], false),
            (&[], false),
            (&[("Expires", "Tue, 14 Nov 2023 22:14:20 GMT")], false),
            (&[("Cache-Control", "must-revalidate, max-age=60")], false),
            (&public, true),
            (&[("Cache-Control", "s-maxage=60")], true),
            (&[("CDN-Cache-Control", "max-age=60")], true),
        ] {
            let decided = ask(200, lines, |_, facts| facts.has_user_fields = true);
            match decided {
                Storable::Yes(terms) => assert!(is_stored && terms.shared_explicit, "{lines:?}"),
                Storable::No(reason) => assert!(!is_stored && reason == Reason::UserRequest, "{lines:?}"),
            }
        }
        assert!(matches!(ask(200, &control, |_, _| {}), Storable::Yes(Terms { shared_explicit: false, .. })));
    }

    #[test]
    fn a_lifetime_for_failures_needs_somebody_who_names_it() {
        let negative = |policy: &mut Policy, _: &mut RequestFacts| {
            policy.negative_ttl = vec![(404, Duration::from_secs(10)), (503, Duration::from_secs(1))];
        };
        for (status, lines, expected) in [
            (404, &[][..], Some(10)),
            (503, &[], Some(1)),
            (502, &[], None),
            (503, &[("Cache-Control", "max-age=60")], Some(60)),
            (503, &[("Cache-Control", "no-store")], None),
        ] {
            let seconds = match ask(status, lines, negative) {
                Storable::Yes(terms) => Some(terms.expires.since(NOW).as_secs()),
                Storable::No(_) => None,
            };
            assert_eq!(seconds, expected, "{status} {lines:?}");
        }
    }

    #[test]
    fn a_minimum_lengthens_but_never_overrides_a_refusal() {
        let minimum = |policy: &mut Policy, _: &mut RequestFacts| policy.min_ttl = Duration::from_secs(30);
        let seconds = |lines: &[(&str, &str)]| match ask(200, lines, minimum) {
            Storable::Yes(terms) => Some((terms.expires.since(NOW).as_secs(), terms.always_validate)),
            Storable::No(_) => None,
        };
        assert_eq!(seconds(&[("Cache-Control", "max-age=0")]), Some((30, false)));
        assert_eq!(seconds(&[("Cache-Control", "no-store")]), None);
        assert_eq!(seconds(&[("Cache-Control", "private")]), None);
        assert_eq!(
            seconds(&[("Cache-Control", "no-cache"), ("ETag", "\"a\"")]).map(|(_, validate)| validate),
            Some(true)
        );
    }

    #[test]
    fn without_a_default_only_what_answers_say_is_kept() {
        let none = |policy: &mut Policy, _: &mut RequestFacts| policy.default_ttl = Duration::ZERO;
        let tag = ("ETag", "\"a\"");
        let modified = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(ask(200, &[tag, modified], none), NO);
        assert!(matches!(ask(200, &[("Cache-Control", "max-age=1")], none), Storable::Yes(_)));
        // `no-cache` says: keep it and ask me.
        assert!(matches!(ask(200, &[("Cache-Control", "no-cache"), tag], none), Storable::Yes(_)));
    }

    #[test]
    fn stale_windows_are_the_answers_own_or_the_policys() {
        let windows = |lines: &[(&str, &str)]| {
            let policy = |policy: &mut Policy, _: &mut RequestFacts| {
                policy.stale_while_revalidate = Duration::from_secs(3);
                policy.stale_if_error = Duration::from_secs(4);
            };
            match ask(200, lines, policy) {
                Storable::Yes(terms) => {
                    let seconds = |window: Window| window.length().as_secs();
                    Some((seconds(terms.stale_while_revalidate), seconds(terms.stale_if_error), terms.must_revalidate))
                }
                Storable::No(_) => None,
            }
        };
        for (control, expected) in [
            ("max-age=60", (3, 4, false)),
            ("max-age=60, stale-while-revalidate=1, stale-if-error=2", (1, 2, false)),
            ("max-age=60, stale-while-revalidate=0, stale-if-error=0", (0, 0, false)),
            ("max-age=60, must-revalidate", (3, 4, true)),
            ("max-age=60, proxy-revalidate", (3, 4, true)),
            ("s-maxage=60", (3, 4, true)),
        ] {
            assert_eq!(windows(&[("Cache-Control", control)]), Some(expected), "{control}");
        }
    }

    #[test]
    fn an_answer_older_than_the_epoch_is_not_fresh_for_it() {
        // `born` cannot lie before 1970: reckoned from there, an age of 68 years left 14 of 68 years of freshness.
        let lines = [("Age", "2147483648"), ("Cache-Control", "max-age=2147483648"), ("ETag", "\"a\"")];
        let decided = ask(200, &lines, |policy, _| policy.max_ttl = Duration::from_secs(1 << 32));
        let Storable::Yes(terms) = decided else { panic!("{decided:?}") };
        assert!(terms.expires <= NOW);
    }

    #[test]
    fn an_answer_that_was_stale_on_arrival_expired_in_the_past() {
        let lines = [("Age", "100"), ("Cache-Control", "max-age=60"), ("ETag", "\"a\"")];
        let decided = ask(200, &lines, |_, _| {});
        let Storable::Yes(terms) = decided else { panic!("{decided:?}") };
        assert_eq!(
            (NOW.since(terms.born), NOW.since(terms.expires)),
            (Duration::from_secs(100), Duration::from_secs(40))
        );
    }

    #[test]
    fn age_goes_on_from_what_it_was_on_arrival() {
        let lines = [("Age", "20"), ("Cache-Control", "max-age=60")];
        let arrived = NOW.plus(Duration::from_millis(2500));
        let decided = decide(&RequestFacts::get(false), 200, &head(&lines), &policy(), NOW, arrived);
        let Storable::Yes(terms) = decided else { panic!("{decided:?}") };
        // RFC 9111 section 4.2.3: the delay of the answer counts as age.
        assert_eq!(arrived.since(terms.born), Duration::from_millis(22_500));
        assert_eq!(terms.expires.since(terms.born), Duration::from_secs(60));
    }

    #[test]
    fn windows_saturate() {
        assert_eq!(Window::from(Duration::MAX).length(), Duration::from_secs(u64::from(u32::MAX)));
    }
}
