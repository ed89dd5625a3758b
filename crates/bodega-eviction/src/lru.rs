//! Least recently used, to within an eighth of the cache.
//!
//! A hit moves nothing here, so the exact order of use is not known. The queue is cut into eight parts instead: where
//! an entry would go on into the next, older part it is looked at, and begins anew if it was asked for since the last
//! look. A plain CLOCK looks once, at the end of the queue, and confuses what was asked for just now with what was
//! asked for once long ago.

use crate::links::{List, Nodes, PINNED};
use crate::{Eviction, Id};

/// Youngest first.
pub struct Lru {
    nodes: Nodes,
    parts: [List; N_PARTS],
    pinned: List,
    used_bytes: u64,
    n_entries: usize,
}

impl Default for Lru {
    fn default() -> Self {
        let mut parts = [List::new(0); N_PARTS];
        for (number, part) in (0..).zip(&mut parts) {
            *part = List::new(number);
        }
        Self { nodes: Nodes::default(), parts, pinned: List::new(PINNED), used_bytes: 0, n_entries: 0 }
    }
}

impl Lru {
    fn push(&mut self, id: Id) {
        self.parts[0].push(&mut self.nodes, id);
    }

    fn take(&mut self, id: Id) -> bool {
        let Some(list) = self.nodes.get(id).map(|node| node.list) else { return false };
        if list == PINNED {
            self.pinned.take(&mut self.nodes, id);
        } else {
            self.parts[usize::from(list)].take(&mut self.nodes, id);
        }
        true
    }

    /// Moves on what has become too old for its part.
    fn age(&mut self, hits: &mut dyn FnMut(Id) -> u32) {
        let share_bytes = (self.used_bytes - self.pinned.bytes) / N_PARTS as u64;
        let mut n_looks = 0;
        for number in (0..N_PARTS - 1).rev() {
            while self.parts[number].bytes > share_bytes && n_looks < MAX_LOOKS {
                let Some(id) = self.parts[number].tail() else { break };
                n_looks += 1;
                self.parts[number].take(&mut self.nodes, id);
                let next = if hits(id) == 0 { number + 1 } else { 0 };
                self.parts[next].push(&mut self.nodes, id);
            }
        }
    }
}

impl Eviction for Lru {
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64) {
        self.remove(id);
        self.nodes.set(id, identity, size_bytes);
        self.push(id);
        self.used_bytes += self.nodes.of(id).size_bytes();
        self.n_entries += 1;
    }

    fn remove(&mut self, id: Id) {
        if self.take(id) {
            self.used_bytes -= self.nodes.of(id).size_bytes();
            self.n_entries -= 1;
        }
    }

    fn pin(&mut self, id: Id) {
        if self.take(id) {
            self.pinned.push(&mut self.nodes, id);
        }
    }

    fn unpin(&mut self, id: Id) {
        if self.nodes.get(id).is_some_and(|node| node.list == PINNED) {
            self.pinned.take(&mut self.nodes, id);
            self.push(id);
        }
    }

    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        self.age(hits);
        for n_looks in 0.. {
            let id = self.parts.iter().rev().find_map(List::tail)?;
            self.take(id);
            if n_looks == MAX_LOOKS || hits(id) == 0 {
                self.used_bytes -= self.nodes.of(id).size_bytes();
                self.n_entries -= 1;
                return Some(id);
            }
            self.push(id);
        }
        None
    }

    fn admits(&mut self, _identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool {
        size_bytes <= capacity_bytes
    }

    fn remembers(&self, _identity: u64) -> bool {
        false
    }

    fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    fn len(&self) -> usize {
        self.n_entries
    }

    fn overhead_bytes(&self) -> u64 {
        self.nodes.capacity_bytes()
    }
}

const N_PARTS: usize = 8;
/// So many entries are looked at for one that is let go: seven on their way down, and those that were asked for.
/// Whoever waits for room waits no longer than that.
const MAX_LOOKS: usize = 64;
