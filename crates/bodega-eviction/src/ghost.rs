//! Remembers for a while who was let go, or asked for and not taken in: identities only, bounded in the bytes that
//! they had and in their number.

use std::collections::VecDeque;

use hashbrown::HashTable;

/// First in, first out; some 24 bytes for each that is remembered.
pub(crate) struct Ghost {
    order: VecDeque<Place>,
    /// The turn of each that is remembered: its place is that many behind the turn of the first one in `order`.
    turns: HashTable<u32>,
    first_turn: u32,
    bytes: u64,
    bound_bytes: u64,
    max_places: usize,
}

struct Place {
    identity: u64,
    /// At most 4 GiB, so that a place takes 16 bytes.
    size_bytes: u32,
    count: u16,
    /// It has not been taken, nor put anew.
    remembered: bool,
}

impl Ghost {
    /// Remembers what is worth `bound_bytes`, and no more than one for every KiB of that.
    pub(crate) fn new(bound_bytes: u64) -> Self {
        Self {
            order: VecDeque::new(),
            turns: HashTable::new(),
            first_turn: 0,
            bytes: 0,
            bound_bytes,
            max_places: usize::try_from(bound_bytes / 1024).unwrap_or(usize::MAX).clamp(MIN_PLACES, MAX_PLACES),
        }
    }

    /// Remembers `identity` as the latest, with how often it was asked for.
    pub(crate) fn put(&mut self, identity: u64, size_bytes: u64, count: u16) {
        self.take(identity);
        self.grow();
        let size_bytes = u32::try_from(size_bytes).unwrap_or(u32::MAX);
        // Never more than `MAX_PLACES`, so that it fits.
        let turn = self.first_turn.wrapping_add(u32::try_from(self.order.len()).unwrap_or(u32::MAX));
        self.order.push_back(Place { identity, size_bytes, count, remembered: true });
        self.bytes += u64::from(size_bytes);
        let Self { order, turns, first_turn, .. } = self;
        turns.insert_unique(hash(identity), turn, |turn| hash(order[place(*first_turn, *turn)].identity));
        while self.bytes > self.bound_bytes || self.order.len() > self.max_places {
            self.forget_oldest();
        }
    }

    /// How often it was asked for, if it is remembered; it is forgotten then (its place in the order goes when its
    /// turn comes).
    pub(crate) fn take(&mut self, identity: u64) -> Option<u16> {
        let Self { order, turns, first_turn, .. } = self;
        let found =
            turns.find_entry(hash(identity), |turn| order[place(*first_turn, *turn)].identity == identity).ok()?;
        let (turn, _) = found.remove();
        let taken = &mut order[place(*first_turn, turn)];
        taken.remembered = false;
        Some(taken.count)
    }

    pub(crate) fn holds(&self, identity: u64) -> bool {
        self.turns.find(hash(identity), |turn| self.order[place(self.first_turn, *turn)].identity == identity).is_some()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.order.capacity() * size_of::<Place>() + self.turns.allocation_size()) as u64
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.front() else { return };
        self.bytes -= u64::from(oldest.size_bytes);
        if oldest.remembered {
            let first_turn = self.first_turn;
            if let Ok(found) = self.turns.find_entry(hash(oldest.identity), |turn| *turn == first_turn) {
                found.remove();
            }
        }
        self.order.pop_front();
        self.first_turn = self.first_turn.wrapping_add(1);
    }

    fn grow(&mut self) {
        if self.order.len() == self.order.capacity() {
            // By a quarter: doubling would cost as much again as what is remembered.
            self.order.reserve_exact(self.order.len() / 4 + 64);
        }
    }
}

fn place(first_turn: u32, turn: u32) -> usize {
    turn.wrapping_sub(first_turn) as usize
}

/// Identities are hashes in the edge; in a trace they may be numbers in a row.
fn hash(identity: u64) -> u64 {
    identity.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A small cache remembers so many all the same.
const MIN_PLACES: usize = 1 << 10;
/// The most that is remembered, whatever the capacity: some 100 MiB of memory.
const MAX_PLACES: usize = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_bytes() {
        let mut ghost = Ghost::new(900);
        for identity in 0..10_000 {
            ghost.put(identity, 10, 1);
            assert!(ghost.bytes <= 900 && ghost.order.len() <= 90 && ghost.turns.len() <= 90);
        }
        assert!(ghost.holds(9_999) && ghost.holds(9_910) && !ghost.holds(9_909));
    }

    #[test]
    fn it_is_bounded_in_number_when_what_it_remembers_is_small() {
        let mut ghost = Ghost::new(4 << 20);
        for identity in 0..100_000 {
            ghost.put(identity, 0, 1);
        }
        assert_eq!((ghost.order.len(), ghost.turns.len()), (4096, 4096));
        assert!(ghost.memory_bytes() < 40 * 4096, "{}", ghost.memory_bytes());
    }

    #[test]
    fn one_that_is_larger_than_the_bound_is_not_remembered() {
        let mut ghost = Ghost::new(900);
        ghost.put(1, 10, 1);
        ghost.put(2, 901, 1);
        assert!(!ghost.holds(2));
        assert_eq!((ghost.bytes, ghost.order.len(), ghost.turns.len()), (0, 0, 0));
    }

    #[test]
    fn one_that_left_twice_is_remembered_from_the_second_time_on() {
        // Its first place used to speak for it still, and took the memory of the second along when it went.
        let mut ghost = Ghost::new(900);
        ghost.put(7, 10, 1);
        (100..150).for_each(|identity| ghost.put(identity, 10, 1));
        ghost.put(7, 10, 3);
        (200..250).for_each(|identity| ghost.put(identity, 10, 1));
        assert_eq!(ghost.take(7), Some(3));
        assert_eq!(ghost.take(7), None);
    }

    #[test]
    fn turns_may_wrap() {
        let mut ghost = Ghost::new(900);
        ghost.first_turn = u32::MAX - 40;
        for identity in 0..300 {
            ghost.put(identity, 10, u16::try_from(identity).unwrap());
            if identity % 3 == 0 {
                assert_eq!(ghost.take(identity / 3 * 3).map(u64::from), Some(identity));
            }
        }
        let held: Vec<u64> = (0..300).filter(|identity| ghost.holds(*identity)).collect();
        let expected: Vec<u64> = (210..300).filter(|identity| identity % 3 != 0).collect();
        assert_eq!(held, expected);
    }
}
