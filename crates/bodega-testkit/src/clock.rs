//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bodega_edge::Clock;
use bodega_semantics::Timestamp;

/// Where all tests begin: 2026-01-01T00:00:00Z, in seconds since the epoch.
pub const BEGINNING_SECONDS: u64 = 1_767_225_600;

/// A clock for tests.
pub struct FakeClock(AtomicU64);

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicU64::new(BEGINNING_SECONDS * 1000))
    }
}

impl FakeClock {
    /// Moves on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
