//! Whether an origin answers, as the last requests to it have found: one for all threads, atomics and no lock.
//!
//! | state | a request | ends |
//! |---|---|---|
//! | up | is sent | with `max_failures` failures in a row: failing |
//! | failing | is told no | when its time has passed: the next request is the trial |
//! | on trial | is told no, but for the trial | the trial is answered: up; fails: failing, twice as long |
//!
//! What "no" means is the business of who asked: another member of the group, what is stored, or asking all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bodega_snapshot::HealthLimits;
use tokio::time::Instant;

pub(crate) struct Health {
    limits: HealthLimits,
    /// What all times here are counted from.
    base: Instant,
    /// In a row, while it is up.
    n_failures: AtomicU32,
    /// `UP`, `ON_TRIAL`, or when the next trial is due: milliseconds after `base`, plus one.
    state: AtomicU64,
    n_failed_trials: AtomicU32,
    /// When it was last taken as failing: milliseconds after `base`.
    failing_since: AtomicU64,
}

/// Leave to send one request. What came of it is to be said; if that never is, a trial is given back.
pub(crate) struct Asking {
    health: Arc<Health>,
    is_trial: bool,
}

/// No leave, and how long until there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Failing {
    pub(crate) trial_in: Duration,
}

/// What a request has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Failed { n_failures: u32, trial_in: Duration },
    Recovered { after: Duration },
}

impl Health {
    pub(crate) fn new(limits: HealthLimits, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            limits,
            base: now,
            n_failures: AtomicU32::new(0),
            state: AtomicU64::new(UP),
            n_failed_trials: AtomicU32::new(0),
            failing_since: AtomicU64::new(0),
        })
    }

    /// Asks for leave. Of all who ask once a trial is due, one gets it.
    ///
    /// # Errors
    /// While it is failing.
    pub(crate) fn ask(self: &Arc<Self>, now: Instant) -> Result<Asking, Failing> {
        let state = self.state.load(Ordering::Acquire);
        if state == UP {
            return Ok(self.ask_anyway());
        }
        let is_due = state != ON_TRIAL && state <= self.stamp(now);
        if is_due && self.state.compare_exchange(state, ON_TRIAL, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return Ok(Asking { health: Arc::clone(self), is_trial: true });
        }
        Err(self.failing(now).unwrap_or(Failing { trial_in: Duration::ZERO }))
    }

    /// Leave for a request that nothing else can answer.
    pub(crate) fn ask_anyway(self: &Arc<Self>) -> Asking {
        Asking { health: Arc::clone(self), is_trial: false }
    }

    /// `None` while it is up.
    pub(crate) fn failing(&self, now: Instant) -> Option<Failing> {
        match self.state.load(Ordering::Acquire) {
            UP => None,
            // The trial may take as long as it likes; who comes back after the first back-off is early enough.
            ON_TRIAL => Some(Failing { trial_in: self.limits.retry_after }),
            due => Some(Failing { trial_in: Duration::from_millis(due.saturating_sub(self.stamp(now))) }),
        }
    }

    /// Whether requests that nothing else can answer are told no, too.
    pub(crate) fn fails_fast(&self) -> bool {
        self.limits.fail_fast
    }

    /// A moment as `state` holds it; never `UP`.
    fn stamp(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.base).as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX - 2) + 1
    }

    fn back_off(&self, jitter: u8) -> Duration {
        let n_failed_trials = self.n_failed_trials.load(Ordering::Relaxed).min(16);
        let longest = self.limits.retry_after.max(LONGEST_BACK_OFF);
        let whole = self.limits.retry_after.saturating_mul(1 << n_failed_trials).min(longest);
        // From three quarters to the whole: edges that lost an origin together do not come back together.
        whole - whole * u32::from(jitter) / (4 * u32::from(u8::MAX))
    }
}

impl Asking {
    /// Whether its outcome decides how the origin is taken from then on.
    pub(crate) fn is_trial(&self) -> bool {
        self.is_trial
    }

    /// There was an answer.
    pub(crate) fn answered(mut self, now: Instant) -> Option<Change> {
        self.is_trial = false;
        let health = &self.health;
        // Read before written: on the usual way nothing is, so that threads do not take the line from one another.
        if health.n_failures.load(Ordering::Relaxed) != 0 {
            health.n_failures.store(0, Ordering::Relaxed);
        }
        if health.state.load(Ordering::Relaxed) == UP || health.state.swap(UP, Ordering::AcqRel) == UP {
            return None;
        }
        health.n_failed_trials.store(0, Ordering::Relaxed);
        let since = health.failing_since.load(Ordering::Relaxed);
        Some(Change::Recovered { after: Duration::from_millis(health.stamp(now).saturating_sub(since)) })
    }

    /// There was none. `jitter` is random.
    pub(crate) fn failed(mut self, now: Instant, jitter: u8) -> Option<Change> {
        let was_trial = std::mem::take(&mut self.is_trial);
        let health = &self.health;
        if was_trial {
            health.n_failed_trials.fetch_add(1, Ordering::Relaxed);
            let due = health.stamp(now + health.back_off(jitter));
            // If it is no longer on trial, another request was answered meanwhile: nothing is to be put off.
            let _ = health.state.compare_exchange(ON_TRIAL, due, Ordering::AcqRel, Ordering::Relaxed);
            return None;
        }
        // One that was sent although it is failing says nothing new.
        if health.limits.max_failures == 0 || health.state.load(Ordering::Relaxed) != UP {
            return None;
        }
        let n_failures = health.n_failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if n_failures < health.limits.max_failures {
            return None;
        }
        let trial_in = health.back_off(jitter);
        let due = health.stamp(now + trial_in);
        health.state.compare_exchange(UP, due, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        health.failing_since.store(health.stamp(now), Ordering::Relaxed);
        Some(Change::Failed { n_failures, trial_in })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.is_trial {
            // Nobody knows how it would have ended: the next request is the trial.
            let _ = self.health.state.compare_exchange(ON_TRIAL, UP + 1, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

const UP: u64 = 0;
const ON_TRIAL: u64 = u64::MAX;
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn health(max_failures: u32) -> (Arc<Health>, Instant) {
        let now = Instant::now();
        (Health::new(HealthLimits { max_failures, retry_after: SECOND, fail_fast: false }, now), now)
    }

    fn fail(health: &Arc<Health>, now: Instant) -> Option<Change> {
        health.ask(now).unwrap().failed(now, 0)
    }

    /// One that has failed three times at `now`.
    fn failing() -> (Arc<Health>, Instant) {
        let (health, now) = health(3);
        assert_eq!((fail(&health, now), fail(&health, now)), (None, None));
        assert_eq!(fail(&health, now), Some(Change::Failed { n_failures: 3, trial_in: SECOND }));
        (health, now)
    }

    #[test]
    fn failures_in_a_row_count_and_an_answer_begins_anew() {
        let (health, now) = health(3);
        for _ in 0..10 {
            fail(&health, now);
            fail(&health, now);
            assert_eq!(health.ask(now).unwrap().answered(now), None);
        }
        assert_eq!(health.failing(now), None);
    }

    #[test]
    fn while_it_fails_the_answer_is_no_until_a_trial_is_due() {
        let (health, now) = failing();
        for (passed, trial_in) in [(0, 1000), (1, 999), (999, 1)] {
            let refused = health.ask(now + Duration::from_millis(passed)).err();
            assert_eq!(refused, Some(Failing { trial_in: Duration::from_millis(trial_in) }));
        }
    }

    #[test]
    fn one_request_is_the_trial_and_its_answer_ends_the_failing() {
        let (health, now) = failing();
        let later = now + SECOND;
        let trial = health.ask(later).unwrap();
        assert!((0..5).all(|_| health.ask(later).is_err()));
        assert_eq!(trial.answered(later), Some(Change::Recovered { after: SECOND }));
        assert!((0..5).all(|_| health.ask(later).is_ok()));
        // Failures before do not count any more.
        assert_eq!((fail(&health, later), fail(&health, later)), (None, None));
    }

    #[test]
    fn each_failed_trial_doubles_the_wait_up_to_a_bound_and_an_answer_makes_it_short_again() {
        let (health, mut now) = failing();
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
            now += Duration::from_secs(seconds) - Duration::from_millis(1);
            assert!(health.ask(now).is_err(), "{seconds}");
            now += Duration::from_millis(1);
            assert_eq!(health.ask(now).unwrap().failed(now, 0), None);
        }
        now += Duration::from_secs(30);
        assert!(matches!(health.ask(now).unwrap().answered(now), Some(Change::Recovered { .. })));
        fail(&health, now);
        fail(&health, now);
        assert_eq!(fail(&health, now), Some(Change::Failed { n_failures: 3, trial_in: SECOND }));
    }

    #[test]
    fn jitter_shortens_the_wait_by_up_to_a_quarter() {
        let (health, now) = health(1);
        let Some(Change::Failed { trial_in, .. }) = health.ask(now).unwrap().failed(now, u8::MAX) else {
            unreachable!("one failure is enough");
        };
        assert_eq!(trial_in, Duration::from_millis(750));
        assert!(health.ask(now + trial_in).is_ok());
    }

    #[test]
    fn a_trial_that_is_given_up_is_given_to_the_next() {
        let (health, now) = failing();
        let later = now + SECOND;
        drop(health.ask(later).unwrap());
        let trial = health.ask(later).unwrap();
        assert!(health.ask(later).is_err());
        assert!(trial.answered(later).is_some());
    }

    #[test]
    fn what_is_asked_all_the_same_ends_the_failing_with_its_answer_and_puts_nothing_off() {
        let (health, now) = failing();
        for _ in 0..10 {
            assert_eq!(health.ask_anyway().failed(now, 0), None);
        }
        assert_eq!(health.failing(now), Some(Failing { trial_in: SECOND }));
        assert!(health.ask_anyway().answered(now).is_some());
        assert_eq!(health.failing(now), None);
    }

    #[test]
    fn a_trial_that_fails_after_another_was_answered_puts_nothing_off() {
        let (health, now) = failing();
        let later = now + SECOND;
        let trial = health.ask(later).unwrap();
        assert!(health.ask_anyway().answered(later).is_some());
        assert_eq!(trial.failed(later, 0), None);
        assert!(health.ask(later).is_ok());
    }

    #[test]
    fn without_a_number_of_failures_it_never_fails() {
        let (health, now) = health(0);
        assert!((0..100).all(|_| fail(&health, now).is_none()));
    }

    #[test]
    fn of_many_threads_one_has_the_trial() {
        let (health, now) = failing();
        let later = now + SECOND;
        let given: Vec<Asking> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| health.ask(later).ok())).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(given.len(), 1);
    }
}
