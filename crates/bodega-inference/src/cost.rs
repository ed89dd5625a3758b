//! What a run costs: whether a model may run where it is asked, and for how many rows at a time.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A row that takes no longer alone is cheap: handing it to another thread and back would cost about as much.
const CHEAP: Duration = Duration::from_micros(50);
/// Several that take no longer together are, too.
const CHEAP_TOGETHER: Duration = Duration::from_micros(100);
/// A cheap model whose rows take longer, time after time, is not cheap any more.
const DEAR: Duration = Duration::from_micros(75);
/// How often in a row: one run may be long because the system had other things to do.
const N_DEAR: u32 = 8;
/// A run that takes longer is the last one here, until another has shown again that the model is cheap.
const FAR_TOO_DEAR: Duration = Duration::from_millis(1);
/// What is so many times longer than any row that was cheap may be so, too.
const LONGER: usize = 2;
/// How long one run may keep a serving thread, and all who ask for what is stored.
const WITHIN: Duration = Duration::from_micros(200);

/// The cost of a model's runs, as they go.
#[derive(Default)]
pub(crate) struct Cost {
    has_run: AtomicBool,
    /// A moving mean, in nanoseconds.
    row: AtomicU64,
    is_cheap: AtomicBool,
    n_dear: AtomicU32,
    /// The most bytes that a row may have to be run where it is asked.
    max_row_bytes: AtomicUsize,
}

impl Cost {
    /// Takes account of a run, whose longest row has so many bytes. Two threads may do so at once: what gets lost is a part
    /// of a mean.
    pub(crate) fn ran(&self, n_rows: usize, row_bytes: usize, took: Duration) {
        if !self.has_run.swap(true, Ordering::Relaxed) {
            // The first one makes what the others find.
            return;
        }
        let took_each = took / u32::try_from(n_rows.max(1)).unwrap_or(u32::MAX);
        let each = u64::try_from(took_each.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.row.load(Ordering::Relaxed);
        self.row.store(if mean == 0 { each } else { mean - mean / 4 + each / 4 }, Ordering::Relaxed);
        let was_cheap = self.is_cheap();
        if took <= if n_rows == 1 { CHEAP } else { CHEAP_TOGETHER } {
            let max_bytes = row_bytes.saturating_mul(LONGER);
            if !was_cheap {
                // How long rows may be is found out anew.
                self.max_row_bytes.store(max_bytes, Ordering::Relaxed);
                self.row.store(each, Ordering::Relaxed);
                self.n_dear.store(0, Ordering::Relaxed);
                self.is_cheap.store(true, Ordering::Relaxed);
                return;
            }
            if max_bytes > self.max_row_bytes() {
                self.max_row_bytes.store(max_bytes, Ordering::Relaxed);
            }
        }
        if !was_cheap {
            return;
        }
        if took > FAR_TOO_DEAR {
            self.is_cheap.store(false, Ordering::Relaxed);
        } else if took_each <= DEAR {
            self.n_dear.store(0, Ordering::Relaxed);
        } else if self.n_dear.fetch_add(1, Ordering::Relaxed) + 1 >= N_DEAR {
            self.is_cheap.store(false, Ordering::Relaxed);
        }
    }

    /// The most bytes that a row may have to be run where it is asked.
    pub(crate) fn max_row_bytes(&self) -> usize {
        self.max_row_bytes.load(Ordering::Relaxed)
    }

    /// Whether rows may be run where they are asked.
    pub(crate) fn is_cheap(&self) -> bool {
        self.is_cheap.load(Ordering::Relaxed)
    }

    /// How many rows a serving thread may run before others have their turn.
    pub(crate) fn n_rows_at_once(&self) -> usize {
        let within = u64::try_from(WITHIN.as_nanos()).unwrap_or(u64::MAX);
        usize::try_from(within / self.row.load(Ordering::Relaxed).max(1)).unwrap_or(usize::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_model_is_cheap_once_a_run_has_shown_it_and_no_longer_than_that() {
        for (what, runs, is_cheap) in [
            ("unknown", &[][..], false),
            ("the first does not count", &[(1, 10)], false),
            ("alone", &[(1, 9_000), (1, 50)], true),
            ("alone, too long", &[(1, 9), (1, 51)], false),
            ("together", &[(1, 9), (30, 100)], true),
            ("together, too long, however little each", &[(1, 9), (1_000, 101)], false),
        ] {
            let cost = Cost::default();
            for (n_rows, took) in runs {
                cost.ran(*n_rows, 8, micros(*took));
            }
            assert_eq!(cost.is_cheap(), is_cheap, "{what}");
        }
    }

    #[test]
    fn what_is_long_once_stays_and_what_is_always_goes() {
        let cost = Cost::default();
        cost.ran(1, 8, micros(10));
        cost.ran(1, 8, micros(10));
        for _ in 0..20 {
            (0..N_DEAR - 1).for_each(|_| cost.ran(1, 8, micros(1_000)));
            cost.ran(1, 8, micros(10));
        }
        assert!(cost.is_cheap());
        (0..N_DEAR).for_each(|_| cost.ran(1, 8, micros(76)));
        assert!(!cost.is_cheap());
    }

    #[test]
    fn what_takes_far_too_long_goes_at_once_and_may_come_back() {
        let cost = Cost::default();
        cost.ran(1, 8, micros(10));
        for _ in 0..3 {
            cost.ran(1, 8, micros(10));
            assert!(cost.is_cheap());
            cost.ran(20, 8, micros(1_001));
            assert!(!cost.is_cheap());
        }
    }

    #[test]
    fn rows_may_be_twice_as_long_as_those_that_were_cheap() {
        let cost = Cost::default();
        for (row_bytes, took, max_row_bytes) in [
            (100, 10, 0),
            (10, 10, 20),
            (20, 51, 20),
            (20, 50, 40),
            (8, 10, 40),
            // Somewhere else, where it showed that it is cheap, or not.
            (300, 50, 600),
            (1_000, 2_000, 600),
            (4, 10, 8),
        ] {
            cost.ran(1, row_bytes, micros(took));
            assert_eq!(cost.max_row_bytes(), max_row_bytes, "{row_bytes} bytes in {took} us");
        }
    }

    #[test]
    fn as_many_rows_as_others_can_wait_for() {
        let cost = Cost::default();
        cost.ran(1, 8, micros(1));
        cost.ran(10, 8, micros(100));
        assert_eq!(cost.n_rows_at_once(), 20);
        (0..200).for_each(|_| cost.ran(1, 8, micros(1_000)));
        assert_eq!(cost.n_rows_at_once(), 1);
    }
}
