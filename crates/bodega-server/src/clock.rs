//! The system's clock, for the machine's `Clock`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bodega_edge::Clock;
use bodega_semantics::Timestamp;

/// Wall-clock time, and the time since the machine was started.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn steady(&self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // Unlike that of `Instant` this one goes on while the machine sleeps, when things may be purged elsewhere.
        // SAFETY: `time` is writable memory of the type that is asked for, and is not kept.
        let done = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
        debug_assert_eq!(done, 0, "every Linux that we run on has this clock");
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
}
