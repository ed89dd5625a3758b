//! Never lets anything go: what a policy is measured against.

use crate::{Eviction, Id};

/// Keeps everything.
#[derive(Default)]
pub struct Noop {
    sizes: Vec<u64>,
    used_bytes: u64,
    n_entries: usize,
}

impl Eviction for Noop {
    fn insert(&mut self, id: Id, _identity: u64, size_bytes: u64) {
        if self.sizes.len() <= id as usize {
            self.sizes.resize(id as usize + 1, 0);
        }
        self.sizes[id as usize] = size_bytes;
        self.used_bytes += size_bytes;
        self.n_entries += 1;
    }

    fn remove(&mut self, id: Id) {
        if let Some(size) = self.sizes.get_mut(id as usize) {
            self.used_bytes -= std::mem::take(size);
            self.n_entries = self.n_entries.saturating_sub(1);
        }
    }

    fn evict(&mut self, _hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        None
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
