//! The system's clock, for the machine's `Clock`.

use std::time::{SystemTime, UNIX_EPOCH};

use bodega_edge::Clock;
use bodega_semantics::Timestamp;

/// Wall-clock time.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
