//! CLOCK: one queue; who was asked for since the last look goes round once more. F. J. Corbató, "A paging experiment
//! with the Multics system", 1968.

use crate::links::{List, Nodes, PINNED};
use crate::{Eviction, Id};

/// The queue.
pub struct Clock {
    nodes: Nodes,
    queue: List,
    pinned: List,
}

impl Default for Clock {
    fn default() -> Self {
        Self { nodes: Nodes::default(), queue: List::new(0), pinned: List::new(PINNED) }
    }
}

impl Eviction for Clock {
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64) {
        self.remove(id);
        self.nodes.set(id, identity, size_bytes);
        self.queue.push(&mut self.nodes, id);
    }

    fn remove(&mut self, id: Id) {
        match self.nodes.get(id).map(|node| node.list) {
            Some(PINNED) => self.pinned.take(&mut self.nodes, id),
            Some(_) => self.queue.take(&mut self.nodes, id),
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
            self.queue.push(&mut self.nodes, id);
        }
    }

    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        // Once round at most: after that the counters are clear.
        for _ in 0..self.queue.len {
            let id = self.queue.tail()?;
            self.queue.take(&mut self.nodes, id);
            if hits(id) == 0 {
                return Some(id);
            }
            self.queue.push(&mut self.nodes, id);
        }
        let id = self.queue.tail()?;
        self.queue.take(&mut self.nodes, id);
        Some(id)
    }

    fn admits(&mut self, _identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool {
        size_bytes <= capacity_bytes
    }

    fn remembers(&self, _identity: u64) -> bool {
        false
    }

    fn used_bytes(&self) -> u64 {
        self.queue.bytes + self.pinned.bytes
    }

    fn len(&self) -> usize {
        self.queue.len + self.pinned.len
    }

    fn overhead_bytes(&self) -> u64 {
        self.nodes.capacity_bytes()
    }
}
