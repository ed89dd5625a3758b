//! Large bodies: which slices of which are in which slots.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bodega_semantics::Key;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::slice::{SLICE_BYTES, Slice};

/// The slice is not there.
pub(super) const NO_SLOT: u32 = u32::MAX;
/// It waits to be written.
pub(super) const QUEUED: u32 = u32::MAX - 1;

/// How long slice `slice` of a body of `n_bytes` is.
pub(super) fn slice_bytes(n_bytes: u64, slice: u32) -> Option<u32> {
    let start = u64::from(slice) * SLICE_BYTES as u64;
    let left = n_bytes.checked_sub(start).filter(|left| *left > 0)?;
    u32::try_from(left.min(SLICE_BYTES as u64)).ok()
}

/// A body. Its memory grows with the slices that are there, in pieces: a length is only what somebody said.
pub(super) struct Object {
    pub(super) number: u64,
    pub(super) key: Key,
    pub(super) n_bytes: u64,
    chunks: Box<[OnceLock<Box<Chunk>>]>,
    /// Slices that are there or wait to be written.
    n_there: AtomicU32,
    /// Those that wait: they are read from here meanwhile.
    queued: Mutex<HashMap<u32, Arc<Slice>>>,
}

const CHUNK: usize = 256;
type Chunk = [AtomicU32; CHUNK];

impl Object {
    pub(super) fn new(number: u64, key: Key, n_bytes: u64) -> Self {
        let n_chunks = n_bytes.div_ceil(SLICE_BYTES as u64).div_ceil(CHUNK as u64);
        let n_chunks = usize::try_from(n_chunks).unwrap_or(usize::MAX);
        Self {
            number,
            key,
            n_bytes,
            chunks: (0..n_chunks).map(|_| OnceLock::new()).collect(),
            n_there: AtomicU32::new(0),
            queued: Mutex::default(),
        }
    }

    pub(super) fn n_slices(&self) -> u32 {
        u32::try_from(self.n_bytes.div_ceil(SLICE_BYTES as u64)).unwrap_or(u32::MAX)
    }

    /// The slot of a slice; `NO_SLOT` and `QUEUED` are none.
    pub(super) fn slot(&self, slice: u32) -> u32 {
        self.place(slice).map_or(NO_SLOT, |place| place.load(Ordering::SeqCst))
    }

    /// Changes a slice from one slot to another, if it is there.
    pub(super) fn change(&self, slice: u32, from: u32, to: u32) -> bool {
        if slice >= self.n_slices() {
            return false;
        }
        let Some(chunk) = self.chunks.get(slice as usize / CHUNK) else { return false };
        let chunk = chunk.get_or_init(|| Box::new([const { AtomicU32::new(NO_SLOT) }; CHUNK]));
        let changed =
            chunk[slice as usize % CHUNK].compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if changed && from == NO_SLOT {
            self.n_there.fetch_add(1, Ordering::SeqCst);
        } else if changed && to == NO_SLOT {
            self.n_there.fetch_sub(1, Ordering::SeqCst);
        }
        changed
    }

    /// Takes a slice that is to be written. False: it is there, or is taken already.
    pub(super) fn enqueue(&self, slice: u32, bytes: &Arc<Slice>) -> bool {
        let mut queued = self.queued.lock();
        let is_new = self.change(slice, NO_SLOT, QUEUED);
        if is_new {
            queued.insert(slice, Arc::clone(bytes));
        }
        is_new
    }

    /// A slice that waited has been written to a slot, or (`NO_SLOT`) was dropped.
    pub(super) fn dequeue(&self, slice: u32, to: u32) {
        self.change(slice, QUEUED, to);
        let mut queued = self.queued.lock();
        queued.remove(&slice);
        if queued.is_empty() {
            queued.shrink_to_fit();
        }
    }

    /// A slice that waits to be written.
    pub(super) fn queued(&self, slice: u32) -> Option<Arc<Slice>> {
        if self.slot(slice) != QUEUED {
            return None;
        }
        self.queued.lock().get(&slice).cloned()
    }

    /// Whether every slice is there or waits to be written.
    pub(super) fn is_whole(&self) -> bool {
        self.n_there.load(Ordering::SeqCst) == self.n_slices()
    }

    /// Whether no slice is there, nor waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.n_there.load(Ordering::SeqCst) == 0
    }

    /// The slices that are there, with their slots.
    pub(super) fn present(&self) -> impl Iterator<Item = (u32, u32)> {
        let chunks = self.chunks.iter().enumerate().filter_map(|(at, chunk)| Some((at * CHUNK, chunk.get()?)));
        chunks.flat_map(|(first, chunk)| {
            chunk.iter().enumerate().filter_map(move |(at, slot)| {
                let slot = slot.load(Ordering::SeqCst);
                (slot < QUEUED).then(|| (u32::try_from(first + at).unwrap_or(u32::MAX), slot))
            })
        })
    }

    fn place(&self, slice: u32) -> Option<&AtomicU32> {
        Some(&self.chunks.get(slice as usize / CHUNK)?.get()?[slice as usize % CHUNK])
    }
}

/// The bodies by their keys.
pub(super) struct Objects {
    shards: Box<[Mutex<Shard>]>,
}

type Shard = HashMap<Key, Arc<Object>>;

const N_SHARDS: usize = 64;

impl Default for Objects {
    fn default() -> Self {
        Self { shards: (0..N_SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Objects {
    pub(super) fn get(&self, key: Key) -> Option<Arc<Object>> {
        self.shard(key).lock().get(&key).cloned()
    }

    /// Puts it in, and gives what its key had.
    pub(super) fn put(&self, object: Arc<Object>) -> Option<Arc<Object>> {
        self.shard(object.key).lock().insert(object.key, object)
    }

    /// Puts it in if its key has nothing.
    pub(super) fn put_new(&self, object: &Arc<Object>) -> bool {
        let mut shard = self.shard(object.key).lock();
        let is_new = !shard.contains_key(&object.key);
        if is_new {
            shard.insert(object.key, Arc::clone(object));
        }
        is_new
    }

    /// Takes out what `key` has if it is number `number`.
    pub(super) fn take(&self, key: Key, number: u64) -> Option<Arc<Object>> {
        let mut shard = self.shard(key).lock();
        if shard.get(&key)?.number == number { shard.remove(&key) } else { None }
    }

    /// Takes out what `key` has.
    pub(super) fn take_any(&self, key: Key) -> Option<Arc<Object>> {
        self.shard(key).lock().remove(&key)
    }

    /// Whether `object` is what its key has.
    pub(super) fn has(&self, object: &Arc<Object>) -> bool {
        self.shard(object.key).lock().get(&object.key).is_some_and(|held| Arc::ptr_eq(held, object))
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[(key.0 >> 32) as usize & (N_SHARDS - 1)]
    }
}
