//! The memory tier: a sharded index of entries within one bound of bytes.
//!
//! A hit locks one shard for a look and clones a handle. Inserting, removing and evicting go through one ledger
//! (slots, eviction lists), whose lock is always taken before a shard's. The bound counts everything: heads, bodies,
//! index, lists, and what fills under way have reserved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bodega_eviction::{Eviction, Id};
use bodega_semantics::Key;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use parking_lot::Mutex;

use crate::entry::Entry;

const N_SHARDS: usize = 64;

/// Entries in memory, bounded in bytes.
pub struct Memory {
    shards: Box<[Mutex<HashTable<Entry>>]>,
    ledger: Mutex<Ledger>,
    capacity_bytes: u64,
    used_bytes: AtomicU64,
    reserved_bytes: AtomicU64,
    n_entries: AtomicU64,
    n_evictions: AtomicU64,
    /// Bytes let go since memory was last given back to the system.
    kept_back_bytes: AtomicU64,
    /// Told of what is let go for room.
    on_evict: OnceLock<OnEvict>,
}

/// Told of what is let go for room, while others wait: it must not take long.
pub type OnEvict = Box<dyn Fn(&Entry) + Send + Sync>;

struct Ledger {
    eviction: Box<dyn Eviction>,
    slots: Vec<Option<Entry>>,
    free: Vec<Id>,
}

/// Room for a fill under way; given back when dropped.
pub struct Reservation {
    memory: Arc<Memory>,
    n_bytes: u64,
}

/// A look at the tier, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries held.
    pub n_entries: u64,
    /// Bytes of entries, index and lists.
    pub used_bytes: u64,
    /// Bytes reserved by fills under way.
    pub reserved_bytes: u64,
    /// The bound.
    pub capacity_bytes: u64,
    /// Entries evicted since the start.
    pub n_evictions: u64,
}

impl Memory {
    /// An empty tier of `capacity_bytes` that lets go by `eviction`.
    #[must_use]
    pub fn new(capacity_bytes: u64, eviction: Box<dyn Eviction>) -> Self {
        Self {
            shards: (0..N_SHARDS).map(|_| Mutex::new(HashTable::new())).collect(),
            ledger: Mutex::new(Ledger { eviction, slots: Vec::new(), free: Vec::new() }),
            capacity_bytes,
            used_bytes: AtomicU64::new(0),
            reserved_bytes: AtomicU64::new(0),
            n_entries: AtomicU64::new(0),
            n_evictions: AtomicU64::new(0),
            kept_back_bytes: AtomicU64::new(0),
            on_evict: OnceLock::new(),
        }
    }

    /// The entry under `key`, counted as asked for.
    #[inline]
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Entry> {
        let shard = self.shard(key).lock();
        let entry = shard.find(hash(key), |entry| entry.key == key)?;
        entry.count_hit();
        Some(entry.clone())
    }

    /// The entry under `key`, without counting.
    #[must_use]
    pub fn peek(&self, key: Key) -> Option<Entry> {
        self.shard(key).lock().find(hash(key), |entry| entry.key == key).cloned()
    }

    /// Tells `on_evict` of what is let go for room from now on. Only the first call counts.
    pub fn set_on_evict(&self, on_evict: OnEvict) {
        let _ = self.on_evict.set(on_evict);
    }

    /// Shows some entries, from a place on; returns the place to go on from, `None` at the end.
    pub fn sweep(&self, from: usize, n: usize, each: &mut dyn FnMut(&Entry)) -> Option<usize> {
        let (entries, next): (Vec<Entry>, Option<usize>) = {
            let ledger = self.ledger.lock();
            let to = from.saturating_add(n).min(ledger.slots.len());
            let slots = ledger.slots.get(from..to).unwrap_or_default();
            (slots.iter().flatten().cloned().collect(), (to < ledger.slots.len()).then_some(to))
        };
        entries.iter().for_each(each);
        next
    }

    /// The largest object that is kept: a quarter of the tier.
    #[must_use]
    pub fn max_object_bytes(&self) -> u64 {
        self.capacity_bytes / 4
    }

    /// Beside a disk what is larger than this is not for memory: a thousandth of the tier, at least 1 MiB.
    #[must_use]
    pub fn large_bytes(&self) -> u64 {
        (self.capacity_bytes / 1000).max(1 << 20)
    }

    /// Puts `entry` in, in place of what its key held. False if it is too large to be kept.
    pub fn insert(&self, entry: Entry) -> bool {
        let is_kept = self.put(&mut self.ledger.lock(), entry);
        self.give_back();
        is_kept
    }

    fn put(&self, ledger: &mut Ledger, entry: Entry) -> bool {
        let size_bytes = entry.size_bytes();
        if size_bytes > self.capacity_bytes / 2 {
            return false;
        }
        self.make_room(ledger, size_bytes);
        let slot = ledger.take_slot(entry.clone());
        entry.set_slot(slot);
        ledger.eviction.insert(slot, identity(entry.key), size_bytes);
        self.used_bytes.fetch_add(size_bytes, Ordering::Relaxed);
        self.n_entries.fetch_add(1, Ordering::Relaxed);
        let replaced = {
            let key = entry.key;
            let mut shard = self.shard(key).lock();
            match shard.entry(hash(key), |other| other.key == key, |other| hash(other.key)) {
                Place::Occupied(mut place) => Some(std::mem::replace(place.get_mut(), entry)),
                Place::Vacant(place) => {
                    place.insert(entry);
                    None
                }
            }
        };
        if let Some(replaced) = replaced {
            self.forget(ledger, &replaced);
        }
        true
    }

    /// Puts `new` in place of `old`, if that is still what the key of both holds.
    pub fn replace(&self, old: &Entry, new: Entry) -> bool {
        // Looked at again under the ledger's lock, which whoever changes anything holds.
        let is_held = |entry: &Entry| self.peek(entry.key).is_some_and(|held| held.is(entry));
        let mut ledger = self.ledger.lock();
        old.key == new.key && is_held(old) && self.put(&mut ledger, new)
    }

    /// Takes `entry` out, if it is still what its key holds.
    pub fn remove(&self, entry: &Entry) {
        let mut ledger = self.ledger.lock();
        if self.unlink(entry) {
            self.forget(&mut ledger, entry);
        }
    }

    /// Sets `n_bytes` aside for a fill, evicting what must go. `None` if fills under way hold too much already:
    /// half of the tier is the most they may have.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, n_bytes: u64) -> Option<Reservation> {
        let mut reservation = Reservation { memory: Arc::clone(self), n_bytes: 0 };
        reservation.grow(n_bytes).then_some(reservation)
    }

    /// How full it is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let lists = lists_bytes(&*self.ledger.lock().eviction);
        Usage {
            n_entries: self.n_entries.load(Ordering::Relaxed),
            used_bytes: self.used_bytes.load(Ordering::Relaxed) + lists,
            reserved_bytes: self.reserved_bytes.load(Ordering::Relaxed),
            capacity_bytes: self.capacity_bytes,
            n_evictions: self.n_evictions.load(Ordering::Relaxed),
        }
    }

    fn make_room(&self, ledger: &mut Ledger, n_bytes: u64) {
        loop {
            // The lists keep their memory when entries leave, so that what they need beyond them grows meanwhile.
            let lists = lists_bytes(&*ledger.eviction);
            let used = self.used_bytes.load(Ordering::Relaxed) + self.reserved_bytes.load(Ordering::Relaxed);
            if used + lists + n_bytes <= for_entries(self.capacity_bytes) {
                return;
            }
            let Ledger { eviction, slots, .. } = &mut *ledger;
            let victim =
                eviction.evict(&mut |id| slots.get(id as usize).and_then(Option::as_ref).map_or(0, Entry::take_hits));
            let Some(victim) = victim else { return };
            let Some(entry) = ledger.free_slot(victim) else { continue };
            if let Some(on_evict) = self.on_evict.get() {
                on_evict(&entry);
            }
            self.unlink(&entry);
            self.count_out(&entry);
            self.kept_back_bytes.fetch_add(entry.size_bytes(), Ordering::Relaxed);
            self.n_evictions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets the allocator return whole free pages to the system, once enough has been let go. Without it the pages of
    /// many small entries would stay beside those of the few large ones that took their place, and the process
    /// would come to hold twice its bound.
    fn give_back(&self) {
        if self.kept_back_bytes.load(Ordering::Relaxed) < self.capacity_bytes / GIVE_BACK_SHARE {
            return;
        }
        self.kept_back_bytes.store(0, Ordering::Relaxed);
        crate::allocator::give_back();
    }

    fn forget(&self, ledger: &mut Ledger, entry: &Entry) {
        let slot = entry.slot();
        let held = ledger.slots.get(slot as usize).and_then(Option::as_ref).is_some_and(|held| held.is(entry));
        if held {
            ledger.eviction.remove(slot);
            ledger.free_slot(slot);
            self.count_out(entry);
        }
    }

    fn count_out(&self, entry: &Entry) {
        self.used_bytes.fetch_sub(entry.size_bytes(), Ordering::Relaxed);
        self.n_entries.fetch_sub(1, Ordering::Relaxed);
    }

    fn unlink(&self, entry: &Entry) -> bool {
        self.shard(entry.key)
            .lock()
            .find_entry(hash(entry.key), |other| other.is(entry))
            .map(|place| place.remove())
            .is_ok()
    }

    fn shard(&self, key: Key) -> &Mutex<HashTable<Entry>> {
        &self.shards[key.0 as usize & (N_SHARDS - 1)]
    }
}

impl Ledger {
    fn take_slot(&mut self, entry: Entry) -> Id {
        if let Some(id) = self.free.pop() {
            self.slots[id as usize] = Some(entry);
            return id;
        }
        let id = Id::try_from(self.slots.len()).unwrap_or(Id::MAX);
        if self.slots.len() == self.slots.capacity() {
            // By a quarter, not by doubling: a slot is 8 bytes an entry, and memory is what this tier is about.
            self.slots.reserve_exact(self.slots.len() / 4 + 1024);
        }
        self.slots.push(Some(entry));
        id
    }

    fn free_slot(&mut self, id: Id) -> Option<Entry> {
        let entry = self.slots.get_mut(id as usize)?.take()?;
        self.free.push(id);
        Some(entry)
    }
}

impl Reservation {
    /// Sets another `n_bytes` aside. False if that would be too much.
    pub fn grow(&mut self, n_bytes: u64) -> bool {
        let memory = &self.memory;
        let reserved = memory.reserved_bytes.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes;
        if reserved > memory.capacity_bytes / 2 {
            memory.reserved_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
            return false;
        }
        self.n_bytes += n_bytes;
        memory.make_room(&mut memory.ledger.lock(), 0);
        true
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.reserved_bytes.fetch_sub(self.n_bytes, Ordering::Relaxed);
    }
}

/// Memory of the lists beyond what is counted into each entry's size: the ghost, and room for entries to come.
fn lists_bytes(eviction: &dyn Eviction) -> u64 {
    eviction.overhead_bytes().saturating_sub(eviction.len() as u64 * LIST_BYTES_OF_ENTRY)
}

const LIST_BYTES_OF_ENTRY: u64 = 40;

/// How much of the bound is for entries, and for the lists of them.
fn for_entries(capacity_bytes: u64) -> u64 {
    capacity_bytes - capacity_bytes / HOLES_SHARE
}

/// This part of the bound is left to what the allocator cannot use between entries of many sizes that come and go,
/// so that the process stays within the bound, not only the sum of what was asked for.
const HOLES_SHARE: u64 = 5;
/// So much of the bound is let go before pages are given back.
const GIVE_BACK_SHARE: u64 = 16;

fn hash(key: Key) -> u64 {
    (key.0 >> 64) as u64
}

fn identity(key: Key) -> u64 {
    hash(key)
}

#[cfg(test)]
mod tests;
