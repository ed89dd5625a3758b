//! A counter that one thread adds to and others read.
//!
//! Not padded to a cache line by itself: a thread's counters lie together, and only readers come from outside.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter. Adding is a load and a store, not a locked instruction: each thread has its own.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only the owning thread may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_adds_up_and_wraps_rather_than_stops() {
        let counter = Counter::default();
        counter.add(2);
        counter.add(3);
        assert_eq!(counter.get(), 5);
        counter.add(u64::MAX);
        assert_eq!(counter.get(), 4);
    }
}
