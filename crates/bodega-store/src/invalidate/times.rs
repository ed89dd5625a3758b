//! When the numbers of the sequence were given: what is soft counts from there.
//!
//! A list of bounded length, thinned out as it grows. A number between two that are known counts as given at the time
//! of the earlier one, so that nothing is used stale for longer than it may be.

use bodega_semantics::Timestamp;

use super::log_format::{Take, put, put_count};

const MAX_LENGTH: usize = 4096;
/// Numbers given within this time share one place.
const APART_MILLISECONDS: u64 = 100;

/// Numbers and times, both rising.
#[derive(Clone, Default)]
pub(super) struct Times(Vec<(u64, Timestamp)>);

impl Times {
    pub(super) fn add(&mut self, number: u64, time: Timestamp) {
        // A clock that was set back: what was given later by the old reckoning was given now, at the latest.
        while self.0.last().is_some_and(|(_, last)| *last > time) {
            self.0.pop();
        }
        if self.0.last().is_some_and(|(_, last)| time.0 < last.0 + APART_MILLISECONDS) {
            return;
        }
        self.0.push((number, time));
        if self.0.len() > MAX_LENGTH {
            // The newer half stays as it is: windows are minutes or hours, rarely more.
            let mut at = 0;
            self.0.retain(|_| {
                at += 1;
                at > MAX_LENGTH / 2 || at % 2 == 1
            });
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_count(out, self.0.len());
        for (number, time) in &self.0 {
            put(out, *number);
            put(out, time.0);
        }
    }

    pub(super) fn read(take: &mut Take<'_>) -> Option<Self> {
        let mut times = Self::default();
        for _ in 0..take.u32()? {
            times.add(take.u64()?, Timestamp(take.u64()?));
        }
        Some(times)
    }

    /// When `number` was given, or a little before.
    pub(super) fn of(&self, number: u64) -> Timestamp {
        let after = self.0.partition_point(|(other, _)| *other <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).map_or(Timestamp(0), |(_, time)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_said_to_be_given_later_than_it_was() {
        let mut times = Times::default();
        for number in 1..100_000 {
            times.add(number, Timestamp(number * 37));
        }
        assert!(times.0.len() <= MAX_LENGTH);
        let mut last = Timestamp(0);
        for number in 1..100_000 {
            let time = times.of(number);
            assert!(time <= Timestamp(number * 37) && time >= last, "{number}");
            last = time;
        }
        assert!(times.of(99_999).0 > 99_999 * 37 - 200, "the newest are known well");
        assert_eq!(Times::default().of(7), Timestamp(0));
        times.add(100_000, Timestamp(500));
        assert!(times.of(99_999) <= Timestamp(500) && times.of(100_000) <= Timestamp(500), "a clock that was set back");
    }
}
