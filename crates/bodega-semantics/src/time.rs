//! Points in time as the data plane counts them: milliseconds since the Unix epoch.

use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// A time given in whole seconds since the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time that has passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This time plus `duration`, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This time less `duration`, saturating at the epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let (zero, end) = (Timestamp(0), Timestamp(u64::MAX));
        assert_eq!(Timestamp::from_seconds(u64::MAX), end);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(zero.plus(Duration::MAX), end);
        assert_eq!(zero.minus(Duration::from_millis(1)), zero);
        assert_eq!(end.minus(Duration::MAX), zero);
        assert_eq!(zero.since(end), Duration::ZERO);
        assert_eq!(end.since(zero), Duration::from_millis(u64::MAX));
    }

    #[test]
    fn seconds_are_rounded_down() {
        assert_eq!(Timestamp(1999).seconds(), 1);
        assert_eq!(Timestamp::from_seconds(1).plus(Duration::from_millis(999)), Timestamp(1999));
    }
}
