//! How long to wait until a worker is started again: longer with each time that it ends early.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct BackOff {
    n_failures: u32,
}

impl BackOff {
    /// The time to wait after a worker that ran for `ran`. Between half of it and all of it, at random: what fails
    /// together need not come back together.
    pub(super) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= STEADY {
            self.n_failures = 0;
        }
        let whole = FIRST.saturating_mul(1 << self.n_failures.min(16)).min(LONGEST);
        self.n_failures += 1;
        let random = RandomState::new().hash_one(self.n_failures) % 1_000;
        whole / 2 + (whole / 2) * u32::try_from(random).unwrap_or_default() / 1_000
    }
}

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);
/// Who has run for so long has not failed early.
const STEADY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_up_to_a_bound_and_begins_anew_after_a_steady_while() {
        let mut back_off = BackOff::default();
        for whole in [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000] {
            let delay = back_off.after(Duration::ZERO);
            let whole = Duration::from_millis(whole);
            assert!(whole / 2 <= delay && delay <= whole, "{delay:?} of {whole:?}");
        }
        for _ in 0..100 {
            assert!(back_off.after(Duration::from_secs(1)) <= LONGEST);
        }
        assert!(back_off.after(STEADY) <= FIRST);
    }
}
