//! Never lets anything go: what a policy is measured against.

use crate::{Eviction, Id};

/// Nothing is in this slot.
const EMPTY: u64 = u64::MAX;

/// Keeps everything.
#[derive(Default)]
pub struct Noop {
    sizes: Vec<u64>,
    used_bytes: u64,
    n_entries: usize,
}

impl Eviction for Noop {
    fn insert(&mut self, id: Id, _identity: u64, size_bytes: u64) {
        self.remove(id);
        if self.sizes.len() <= id as usize {
            self.sizes.resize(id as usize + 1, EMPTY);
        }
        self.sizes[id as usize] = size_bytes;
        self.used_bytes += size_bytes;
        self.n_entries += 1;
    }

    fn remove(&mut self, id: Id) {
        if let Some(size) = self.sizes.get_mut(id as usize).filter(|size| **size != EMPTY) {
            self.used_bytes -= std::mem::replace(size, EMPTY);
            self.n_entries -= 1;
        }
    }

    fn pin(&mut self, _id: Id) {}

    fn unpin(&mut self, _id: Id) {}

    fn evict(&mut self, _hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
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
        (self.sizes.capacity() * size_of::<u64>()) as u64
    }
}
