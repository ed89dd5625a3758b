//! May a stored answer be used for this request now? RFC 9111 section 4, RFC 5861.
//!
//! Owns no time and no storage. Invalidation is checked before, by stamp.

use std::time::Duration;

use crate::cache_control::{CacheControl, Qualified};
use crate::outcome::Reason;
use crate::storable::{RequestFacts, Terms};
use crate::time::Timestamp;

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Yes, as it is.
    Fresh {
        /// Its age in seconds.
        age_seconds: u64,
        /// Seconds of freshness left, rounded up to 1 while there is any.
        ttl_seconds: u64,
    },
    /// Yes, although stale: the client asked for that.
    Stale {
        /// Its age in seconds.
        age_seconds: u64,
    },
    /// Yes, although stale, while it is being validated.
    StaleWhileRevalidate {
        /// Its age in seconds.
        age_seconds: u64,
    },
    /// Only once the origin has confirmed it.
    Revalidate(Reason),
    /// Not for this request at all.
    NotFor(Reason),
}

/// Decides. `heeded` are the request's directives, if this client is heeded (a gateway need not).
#[inline]
#[must_use]
pub fn decide(terms: &Terms, facts: &RequestFacts, heeded: Option<&CacheControl>, now: Timestamp) -> Reuse {
    if facts.has_user_fields && !terms.shared_explicit {
        return Reuse::NotFor(Reason::UserRequest);
    }
    if terms.always_validate {
        return Reuse::Revalidate(Reason::MustRevalidate);
    }
    let age_seconds = now.since(terms.born).as_secs();
    if let Some(control) = heeded {
        if !satisfies(terms, control, now) {
            return Reuse::Revalidate(Reason::RequestDirective);
        }
        if terms.expires <= now && !terms.must_revalidate && allows_stale(terms, control, now) {
            return Reuse::Stale { age_seconds };
        }
    }
    if terms.expires > now {
        let left = terms.expires.0 - now.0;
        return Reuse::Fresh { age_seconds, ttl_seconds: left.div_ceil(1000) };
    }
    if !terms.must_revalidate && terms.expires.plus(terms.stale_while_revalidate.length()) > now {
        return Reuse::StaleWhileRevalidate { age_seconds };
    }
    Reuse::Revalidate(Reason::Expired)
}

/// The same where invalidations may have been missed: nothing is used before the origin has confirmed it.
#[must_use]
pub const fn confirmed(decided: Reuse) -> Reuse {
    match decided {
        Reuse::Fresh { .. } | Reuse::Stale { .. } | Reuse::StaleWhileRevalidate { .. } => {
            Reuse::Revalidate(Reason::NotLevel)
        }
        Reuse::Revalidate(_) | Reuse::NotFor(_) => decided,
    }
}

/// Whether a fresh answer is old enough to be validated while it is used.
#[inline]
#[must_use]
pub fn is_refreshed_early(terms: &Terms, every: Option<Duration>, now: Timestamp) -> bool {
    every.is_some_and(|every| now.since(terms.born) >= every)
}

/// Whether an answer that has expired may stand in for an origin that fails (RFC 5861 section 4). With
/// `must-revalidate` never (RFC 9111 section 5.2.2.2).
#[must_use]
pub fn may_serve_on_error(terms: &Terms, now: Timestamp) -> bool {
    // Without a window nothing stands in, not even what is fresh where a client asked for it to be validated.
    let window = terms.stale_if_error.length();
    !terms.must_revalidate && !terms.always_validate && !window.is_zero() && terms.expires.plus(window) > now
}

/// RFC 9111 section 5.2.1.2.
fn allows_stale(terms: &Terms, control: &CacheControl, now: Timestamp) -> bool {
    match control.max_stale {
        None => false,
        Some(None) => true,
        Some(Some(most)) => now.since(terms.expires) <= most,
    }
}

/// RFC 9111 section 5.2.1.
fn satisfies(terms: &Terms, control: &CacheControl, now: Timestamp) -> bool {
    let age = now.since(terms.born);
    control.no_cache == Qualified::Absent
        && control.max_age.is_none_or(|max_age| age <= max_age)
        && control.min_fresh.is_none_or(|min_fresh| terms.expires.since(now) >= min_fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORN: Timestamp = Timestamp::from_seconds(1000);

    fn terms(change: impl FnOnce(&mut Terms)) -> Terms {
        let mut terms = Terms { born: BORN, expires: Timestamp::from_seconds(1060), ..Terms::default() };
        change(&mut terms);
        terms
    }

    #[test]
    fn each_branch_of_the_decision() {
        let window = |terms: &mut Terms| terms.stale_while_revalidate = Duration::from_secs(10).into();
        let table = [
            ("fresh", terms(|_| {}), false, 1059, Reuse::Fresh { age_seconds: 59, ttl_seconds: 1 }),
            ("4.2: not fresh once age is lifetime", terms(|_| {}), false, 1060, Reuse::Revalidate(Reason::Expired)),
            ("5861-3: in the window", terms(window), false, 1069, Reuse::StaleWhileRevalidate { age_seconds: 69 }),
            ("5861-3: after the window", terms(window), false, 1070, Reuse::Revalidate(Reason::Expired)),
            (
                "5.2.2.2: must-revalidate forbids the window",
                terms(|terms| {
                    window(terms);
                    terms.must_revalidate = true;
                }),
                false,
                1061,
                Reuse::Revalidate(Reason::Expired),
            ),
            (
                "5.2.2.4: no-cache",
                terms(|terms| terms.always_validate = true),
                false,
                1001,
                Reuse::Revalidate(Reason::MustRevalidate),
            ),
            ("a user's request", terms(|_| {}), true, 1001, Reuse::NotFor(Reason::UserRequest)),
            (
                "a user's request, for all",
                terms(|terms| terms.shared_explicit = true),
                true,
                1001,
                Reuse::Fresh { age_seconds: 1, ttl_seconds: 59 },
            ),
        ];
        for (name, terms, user, now, expected) in table {
            let facts = RequestFacts::get(user);
            assert_eq!(decide(&terms, &facts, None, Timestamp::from_seconds(now)), expected, "{name}");
        }
    }

    #[test]
    fn what_may_have_been_invalidated_is_used_only_once_it_is_confirmed() {
        const ASKED: Reuse = Reuse::Revalidate(Reason::NotLevel);
        let (age_seconds, ttl_seconds) = (1, 59);
        for (decided, expected) in [
            (Reuse::Fresh { age_seconds, ttl_seconds }, ASKED),
            (Reuse::Stale { age_seconds }, ASKED),
            (Reuse::StaleWhileRevalidate { age_seconds }, ASKED),
            (Reuse::Revalidate(Reason::Expired), Reuse::Revalidate(Reason::Expired)),
            (Reuse::NotFor(Reason::UserRequest), Reuse::NotFor(Reason::UserRequest)),
        ] {
            assert_eq!(confirmed(decided), expected, "{decided:?}");
        }
    }

    #[test]
    fn what_is_old_enough_is_refreshed_early() {
        let every = Some(Duration::from_secs(10));
        for (every, now, expected) in
            [(None, 1059, false), (every, 1009, false), (every, 1010, true), (every, 900, false)]
        {
            let now = Timestamp::from_seconds(now);
            assert_eq!(is_refreshed_early(&terms(|_| {}), every, now), expected, "{every:?} {now:?}");
        }
    }

    #[test]
    fn stale_if_error_ends_and_is_forbidden_by_must_revalidate() {
        let window = terms(|terms| terms.stale_if_error = Duration::from_secs(10).into());
        assert!(may_serve_on_error(&window, Timestamp::from_seconds(1069)));
        assert!(!may_serve_on_error(&window, Timestamp::from_seconds(1070)));
        let strict = Terms { must_revalidate: true, ..window };
        assert!(!may_serve_on_error(&strict, Timestamp::from_seconds(1061)));
    }
    #[test]
    fn a_client_that_is_heeded_may_ask_for_more() {
        let heeded = |request: &str, now: u64| {
            let control = crate::cache_control::parse(std::iter::once(request.as_bytes()));
            decide(&terms(|_| {}), &RequestFacts::get(false), Some(&control), Timestamp::from_seconds(now))
        };
        const ASKED: Reuse = Reuse::Revalidate(Reason::RequestDirective);
        for (name, request, now, is_fresh) in [
            ("nothing asked", "", 1030, true),
            ("5.2.1.4 no-cache", "no-cache", 1030, false),
            ("5.2.1.1 young enough", "max-age=30", 1030, true),
            ("5.2.1.1 too old", "max-age=29", 1030, false),
            ("5.2.1.1 none is young enough", "max-age=0", 1030, false),
            ("5.2.1.3 fresh for long enough", "min-fresh=30", 1030, true),
            ("5.2.1.3 not for long enough", "min-fresh=31", 1030, false),
            ("no-store is about storing", "no-store", 1030, true),
        ] {
            let decided = heeded(request, now);
            assert_eq!(decided == ASKED, !is_fresh, "{name}");
            assert_eq!(matches!(decided, Reuse::Fresh { .. }), is_fresh, "{name}");
        }
        // Not heeded, the same request changes nothing.
        let plain = decide(&terms(|_| {}), &RequestFacts::get(false), None, Timestamp::from_seconds(1030));
        assert_eq!(plain, Reuse::Fresh { age_seconds: 30, ttl_seconds: 30 });
    }

    #[test]
    fn the_order_of_refusals() {
        let all = terms(|terms| {
            terms.always_validate = true;
            terms.stale_while_revalidate = Duration::from_secs(10).into();
        });
        let later = Timestamp::from_seconds(1061);
        assert_eq!(decide(&all, &RequestFacts::get(true), None, later), Reuse::NotFor(Reason::UserRequest));
        assert_eq!(decide(&all, &RequestFacts::get(false), None, later), Reuse::Revalidate(Reason::MustRevalidate));
    }

    #[test]
    fn a_part_of_a_second_left_is_a_second_of_freshness() {
        let now = Timestamp::from_seconds(1060).minus(Duration::from_millis(1));
        let decided = decide(&terms(|_| {}), &RequestFacts::get(false), None, now);
        assert_eq!(decided, Reuse::Fresh { age_seconds: 59, ttl_seconds: 1 });
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_old() {
        let decided = decide(&terms(|_| {}), &RequestFacts::get(false), None, Timestamp::from_seconds(900));
        assert_eq!(decided, Reuse::Fresh { age_seconds: 0, ttl_seconds: 160 });
    }

    #[test]
    fn no_cache_is_not_served_on_error_either() {
        let strict = terms(|terms| {
            terms.stale_if_error = Duration::from_secs(10).into();
            terms.always_validate = true;
        });
        assert!(!may_serve_on_error(&strict, Timestamp::from_seconds(1061)), "9111-5.2.2.4");
    }
}
