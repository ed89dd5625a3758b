//! What an edge knows of the control process that it follows: which one, whether it is cut off, when it was level.
//!
//! An edge is *level* as of a moment if it has applied everything that the control process had acknowledged by then.
//! Only the edge's own steady clock counts for that: its agent says when, by this clock, it asked what it has got an
//! answer to.
//! The agent tells; the configuration and invalidations come by `follow.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bodega_semantics::Policy;
use parking_lot::Mutex;

use crate::edge::Edge;

/// How an edge is linked to the control process it follows, if it follows one.
pub struct Link {
    /// In nanoseconds of the steady clock, or one of the two below.
    level_as_of: AtomicU64,
    following: Mutex<Option<Following>>,
}

/// Whom an edge follows, and how that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// The control process' URL.
    pub control: String,
    /// Whether nothing is heard of it.
    pub is_cut: bool,
    /// How many events the edge has not applied yet, as far as it knows.
    pub behind: Option<u64>,
    /// What is wrong, in words; else empty.
    pub problem: String,
    /// The revision of the journal's configuration that is in force.
    pub revision: Option<u64>,
    /// How long ago the edge was level; `None` if it never was.
    pub level_age: Option<Duration>,
}

/// Not once since the edge follows.
const NEVER: u64 = 0;
/// Follows nobody, and so lacks nothing.
const ALONE: u64 = u64::MAX;
/// So far off a moment may be that was a fraction of seconds on its way.
const ROUNDING: Duration = Duration::from_millis(1);
/// Words that are longer are cut off.
const MAX_PROBLEM_CHARACTERS: usize = 1000;

impl Link {
    pub(crate) const fn new() -> Self {
        Self { level_as_of: AtomicU64::new(ALONE), following: Mutex::new(None) }
    }

    /// Whether the edge lacks nothing that the control process had acknowledged `within` before `now`.
    #[inline]
    pub(crate) fn is_level(&self, within: Duration, now: impl FnOnce() -> Duration) -> bool {
        match self.level_as_of.load(Ordering::Acquire) {
            ALONE => true,
            NEVER => false,
            as_of => now().saturating_sub(Duration::from_nanos(as_of)) <= within,
        }
    }

    /// Whom the edge follows.
    #[must_use]
    pub fn control(&self) -> Option<String> {
        self.following.lock().as_ref().map(|following| following.control.clone())
    }

    fn set_following(&self, control: Option<&str>) {
        let mut following = self.following.lock();
        if following.as_ref().map(|following| following.control.as_str()) == control {
            return;
        }
        // Level with one control process says nothing of another.
        self.level_as_of.store(if control.is_some() { NEVER } else { ALONE }, Ordering::Release);
        *following = control.map(|control| Following {
            control: control.to_owned(),
            is_cut: true,
            behind: None,
            problem: String::new(),
            revision: None,
            level_age: None,
        });
    }

    fn level(&self, as_of: Duration) {
        let as_of = u64::try_from(as_of.as_nanos()).unwrap_or(NEVER);
        // Held so that nobody else is followed meanwhile.
        if self.following.lock().is_some() {
            // What was asked for earlier may be answered later.
            self.level_as_of.fetch_max(as_of, Ordering::AcqRel);
        }
    }

    fn set(&self, is_cut: bool, behind: Option<u64>, problem: &str, revision: Option<u64>) {
        if let Some(following) = &mut *self.following.lock() {
            following.is_cut = is_cut;
            following.behind = behind;
            following.problem = problem.chars().take(MAX_PROBLEM_CHARACTERS).collect();
            following.revision = revision;
        }
    }

    fn following(&self, now: Duration) -> Option<Following> {
        let following = self.following.lock().clone()?;
        let level_age = match self.level_as_of.load(Ordering::Acquire) {
            ALONE | NEVER => None,
            as_of => Some(now.saturating_sub(Duration::from_nanos(as_of))),
        };
        Some(Following { level_age, ..following })
    }
}

impl Edge {
    /// Follows the control process at this URL, or nobody. Who follows is invalidated by the journal alone.
    pub fn set_following(&self, control: Option<&str>) {
        self.link.set_following(control);
    }

    /// The edge has applied everything that was acknowledged at `as_of`, by the steady clock. False, and nothing is
    /// changed, if that is still to come: it is another clock's.
    pub fn level_as_of(&self, as_of: Duration) -> bool {
        let now = self.steady();
        let is_past = as_of <= now.saturating_add(ROUNDING);
        if is_past {
            self.link.level(as_of.min(now));
        }
        is_past
    }

    /// Whether what is stored may be used before its origin has confirmed it, as far as this policy goes: not where the
    /// edge may have missed for too long what has been invalidated.
    #[inline]
    pub(crate) fn may_use_unasked(&self, policy: &Policy) -> bool {
        policy.strict.is_none_or(|within| self.link.is_level(within, || self.steady()))
    }

    /// The same for who would read along with a fill that began at `began`: it shows what the origin had then, whatever
    /// has been invalidated since.
    pub(crate) fn may_join_unasked(&self, policy: &Policy, began: Duration) -> bool {
        self.may_use_unasked(policy) || policy.strict.is_none_or(|within| self.steady().saturating_sub(began) <= within)
    }

    /// How it is between the edge and the control process, for people and metrics.
    pub fn set_link(&self, is_cut: bool, behind: Option<u64>, problem: &str, revision: Option<u64>) {
        self.link.set(is_cut, behind, problem, revision);
    }

    /// Whom the edge follows, if anybody, and how that goes.
    #[must_use]
    pub fn link(&self) -> Option<Following> {
        self.link.following(self.steady())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn is_level(link: &Link, within: u32, now: u32) -> bool {
        link.is_level(within * SECOND, || now * SECOND)
    }

    #[test]
    fn who_follows_nobody_is_always_level_and_who_follows_is_not_until_it_is_told() {
        let link = Link::new();
        link.level(SECOND);
        assert!(is_level(&link, 3, 1_000_000));
        assert_eq!(link.following(SECOND), None);
        link.set_following(Some("https://control.example"));
        assert!(!is_level(&link, 3, 0) && !is_level(&link, 3, 1) && !is_level(&link, u32::MAX, 1));
        let following = link.following(SECOND).unwrap();
        assert!(following.is_cut && following.level_age.is_none());
        link.set_following(None);
        assert!(is_level(&link, 3, 1_000_000));
    }

    #[test]
    fn level_holds_for_so_long_and_never_goes_back() {
        let link = Link::new();
        link.set_following(Some("a"));
        link.level(100 * SECOND);
        link.level(90 * SECOND);
        assert!(is_level(&link, 3, 103) && !is_level(&link, 3, 104));
        assert!(!link.is_level(3 * SECOND, || 103 * SECOND + Duration::from_nanos(1)));
        assert_eq!(link.following(104 * SECOND).unwrap().level_age, Some(4 * SECOND));
        // The same one once more changes nothing; another one has everything to be proved to it anew.
        link.set_following(Some("a"));
        assert!(is_level(&link, 3, 103));
        link.set_following(Some("b"));
        assert!(!is_level(&link, 3, 103));
        // Longer ago than the clock goes back.
        link.level(Duration::ZERO);
        assert!(!is_level(&link, u32::MAX, 1));
    }

    #[test]
    fn what_is_said_of_the_link_is_kept_within_bounds() {
        let link = Link::new();
        link.set(false, Some(3), "nobody is followed", None);
        link.set_following(Some("a"));
        link.set(false, Some(3), &"\u{e9}".repeat(5000), Some(7));
        let following = link.following(SECOND).unwrap();
        assert_eq!((following.is_cut, following.behind, following.revision), (false, Some(3), Some(7)));
        assert_eq!(following.problem.chars().count(), MAX_PROBLEM_CHARACTERS);
    }
}
