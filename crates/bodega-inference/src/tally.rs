//! How often a model was asked by the Open Inference Protocol, and what became of it: the statistics that it has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bodega_edge::predict::Answered;

/// Counts since the model was loaded.
#[derive(Default)]
pub(crate) struct Tally {
    answered: Pair,
    failed: Pair,
    /// Rows that were stored, and those that were not.
    n_found: AtomicU64,
    n_computed: AtomicU64,
    last_millis: AtomicU64,
}

#[derive(Default)]
struct Pair {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

/// What was counted, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tallied {
    pub(crate) answered: Counted,
    pub(crate) failed: Counted,
    pub(crate) n_found: u64,
    pub(crate) n_computed: u64,
    /// Milliseconds since 1970; 0: never.
    pub(crate) last_millis: u64,
}

/// How many, and how long they took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) count: u64,
    pub(crate) nanoseconds: u64,
}

impl Tally {
    /// An inference that was begun then has been answered.
    pub(crate) fn answered(&self, begun: Instant, answers: &[Answered<'_>]) {
        self.answered.add(begun.elapsed());
        let n_found = answers.iter().filter(|answer| answer.is_cached).count() as u64;
        self.n_found.fetch_add(n_found, Ordering::Relaxed);
        self.n_computed.fetch_add(answers.len() as u64 - n_found, Ordering::Relaxed);
        self.last_millis.store(now_millis(), Ordering::Relaxed);
    }

    /// It has failed.
    pub(crate) fn failed(&self, begun: Instant) {
        self.failed.add(begun.elapsed());
    }

    pub(crate) fn read(&self) -> Tallied {
        let read = |pair: &Pair| Counted {
            count: pair.count.load(Ordering::Relaxed),
            nanoseconds: pair.nanoseconds.load(Ordering::Relaxed),
        };
        Tallied {
            answered: read(&self.answered),
            failed: read(&self.failed),
            n_found: self.n_found.load(Ordering::Relaxed),
            n_computed: self.n_computed.load(Ordering::Relaxed),
            last_millis: self.last_millis.load(Ordering::Relaxed),
        }
    }
}

impl Pair {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_rows_are_counted_apart() {
        let tally = Tally::default();
        assert_eq!(tally.read(), Tallied::default());
        let row = |is_cached| Answered { body: b"", is_cached };
        tally.answered(Instant::now(), &[row(true), row(false), row(false)]);
        tally.failed(Instant::now());
        let read = tally.read();
        assert_eq!((read.answered.count, read.failed.count, read.n_found, read.n_computed), (1, 1, 1, 2));
        assert!(read.last_millis > 0);
    }
}
