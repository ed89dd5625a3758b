//! Latencies in log-linear buckets: 16 to each doubling, so that a quantile is off by at most 6.25 %.
//!
//! Microseconds from 1 to some 67 seconds; what is longer counts into the last bucket.

use std::time::Duration;

use crate::counter::Counter;

const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// Doublings above the linear part.
const DOUBLINGS: usize = 23;
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
        self.buckets[bucket(nanoseconds / 1000)].add(1);
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
                return upper_microseconds(at) as f64 / 1e6;
            }
        }
        0.0
    }

    /// How many took at most `seconds`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bounds of buckets")]
    pub fn count_up_to(&self, seconds: f64) -> u64 {
        self.counts
            .iter()
            .enumerate()
            .take_while(|(at, _)| upper_microseconds(*at) as f64 / 1e6 <= seconds * 1.000_001)
            .map(|(_, n)| n)
            .sum()
    }
}

fn bucket(microseconds: u64) -> usize {
    if microseconds < SUB as u64 {
        return usize::try_from(microseconds).unwrap_or(0);
    }
    let doubling = (63 - microseconds.leading_zeros() - SUB_BITS) as usize;
    let within = usize::try_from(microseconds >> doubling).unwrap_or(SUB) - SUB;
    (SUB * (doubling + 1) + within).min(N_BUCKETS - 1)
}

/// The first microsecond that is past the bucket.
fn upper_microseconds(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64 + 1;
    }
    let doubling = bucket / SUB - 1;
    ((SUB + bucket % SUB + 1) as u64) << doubling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_lies_within_its_bucket() {
        for microseconds in (0..5000).chain((5000..60_000_000).step_by(99_991)) {
            let at = bucket(microseconds);
            assert!(microseconds < upper_microseconds(at), "{microseconds}");
            assert!(at == 0 || microseconds >= upper_microseconds(at - 1), "{microseconds}");
        }
    }

    #[test]
    fn quantiles_are_off_by_little() {
        let histogram = Histogram::default();
        for millisecond in 1..=1000 {
            histogram.record(Duration::from_millis(millisecond));
        }
        let mut recorded = Recorded::default();
        histogram.add_to(&mut recorded);
        for (quantile, seconds) in [(0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
            let found = recorded.quantile(quantile);
            assert!((found / seconds - 1.0).abs() < 0.07, "{quantile}: {found}");
        }
        assert_eq!(recorded.count(), 1000);
        assert!((recorded.sum_seconds() - 500.5).abs() < 0.001);
        assert!(recorded.count_up_to(0.1).abs_diff(100) <= 7);
        assert_eq!(Recorded::default().quantile(0.99), 0.0);
    }
}
