//! Latencies in log-linear buckets: 32 to each doubling, so that a quantile is off by at most 3.2 %.
//!
//! From 1 microsecond to some 68 seconds; what is longer counts into the last bucket. The unit is 32 nanoseconds: it
//! divides by a shift, and a memory hit of 5 microseconds still lies in a bucket of its own width.

use std::time::Duration;

use crate::counter::Counter;

/// A unit is two to this power nanoseconds.
const UNIT_BITS: u32 = 5;
const UNIT_SECONDS: f64 = 32e-9;
const SUB_BITS: u32 = 5;
const SUB: usize = 1 << SUB_BITS;
/// Doublings above the linear part.
const DOUBLINGS: usize = 26;
const N_BUCKETS: usize = SUB * (DOUBLINGS + 1);

/// A histogram that one thread records into and others read.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[Counter]>,
    sum_nanoseconds: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..N_BUCKETS).map(|_| Counter::default()).collect(), sum_nanoseconds: Counter::default() }
    }
}

impl Histogram {
    /// Records one latency.
    #[inline]
    pub fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds >> UNIT_BITS)].add(1);
        self.sum_nanoseconds.add(nanoseconds);
    }

    /// Adds what has been recorded to `total`.
    pub fn add_to(&self, total: &mut Recorded) {
        for (sum, bucket) in total.counts.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
        total.sum_nanoseconds += self.sum_nanoseconds.get();
    }
}

/// What several histograms hold together.
#[derive(Clone, Debug)]
pub struct Recorded {
    counts: Vec<u64>,
    sum_nanoseconds: u64,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { counts: vec![0; N_BUCKETS], sum_nanoseconds: 0 }
    }
}

impl Recorded {
    /// How many latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in seconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
    pub fn sum_seconds(&self) -> f64 {
        self.sum_nanoseconds as f64 / 1e9
    }

    /// The latency below which `quantile` (0 to 1) of all lie, in seconds; 0 if there are none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub fn quantile(&self, quantile: f64) -> f64 {
        let count = self.count();
        let rank = ((count as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, n) in self.counts.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return upper(at) as f64 * UNIT_SECONDS;
            }
        }
        0.0
    }

    /// How many took at most `seconds`; those in the bucket that `seconds` cuts do not count.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bounds of buckets")]
    pub fn count_up_to(&self, seconds: f64) -> u64 {
        self.counts
            .iter()
            .enumerate()
            .take_while(|(at, _)| upper(*at) as f64 * UNIT_SECONDS <= seconds * 1.000_001)
            .map(|(_, n)| n)
            .sum()
    }
}

fn bucket(units: u64) -> usize {
    if units < SUB as u64 {
        return usize::try_from(units).unwrap_or(0);
    }
    let doubling = (63 - units.leading_zeros() - SUB_BITS) as usize;
    let within = usize::try_from(units >> doubling).unwrap_or(SUB) - SUB;
    (SUB * (doubling + 1) + within).min(N_BUCKETS - 1)
}

/// The first unit that is past the bucket.
fn upper(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64 + 1;
    }
    let doubling = bucket / SUB - 1;
    ((SUB + bucket % SUB + 1) as u64) << doubling
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(latencies: impl Iterator<Item = Duration>) -> Recorded {
        let histogram = Histogram::default();
        latencies.for_each(|took| histogram.record(took));
        let mut recorded = Recorded::default();
        histogram.add_to(&mut recorded);
        recorded
    }

    #[test]
    fn every_latency_lies_within_its_bucket() {
        for units in (0..5000).chain((5000..60_000_000_000 >> UNIT_BITS).step_by(999_983)) {
            let at = bucket(units);
            assert!(units < upper(at), "{units}");
            assert!(at == 0 || units >= upper(at - 1), "{units}");
        }
    }

    #[test]
    fn a_quantile_is_off_by_less_than_five_percent_from_a_microsecond_to_a_minute() {
        let mut nanoseconds = 1_000_u64;
        while nanoseconds <= 60_000_000_000 {
            let took = Duration::from_nanos(nanoseconds);
            let found = recorded(std::iter::once(took)).quantile(0.5);
            assert!((found / took.as_secs_f64() - 1.0).abs() < 0.05, "{took:?}: {found}");
            nanoseconds += nanoseconds / 7;
        }
    }

    #[test]
    fn quantiles_counts_and_sums_are_those_of_what_was_recorded() {
        let recorded = recorded((1..=1000).map(Duration::from_millis));
        for (quantile, seconds) in [(0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
            let found = recorded.quantile(quantile);
            assert!((found / seconds - 1.0).abs() < 0.05, "{quantile}: {found}");
        }
        assert_eq!(recorded.count(), 1000);
        assert!((recorded.sum_seconds() - 500.5).abs() < 0.001);
        assert!(recorded.count_up_to(0.1).abs_diff(100) <= 4);
        assert_eq!(Recorded::default().quantile(0.99), 0.0);
    }

    #[test]
    fn what_takes_longer_than_the_last_bucket_counts_into_it() {
        let recorded = recorded([Duration::from_secs(3600), Duration::MAX].into_iter());
        assert_eq!(recorded.count(), 2);
        assert!(recorded.quantile(0.5) > 60.0);
        assert_eq!(recorded.count_up_to(30.0), 0);
    }

    #[test]
    fn histograms_of_several_threads_add_up() {
        let (one, other) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_millis(1));
        other.record(Duration::from_millis(100));
        let mut total = Recorded::default();
        one.add_to(&mut total);
        other.add_to(&mut total);
        assert_eq!(total.count(), 2);
        assert!((total.sum_seconds() - 0.101).abs() < 1e-9);
    }
}
