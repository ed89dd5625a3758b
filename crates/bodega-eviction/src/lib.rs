//! Admission and eviction algorithms, one a file, behind one trait.
//!
//! Pure: no clock, no random source. An entry is a dense slot number; a hit touches nothing here, only a counter
//! that the store keeps and `evict` reads. The trait is laid out so that a value-based policy (greedy-dual with
//! probation and ghost) fits as well as queues do.
#![forbid(unsafe_code)]

pub mod clock;
mod links;
pub mod noop;
pub mod replay;
pub mod s3fifo;

/// A slot chosen by the store; small and dense.
pub type Id = u32;

/// Whom to let go.
pub trait Eviction: Send {
    /// An entry has come in under `id`, in place of what was there. `identity` outlives it: the ghost knows it by
    /// that. The store lets go until everything fits, before or after.
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64);
    /// An entry was taken out by the store: replaced or invalidated.
    fn remove(&mut self, id: Id);
    /// Chooses whom to let go and forgets it. `hits` gives, and clears, how often an entry was asked for since it
    /// was last looked at. `None`: there is nothing to let go.
    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id>;
    /// Whether an object is worth coming in. What could never fit would only push everything else out.
    fn admits(&self, identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool;
    /// Bytes of all entries.
    fn used_bytes(&self) -> u64;
    /// Number of entries.
    fn len(&self) -> usize;
    /// Memory of the lists themselves.
    fn overhead_bytes(&self) -> u64;
    /// Whether there are no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
