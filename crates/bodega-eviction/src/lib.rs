//! Admission and eviction algorithms, one a file, behind one trait.
//!
//! Pure: no clock, no random source. An entry is a dense slot number; a hit touches nothing here, only a counter
//! that the store keeps and `evict` reads.
#![forbid(unsafe_code)]

pub mod clock;
mod ghost;
mod links;
pub mod lru;
mod named;
pub mod noop;
pub mod replay;
pub mod s3fifo;
pub mod second_request;
pub mod shelf;

pub use named::{NAMES, UnknownPolicy, by_name};

/// A slot chosen by the store; small and dense.
pub type Id = u32;

/// Whom to let go.
pub trait Eviction: Send {
    /// An entry has come in under `id`, in place of what was there. `identity` outlives it: the ghost knows it by
    /// that. The store lets go until everything fits, before or after.
    fn insert(&mut self, id: Id, identity: u64, size_bytes: u64);
    /// An entry was taken out by the store: replaced or invalidated.
    fn remove(&mut self, id: Id);
    /// An entry stays until it is unpinned or removed; nothing happens if it is not there.
    fn pin(&mut self, id: Id);
    /// An entry that was pinned may be let go again, as one that was asked for before.
    fn unpin(&mut self, id: Id);
    /// Chooses whom to let go and forgets it. `hits` gives, and clears, how often an entry was asked for since it
    /// was last looked at. `None`: there is nothing to let go.
    fn evict(&mut self, hits: &mut dyn FnMut(Id) -> u32) -> Option<Id>;
    /// Whether an object that was asked for is worth coming in; called once for each request that misses it. What
    /// could never fit would only push everything else out.
    fn admits(&mut self, identity: u64, size_bytes: u64, capacity_bytes: u64) -> bool;
    /// Whether it was let go lately.
    fn remembers(&self, identity: u64) -> bool;
    /// Bytes of all entries, pinned ones included.
    fn used_bytes(&self) -> u64;
    /// Number of entries, pinned ones included.
    fn len(&self) -> usize;
    /// Memory of the lists themselves.
    fn overhead_bytes(&self) -> u64;
    /// Whether there are no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
