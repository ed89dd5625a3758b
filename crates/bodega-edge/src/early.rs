//! Answers that are validated before they expire (`refresh_every`): when each was last asked about.
//!
//! An answer whose origin fails stays as old as it is, and so does one that comes old from a cache before the origin;
//! neither may be asked about at each request. A table of fixed size indexed by hash remembers for how long not to ask:
//! a collision lets somebody ask again too early, never not at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bodega_semantics::Key;

/// 64 KiB.
const N_PLACES: usize = 1 << 13;
/// How many bits of a place are the time, in milliseconds: 557 years. The others tell keys apart.
const TIME_BITS: u32 = 44;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// After this time, an origin that has failed is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Until when not to ask about what is stored under a key, by the steady clock.
pub(crate) struct EarlyRefreshes(Box<[AtomicU64]>);

impl EarlyRefreshes {
    pub(crate) fn new() -> Self {
        Self((0..N_PLACES).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether to ask about what is stored under `key`. Then nobody else does before `every` has passed.
    pub(crate) fn begin(&self, key: Key, every: Duration, now: Duration) -> bool {
        let place = self.place(key);
        let (before, now) = (place.load(Ordering::Relaxed), millis(now));
        if (before & !TIME_MASK) == tag(key) && (before & TIME_MASK) > now {
            return false;
        }
        let after = tag(key) | (now + millis(every)).min(TIME_MASK);
        place.compare_exchange(before, after, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The origin has failed: it is asked again a little later, unless that was due even sooner.
    pub(crate) fn failed(&self, key: Key, now: Duration) {
        let place = self.place(key);
        let (before, later) = (place.load(Ordering::Relaxed), millis(now.saturating_add(RETRY_AFTER)));
        if (before & !TIME_MASK) == tag(key) && (before & TIME_MASK) > later {
            // Somebody else may have taken the place meanwhile.
            let _ = place.compare_exchange(before, tag(key) | later, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn place(&self, key: Key) -> &AtomicU64 {
        &self.0[key.0 as usize & (N_PLACES - 1)]
    }
}

/// Not the bits that say which place it is.
const fn tag(key: Key) -> u64 {
    ((key.0 >> 64) as u64) & !TIME_MASK
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(TIME_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const EVERY: Duration = Duration::from_secs(60);

    #[test]
    fn it_is_asked_once_in_that_time_and_sooner_after_a_failure() {
        let early = EarlyRefreshes::new();
        let (one, same_place) = (Key(7 << 110 | 5), Key(9 << 110 | 5));
        assert!(early.begin(one, EVERY, SECOND) && !early.begin(one, EVERY, SECOND));
        assert!(!early.begin(one, EVERY, 60 * SECOND) && early.begin(one, EVERY, 61 * SECOND));
        early.failed(one, 62 * SECOND);
        assert!(!early.begin(one, EVERY, 71 * SECOND) && early.begin(one, EVERY, 72 * SECOND));
        // Sooner than after a failure.
        assert!(early.begin(one, 2 * SECOND, 200 * SECOND));
        early.failed(one, 200 * SECOND);
        assert!(early.begin(one, 2 * SECOND, 202 * SECOND));
        // Another key takes the place, and what is said of the first one no longer counts.
        assert!(early.begin(same_place, EVERY, 203 * SECOND));
        early.failed(one, 203 * SECOND);
        assert!(!early.begin(same_place, EVERY, 260 * SECOND) && early.begin(one, EVERY, 203 * SECOND));
    }

    #[test]
    fn times_beyond_all_bounds_stay_within_their_bits() {
        let early = EarlyRefreshes::new();
        assert!(early.begin(Key(u128::MAX), Duration::MAX, SECOND));
        assert!(!early.begin(Key(u128::MAX), EVERY, 1_000_000_000 * SECOND));
        assert!(early.begin(Key(1), Duration::MAX, Duration::MAX));
    }
}
