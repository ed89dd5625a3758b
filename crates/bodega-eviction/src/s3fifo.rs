//! S3-FIFO: a small queue for probation, a main queue, and a ghost of those let go. J. Yang et al., "FIFO queues are
//! all you need for cache eviction", SOSP 2023; in bytes, as measured for this product (to main after one re-use).
//!
//! An object larger than half of the small queue would push out everything in it; it goes to main straight away,
//! where it lives as long as others are not asked for more.

use crate::ghost::Ghost;
use crate::links::{List, Nodes, PINNED};
use crate::{Eviction, Id};

const SMALL: u8 = 0;
const MAIN: u8 = 1;
/// The small queue's share of the capacity.
const SMALL_SHARE: u64 = 10;

/// The queues.
pub struct S3Fifo {
    nodes: Nodes,
    small: List,
    main: List,
    pinned: List,
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
            pinned: List::new(PINNED),
            small_bytes: capacity_bytes / SMALL_SHARE,
            ghost: Ghost::new(capacity_bytes / 10 * 9),
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
        if self.ghost.take(identity).is_some() || size_bytes > self.small_bytes / 2 {
            self.main.push(&mut self.nodes, id);
        } else {
            self.small.push(&mut self.nodes, id);
        }
    }

    fn remove(&mut self, id: Id) {
        match self.nodes.get(id).map(|node| node.list) {
            Some(SMALL) => self.small.take(&mut self.nodes, id),
            Some(PINNED) => self.pinned.take(&mut self.nodes, id),
            Some(_) => self.main.take(&mut self.nodes, id),
            None => {}
        }
    }

    fn pin(&mut self, id: Id) {
        if self.nodes.get(id).is_some() {
            self.remove(id);
            self.pinned.push(&mut self.nodes, id);
        }
    }

    fn unpin(&mut self, id: Id) {
        if self.nodes.get(id).is_some_and(|node| node.list == PINNED) {
            self.pinned.take(&mut self.nodes, id);
            self.main.push(&mut self.nodes, id);
        }
    }

    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        if (self.small.bytes > self.small_bytes || self.main.len == 0)
            && let Some(id) = self.evict_small(hits)
        {
            let node = self.nodes.of(id);
            self.ghost.put(node.identity, node.size_bytes(), 1);
            return Some(id);
        }
        self.evict_main(hits).or_else(|| self.evict_small(hits))
    }

    fn admits(&mut self, _identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool {
        size_bytes <= capacity_bytes
    }

    fn remembers(&self, identity: u64) -> bool {
        self.ghost.holds(identity)
    }

    fn used_bytes(&self) -> u64 {
        self.small.bytes + self.main.bytes + self.pinned.bytes
    }

    fn len(&self) -> usize {
        self.small.len + self.main.len + self.pinned.len
    }

    fn overhead_bytes(&self) -> u64 {
        self.nodes.capacity_bytes() + self.ghost.memory_bytes()
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
