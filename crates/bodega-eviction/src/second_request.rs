//! Admission on the second request: what is asked for once, as most objects are, is never taken in.
//!
//! For a tier where taking in costs something: a write to a disk.

use crate::ghost::Ghost;
use crate::{Eviction, Id};

/// Any policy, which takes in only what was asked for lately, or let go lately.
pub struct SecondRequest {
    policy: Box<dyn Eviction>,
    asked: Ghost,
}

impl SecondRequest {
    /// Before `policy`, for a cache of `capacity_bytes`.
    #[must_use]
    pub fn new(policy: Box<dyn Eviction>, capacity_bytes: u64) -> Self {
        Self { policy, asked: Ghost::new(capacity_bytes / 10 * 18) }
    }

    /// Whether this is the second request within the window. The first one opens it.
    pub fn asked(&mut self, identity: u64, size_bytes: u64) -> bool {
        if self.asked.take(identity).is_some() {
            return true;
        }
        self.asked.put(identity, size_bytes, 1);
        false
    }
}

impl Eviction for SecondRequest {
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64) {
        self.policy.insert(id, identity, size_bytes);
    }

    fn remove(&mut self, id: Id) {
        self.policy.remove(id);
    }

    fn pin(&mut self, id: Id) {
        self.policy.pin(id);
    }

    fn unpin(&mut self, id: Id) {
        self.policy.unpin(id);
    }

    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id> {
        self.policy.evict(hits)
    }

    fn admits(&mut self, identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool {
        self.policy.admits(identity, size_bytes, capacity_bytes)
            && (self.policy.remembers(identity) || self.asked(identity, size_bytes))
    }

    fn remembers(&self, identity: u64) -> bool {
        self.policy.remembers(identity)
    }

    fn used_bytes(&self) -> u64 {
        self.policy.used_bytes()
    }

    fn len(&self) -> usize {
        self.policy.len()
    }

    fn overhead_bytes(&self) -> u64 {
        self.policy.overhead_bytes() + self.asked.memory_bytes()
    }
}
