//! CLOCK: one queue; who was asked for since the last look goes round once more. F. J. Corbató, "A paging experiment
//! with the Multics system", 1968.

use crate::links::{List, Nodes};
use crate::{Eviction, Id};

/// The queue.
pub struct Clock {
    nodes: Nodes,
    queue: List,
}

impl Default for Clock {
    fn default() -> Self {
        Self { nodes: Nodes::default(), queue: List::new(0) }
    }
}

impl Eviction for Clock {
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64) {
        self.remove(id);
        self.nodes.set(id, identity, size_bytes);
        self.queue.push(&mut self.nodes, id);
    }

    fn remove(&mut self, id: Id) {
        if self.nodes.get(id).is_some() {
            self.queue.take(&mut self.nodes, id);
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

    fn admits(&self, _identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool {
        size_bytes <= capacity_bytes
    }

    fn used_bytes(&self) -> u64 {
        self.queue.bytes
    }

    fn len(&self) -> usize {
        self.queue.len
    }

    fn overhead_bytes(&self) -> u64 {
        self.nodes.capacity_bytes()
    }
}
