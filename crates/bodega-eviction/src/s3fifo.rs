//! S3-FIFO: a small queue for probation, a main queue, and a ghost of those let go. J. Yang et al., "FIFO queues are
//! all you need for cache eviction", SOSP 2023; in bytes, as measured for this product (to main after one re-use).
//!
//! An object larger than half of the small queue would push out everything in it; it goes to main straight away,
//! where it lives as long as others are not asked for more.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;

use crate::links::{List, Nodes};
use crate::{Eviction, Id};

const SMALL: u8 = 0;
const MAIN: u8 = 1;
/// The small queue's share of the capacity.
const SMALL_SHARE: u64 = 10;
/// The most that the ghost remembers, whatever the capacity: some 25 MiB of memory.
const MAX_GHOSTS: usize = 1 << 19;

/// The queues.
pub struct S3Fifo {
    nodes: Nodes,
    small: List,
    main: List,
    small_bytes: u64,
    ghost: Ghost,
}

impl S3Fifo {
    /// Queues for a cache of `capacity_bytes`.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self {
            nodes: Nodes::default(),
            small: List::new(SMALL),
            main: List::new(MAIN),
            small_bytes: capacity_bytes / SMALL_SHARE,
            ghost: Ghost { bound_bytes: capacity_bytes / 10 * 9, ..Ghost::default() },
        }
    }

    /// From probation: on to main if it was asked for, else out.
    fn evict_small(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        while let Some(id) = self.small.tail() {
            self.small.take(&mut self.nodes, id);
            if hits(id) == 0 {
                return Some(id);
            }
            self.main.push(&mut self.nodes, id);
        }
        None
    }

    /// From main: round once more if it was asked for, else out.
    fn evict_main(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        for _ in 0..self.main.len {
            let id = self.main.tail()?;
            self.main.take(&mut self.nodes, id);
            if hits(id) == 0 {
                return Some(id);
            }
            self.main.push(&mut self.nodes, id);
        }
        let id = self.main.tail()?;
        self.main.take(&mut self.nodes, id);
        Some(id)
    }
}

impl Eviction for S3Fifo {
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64) {
        self.remove(id);
        self.nodes.set(id, identity, size_bytes);
        if self.ghost.take(identity) || size_bytes > self.small_bytes / 2 {
            self.main.push(&mut self.nodes, id);
        } else {
            self.small.push(&mut self.nodes, id);
        }
    }

    fn remove(&mut self, id: Id) {
        match self.nodes.get(id).map(|node| node.list) {
            Some(SMALL) => self.small.take(&mut self.nodes, id),
            Some(_) => self.main.take(&mut self.nodes, id),
            None => {}
        }
    }

    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        if (self.small.bytes > self.small_bytes || self.main.len == 0)
            && let Some(id) = self.evict_small(hits)
        {
            let (identity, size_bytes) = self.nodes.remembered(id);
            self.ghost.put(identity, size_bytes);
            return Some(id);
        }
        self.evict_main(hits).or_else(|| self.evict_small(hits))
    }

    fn admits(&self, _identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool {
        size_bytes <= capacity_bytes
    }

    fn used_bytes(&self) -> u64 {
        self.small.bytes + self.main.bytes
    }

    fn len(&self) -> usize {
        self.small.len + self.main.len
    }

    fn overhead_bytes(&self) -> u64 {
        self.nodes.capacity_bytes() + self.ghost.memory_bytes()
    }
}

/// Identities of those let go from probation, bounded in the bytes they had and in their number.
#[derive(Default)]
struct Ghost {
    order: VecDeque<Remembered>,
    /// The mark of an identity's place in `order`. A place with another mark is one that it has left.
    present: HashMap<u64, u32, BuildHasherDefault<Identity>>,
    next_mark: u32,
    bytes: u64,
    bound_bytes: u64,
}

/// A place in the ghost.
struct Remembered {
    identity: u64,
    /// At most 4 GiB, so that a place takes 16 bytes.
    size_bytes: u32,
    mark: u32,
}

impl Ghost {
    fn put(&mut self, identity: u64, size_bytes: u64) {
        let size_bytes = u32::try_from(size_bytes).unwrap_or(u32::MAX);
        self.next_mark = self.next_mark.wrapping_add(1);
        self.present.insert(identity, self.next_mark);
        self.order.push_back(Remembered { identity, size_bytes, mark: self.next_mark });
        self.bytes += u64::from(size_bytes);
        while self.bytes > self.bound_bytes || self.order.len() > MAX_GHOSTS {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= u64::from(oldest.size_bytes);
            // It may have come back and left again since: then only its later place speaks for it.
            if self.present.get(&oldest.identity) == Some(&oldest.mark) {
                self.present.remove(&oldest.identity);
            }
        }
    }

    /// Whether it is remembered; it is forgotten then (its place in the order goes when its turn comes).
    fn take(&mut self, identity: u64) -> bool {
        self.present.remove(&identity).is_some()
    }

    fn memory_bytes(&self) -> u64 {
        (self.order.capacity() * size_of::<Remembered>() + self.present.allocation_size()) as u64
    }
}

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
    fn what_is_asked_for_once_leaves_before_what_is_asked_for_again() {
        let mut policy = S3Fifo::new(100);
        for id in 0..10 {
            policy.insert(id, u64::from(id), 10);
        }
        let mut counts = [0, 0, 0, 5, 0, 0, 0, 0, 0, 0];
        let mut gone = Vec::new();
        for _ in 0..9 {
            gone.extend(policy.evict(&mut |id| std::mem::take(&mut counts[id as usize])));
        }
        assert!(!gone.contains(&3), "{gone:?}");
        assert_eq!(policy.used_bytes(), 10);
    }

    #[test]
    fn one_that_comes_back_soon_goes_to_main() {
        let mut policy = S3Fifo::new(1000);
        policy.insert(0, 7, 10);
        assert_eq!(policy.evict(&mut |_| 0), Some(0));
        policy.insert(0, 7, 10);
        assert_eq!(policy.nodes.get(0).map(|node| node.list), Some(MAIN));
    }

    #[test]
    fn the_ghost_is_bounded() {
        let mut policy = S3Fifo::new(1000);
        for identity in 0..10_000 {
            policy.insert(0, identity, 10);
            policy.evict(&mut |_| 0);
        }
        assert!(policy.ghost.bytes <= 900);
        assert!(policy.ghost.order.len() <= 90);
    }

    #[test]
    fn one_that_left_twice_is_remembered_from_the_second_time_on() {
        // Its first place used to speak for it still, and took the memory of the second along when it went.
        let mut policy = S3Fifo::new(1000);
        let pass_through = |policy: &mut S3Fifo, identity: u64| {
            policy.insert(0, identity, 10);
            policy.remove(0);
            policy.ghost.put(identity, 10);
        };
        pass_through(&mut policy, 7);
        (100..150).for_each(|identity| pass_through(&mut policy, identity));
        pass_through(&mut policy, 7);
        (200..250).for_each(|identity| pass_through(&mut policy, identity));
        assert!(policy.ghost.take(7));
    }

    #[test]
    fn a_large_object_does_not_push_out_what_is_on_probation() {
        let mut policy = S3Fifo::new(1000);
        policy.insert(0, 1, 10);
        policy.insert(1, 2, 51);
        assert_eq!(policy.nodes.get(0).map(|node| node.list), Some(SMALL));
        assert_eq!(policy.nodes.get(1).map(|node| node.list), Some(MAIN));
    }

    #[test]
    fn a_slot_filled_again_holds_the_new_entry_only() {
        let mut policy = S3Fifo::new(1000);
        policy.insert(0, 1, 10);
        policy.insert(0, 2, 20);
        assert_eq!((policy.len(), policy.used_bytes()), (1, 20));
    }
}
