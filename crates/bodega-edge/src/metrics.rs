//! One thread's counters, indexed by the shared vocabulary.

use std::time::Duration;

use bodega_semantics::{Level, Outcome, Reason};
use bodega_telemetry::{Counter, Histogram};

/// Counters that only their own thread adds to.
pub struct Metrics {
    requests: Box<[Counter]>,
    latency: Vec<Histogram>,
    /// Bytes sent to clients.
    pub sent_bytes: Counter,
    /// Bytes of bodies received from clients.
    pub received_bytes: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: (0..Outcome::ALL.len() * Reason::ALL.len()).map(|_| Counter::default()).collect(),
            latency: Level::ALL.iter().map(|_| Histogram::default()).collect(),
            sent_bytes: Counter::default(),
            received_bytes: Counter::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn count(&self, outcome: Outcome, reason: Reason, took: Duration) {
        self.requests[index(outcome, reason)].add(1);
        self.latency[outcome.level(reason) as usize].record(took);
    }

    /// How many requests ended so.
    #[must_use]
    pub fn requests(&self, outcome: Outcome, reason: Reason) -> u64 {
        self.requests[index(outcome, reason)].get()
    }

    /// The latencies of a level.
    #[must_use]
    pub fn latency(&self, level: Level) -> &Histogram {
        &self.latency[level as usize]
    }
}

fn index(outcome: Outcome, reason: Reason) -> usize {
    outcome as usize * Reason::ALL.len() + reason as usize
}
