//! Remembers for a while who was let go, or asked for and not taken in: identities only, bounded in the bytes that
//! they had and in their number.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

/// First in, first out.
pub(crate) struct Ghost {
    order: VecDeque<Place>,
    /// Who is remembered. A place in `order` with another mark than this one is a place that it has left.
    present: HashMap<u64, Memory, BuildHasherDefault<Identity>>,
    next_mark: u32,
    bytes: u64,
    bound_bytes: u64,
    max_places: usize,
}

struct Place {
    identity: u64,
    /// At most 4 GiB, so that a place takes 16 bytes.
    size_bytes: u32,
    mark: u32,
}

#[derive(Clone, Copy)]
struct Memory {
    mark: u32,
    count: u16,
}

impl Ghost {
    /// Remembers what is worth nine tenths of a cache of `capacity_bytes`, and no more than one for every KiB of it.
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        Self {
            order: VecDeque::new(),
            present: HashMap::default(),
            next_mark: 0,
            bytes: 0,
            bound_bytes: capacity_bytes / 10 * 9,
            max_places: usize::try_from(capacity_bytes / 1024).unwrap_or(usize::MAX).clamp(MIN_PLACES, MAX_PLACES),
        }
    }

    /// Remembers `identity` as the latest, with how often it was asked for.
    pub(crate) fn put(&mut self, identity: u64, size_bytes: u64, count: u16) {
        let size_bytes = u32::try_from(size_bytes).unwrap_or(u32::MAX);
        self.next_mark = self.next_mark.wrapping_add(1);
        self.present.insert(identity, Memory { mark: self.next_mark, count });
        self.order.push_back(Place { identity, size_bytes, mark: self.next_mark });
        self.bytes += u64::from(size_bytes);
        while self.bytes > self.bound_bytes || self.order.len() > self.max_places {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= u64::from(oldest.size_bytes);
            // It may have come back and left again since: then only its later place speaks for it.
            if self.present.get(&oldest.identity).is_some_and(|memory| memory.mark == oldest.mark) {
                self.present.remove(&oldest.identity);
            }
        }
    }

    /// How often it was asked for, if it is remembered; it is forgotten then (its place in the order goes when its
    /// turn comes).
    pub(crate) fn take(&mut self, identity: u64) -> Option<u16> {
        self.present.remove(&identity).map(|memory| memory.count)
    }

    pub(crate) fn holds(&self, identity: u64) -> bool {
        self.present.contains_key(&identity)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.order.capacity() * size_of::<Place>() + self.present.allocation_size()) as u64
    }
}

/// A small cache remembers so many all the same.
const MIN_PLACES: usize = 1 << 10;
/// The most that is remembered, whatever the capacity: some 200 MiB of memory.
const MAX_PLACES: usize = 1 << 22;

/// Identities are hashes already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_bytes() {
        let mut ghost = Ghost::new(1000);
        for identity in 0..10_000 {
            ghost.put(identity, 10, 1);
            assert!(ghost.bytes <= 900 && ghost.order.len() <= 90 && ghost.present.len() <= 90);
        }
        assert!(ghost.holds(9_999) && ghost.holds(9_910) && !ghost.holds(9_909));
    }

    #[test]
    fn it_is_bounded_in_number_when_what_it_remembers_is_small() {
        let mut ghost = Ghost::new(4 << 20);
        for identity in 0..100_000 {
            ghost.put(identity, 0, 1);
        }
        assert_eq!((ghost.order.len(), ghost.present.len()), (4096, 4096));
    }

    #[test]
    fn one_that_is_larger_than_the_bound_is_not_remembered() {
        let mut ghost = Ghost::new(1000);
        ghost.put(1, 10, 1);
        ghost.put(2, 901, 1);
        assert!(!ghost.holds(2));
        assert_eq!((ghost.bytes, ghost.order.len()), (0, 0));
    }

    #[test]
    fn one_that_left_twice_is_remembered_from_the_second_time_on() {
        // Its first place used to speak for it still, and took the memory of the second along when it went.
        let mut ghost = Ghost::new(1000);
        ghost.put(7, 10, 1);
        (100..150).for_each(|identity| ghost.put(identity, 10, 1));
        ghost.put(7, 10, 3);
        (200..250).for_each(|identity| ghost.put(identity, 10, 1));
        assert_eq!(ghost.take(7), Some(3));
        assert_eq!(ghost.take(7), None);
    }
}
