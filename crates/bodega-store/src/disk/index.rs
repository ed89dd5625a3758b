//! What is on disk, by key: where its record is, and how often it was asked for.
//!
//! In memory, 32 bytes an entry with its key and a byte of the table's; a look is a short lock of one of many shards.

use bodega_semantics::Key;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Entered;
use parking_lot::Mutex;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `PENDING`: it is still to be written; `at` is its ticket then.
    pub(super) segment: u32,
    /// In units of `ALIGN`.
    pub(super) at: u32,
    pub(super) length: u32,
    /// Whether its body is in slots.
    pub(super) is_head: bool,
}

pub(super) const PENDING: u32 = u32::MAX;

impl Place {
    pub(super) fn new(segment: u32, offset: u32, length: u32, is_head: bool) -> Self {
        Self { segment, at: offset / UNIT, length, is_head }
    }

    pub(super) fn offset(&self) -> u64 {
        u64::from(self.at) * u64::from(UNIT)
    }

    pub(super) fn is_pending(&self) -> bool {
        self.segment == PENDING
    }
}

const UNIT: u32 = super::format::ALIGN as u32;

/// Half a cache line: as a `Key`, which is aligned to 16 bytes, and a `Place` it would be 48 bytes.
struct Slot {
    key: [u64; 2],
    segment: u32,
    at: u32,
    length: u32,
    is_head: bool,
    hits: u8,
}

const _: () = assert!(size_of::<Slot>() == 32);

/// The index.
pub(super) struct Index {
    shards: Box<[Shard]>,
}

/// On a cache line of its own, so that locks of neighbours do not meet.
#[repr(align(64))]
struct Shard(Mutex<HashTable<Slot>>);

const N_SHARDS: usize = 256;

impl Default for Index {
    fn default() -> Self {
        Self { shards: (0..N_SHARDS).map(|_| Shard(Mutex::new(HashTable::new()))).collect() }
    }
}

impl Index {
    #[inline]
    pub(super) fn holds(&self, key: Key) -> bool {
        self.shard(key).lock().find(hash(key), |slot| slot.holds(key)).is_some()
    }

    /// Where `key` is, counted as asked for.
    pub(super) fn ask(&self, key: Key) -> Option<Place> {
        let mut shard = self.shard(key).lock();
        let slot = shard.find_mut(hash(key), |slot| slot.holds(key))?;
        slot.hits = slot.hits.saturating_add(1);
        Some(slot.place())
    }

    /// Where `key` is, and how often it was asked for.
    pub(super) fn look(&self, key: Key) -> Option<(Place, u8)> {
        self.shard(key).lock().find(hash(key), |slot| slot.holds(key)).map(|slot| (slot.place(), slot.hits))
    }

    /// Puts `key` at `place` unless `keep` says that what it has is to stay. What was there before otherwise.
    pub(super) fn put(&self, key: Key, place: Place, hits: u8, keep: impl FnOnce(&Place) -> bool) -> Put {
        let mut shard = self.shard(key).lock();
        match shard.entry(hash(key), |slot| slot.holds(key), |slot| hash(slot.key())) {
            Entered::Occupied(slot) if keep(&slot.get().place()) => Put::Kept,
            Entered::Occupied(mut slot) => {
                let slot = slot.get_mut();
                let replaced = slot.place();
                *slot = Slot::new(key, place, slot.hits.max(hits));
                Put::Replaced(replaced)
            }
            Entered::Vacant(vacant) => {
                vacant.insert(Slot::new(key, place, hits));
                Put::New
            }
        }
    }

    /// Moves `key` from one place to another, if that is still where it is.
    pub(super) fn relocate(&self, key: Key, from: Place, to: Place, hits: u8) -> bool {
        let mut shard = self.shard(key).lock();
        let found = shard.find_mut(hash(key), |slot| slot.holds(key) && slot.place() == from);
        found.map(|slot| *slot = Slot::new(key, to, hits)).is_some()
    }

    /// Takes `key` out if `leave` does not say that what it has is to stay.
    pub(super) fn take(&self, key: Key, leave: impl FnOnce(&Place) -> bool) -> Option<Place> {
        let mut shard = self.shard(key).lock();
        let slot = shard.find_entry(hash(key), |slot| slot.holds(key)).ok()?;
        if leave(&slot.get().place()) {
            return None;
        }
        Some(slot.remove().0.place())
    }

    /// Gives `key` the heat that it had before a restart.
    pub(super) fn warm(&self, key: Key, hits: u8) {
        if let Some(slot) = self.shard(key).lock().find_mut(hash(key), |slot| slot.holds(key)) {
            slot.hits = slot.hits.saturating_add(hits);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| (shard.0.lock().allocation_size() + size_of::<Shard>()) as u64).sum()
    }

    /// Keys from a cursor on, whole shards at a time, and the cursor after them.
    pub(super) fn page(&self, cursor: u64, n: usize) -> (Vec<Key>, Option<u64>) {
        let mut keys = Vec::new();
        for at in usize::try_from(cursor).unwrap_or(usize::MAX).min(N_SHARDS)..N_SHARDS {
            self.shards[at].0.lock().iter().for_each(|slot| keys.push(slot.key()));
            if keys.len() >= n {
                let next = at as u64 + 1;
                return (keys, (next < N_SHARDS as u64).then_some(next));
            }
        }
        (keys, None)
    }

    /// Each key with its heat, a shard at a time.
    pub(super) fn each(&self, mut see: impl FnMut(Key, Place, u8)) {
        for shard in &self.shards {
            let slots: Vec<_> = shard.0.lock().iter().map(|slot| (slot.key(), slot.place(), slot.hits)).collect();
            slots.into_iter().for_each(|(key, place, hits)| see(key, place, hits));
        }
    }

    #[inline]
    fn shard(&self, key: Key) -> &Mutex<HashTable<Slot>> {
        &self.shards[key.0 as usize & (N_SHARDS - 1)].0
    }
}

impl Slot {
    fn new(key: Key, place: Place, hits: u8) -> Self {
        let Place { segment, at, length, is_head } = place;
        Self { key: halves(key), segment, at, length, is_head, hits }
    }

    #[inline]
    fn holds(&self, key: Key) -> bool {
        self.key == halves(key)
    }

    fn key(&self) -> Key {
        Key(u128::from(self.key[0]) << 64 | u128::from(self.key[1]))
    }

    fn place(&self) -> Place {
        Place { segment: self.segment, at: self.at, length: self.length, is_head: self.is_head }
    }
}

/// What came of `Index::put`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    New,
    Replaced(Place),
    Kept,
}

fn hash(key: Key) -> u64 {
    halves(key)[0]
}

fn halves(key: Key) -> [u64; 2] {
    [(key.0 >> 64) as u64, key.0 as u64]
}
