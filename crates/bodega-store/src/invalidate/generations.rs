//! Which marks have been raised to which number: a table of fixed size that never says too little.
//!
//! Sets of eight places, each with part of the mark and its number. Where a set is full the lowest number leaves, and
//! becomes the set's floor: from then on everything in the set counts as raised to it. So a mark is mistaken for
//! another only by a hash of 24 bits within its set, or long after more marks were raised than the table holds.
//! One writer at a time; any number of readers, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use super::log_format::{Take, put, put_count};

const WAYS: usize = 8;
const NUMBER_BITS: u32 = 40;
/// Larger numbers do not fit: the caller has to forget everything instead. At a thousand a second that is in 34 years.
pub(super) const MAX_NUMBER: u64 = (1 << NUMBER_BITS) - 1;

/// A table of marks and numbers.
pub(super) struct Generations {
    sets: Box<[Set]>,
}

struct Set {
    /// Everything in the set counts as raised to this number.
    floor: AtomicU64,
    /// The upper 24 bits are of the mark, the others the number; 0 is an empty place.
    places: [AtomicU64; WAYS],
}

impl Generations {
    /// A table of `n_sets` (a power of two) times eight places.
    pub(super) fn new(n_sets: usize) -> Self {
        let empty = || Set { floor: AtomicU64::new(0), places: Default::default() };
        Self { sets: (0..n_sets.next_power_of_two()).map(|_| empty()).collect() }
    }

    /// The number that `mark` has been raised to, or a higher one.
    pub(super) fn of(&self, mark: u64) -> u64 {
        let set = self.set(mark);
        let raised = set.places.iter().map(|place| place.load(Ordering::Acquire));
        let highest = raised.filter(|place| is_of(*place, mark)).map(number).max().unwrap_or(0);
        // After the places: whoever no longer finds a number there finds the floor that was raised before it left.
        highest.max(set.floor.load(Ordering::Acquire))
    }

    /// Raises `mark` to `to`, at most `MAX_NUMBER`, if it is not higher already. One call at a time.
    pub(super) fn raise(&self, mark: u64, to: u64) {
        let set = self.set(mark);
        let places = || set.places.iter().map(|place| (place, place.load(Ordering::Relaxed)));
        let same = places().find(|(_, held)| is_of(*held, mark));
        let Some((place, held)) = same.or_else(|| places().min_by_key(|(_, held)| number(*held))) else { return };
        let is_same = is_of(held, mark);
        if held != 0 && !is_same {
            set.floor.fetch_max(number(held), Ordering::Release);
        }
        let to = if is_same { to.max(number(held)) } else { to };
        place.store(tag(mark) | to.min(MAX_NUMBER), Ordering::Release);
    }

    /// Writes the sets that hold anything.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_count(out, self.sets.len());
        let start = out.len();
        put_count(out, 0);
        let mut n_used = 0_u32;
        for (number, set) in (0_u32..).zip(&self.sets) {
            // The places before the floor, as in `of`.
            let places: [u64; WAYS] = std::array::from_fn(|at| set.places[at].load(Ordering::Acquire));
            let floor = set.floor.load(Ordering::Acquire);
            if floor == 0 && places == [0; WAYS] {
                continue;
            }
            n_used += 1;
            out.extend_from_slice(&number.to_le_bytes());
            put(out, floor);
            places.into_iter().for_each(|place| put(out, place));
        }
        out[start..start + 4].copy_from_slice(&n_used.to_le_bytes());
    }

    /// Reads what `write` wrote into an empty table; a set of a table of another size makes no sense here.
    pub(super) fn restore(&self, take: &mut Take<'_>) -> Option<()> {
        if take.u32()? as usize != self.sets.len() {
            return None;
        }
        for _ in 0..take.u32()? {
            let set = self.sets.get(take.u32()? as usize)?;
            set.floor.store(take.u64()?, Ordering::Release);
            for place in &set.places {
                place.store(take.u64()?, Ordering::Release);
            }
        }
        Some(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose the set")]
    fn set(&self, mark: u64) -> &Set {
        &self.sets[mark as usize & (self.sets.len() - 1)]
    }
}

const fn tag(mark: u64) -> u64 {
    mark & !MAX_NUMBER
}

const fn number(place: u64) -> u64 {
    place & MAX_NUMBER
}

const fn is_of(place: u64, mark: u64) -> bool {
    place != 0 && place & !MAX_NUMBER == tag(mark)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A mark in set `set` of a table of 4.
    fn mark(set: u64, name: u64) -> u64 {
        name << NUMBER_BITS | set
    }

    #[test]
    fn a_mark_has_the_number_it_was_raised_to_and_others_have_none() {
        let table = Generations::new(4);
        table.raise(mark(1, 7), 5);
        assert_eq!((table.of(mark(1, 7)), table.of(mark(1, 8)), table.of(mark(2, 7))), (5, 0, 0));
        table.raise(mark(1, 7), 9);
        assert_eq!(table.of(mark(1, 7)), 9);
        table.raise(mark(1, 7), 6);
        assert_eq!(table.of(mark(1, 7)), 9, "never lowered");
        table.raise(mark(1, 0), 10);
        assert_eq!(table.of(mark(1, 0)), 10, "a mark without upper bits");
    }

    #[test]
    fn what_leaves_a_full_set_becomes_its_floor() {
        let table = Generations::new(4);
        for name in 1..=9 {
            table.raise(mark(3, name), name);
        }
        assert_eq!(table.of(mark(3, 1)), 1);
        assert_eq!(table.of(mark(3, 100)), 1, "too much, never too little");
        assert_eq!(table.of(mark(3, 9)), 9);
        assert_eq!(table.of(mark(2, 1)), 0);
    }

    #[test]
    fn no_number_is_ever_forgotten() {
        let (table, mut expected) = (Generations::new(4), HashMap::new());
        // Marks in no order: a linear congruence.
        let mut state = 1_u64;
        for number in 1..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mark = mark(state >> 33 & 3, state >> 40 & 63);
            table.raise(mark, number);
            expected.insert(mark, number);
            assert!(expected.iter().all(|(mark, number)| table.of(*mark) >= *number));
        }
    }

    #[test]
    fn readers_never_see_less_than_what_was_raised_before_they_looked() {
        let table = Arc::new(Generations::new(1));
        let (raised, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (table, raised, stop) = (Arc::clone(&table), Arc::clone(&raised), Arc::clone(&stop));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        // Number n was for the mark n modulo 20.
                        let last = raised.load(Ordering::Acquire);
                        assert!(table.of(mark(0, last % 20)) >= last);
                    }
                })
            })
            .collect();
        for number in 1..200_000 {
            table.raise(mark(0, number % 20), number);
            raised.store(number, Ordering::Release);
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    }
}
