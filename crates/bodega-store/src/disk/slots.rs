//! Slots of 1 MiB for slices of bodies: who has which, who may come in, who goes.
//!
//! A slot that somebody reads is pinned. Whoever takes a slice out of its slot first takes it out of its body, and then
//! looks for pins; whoever reads pins first, and then looks whether the body still has the slot. So one of the two
//! sees the other, and no slot comes to hold something else while it is read.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bodega_eviction::Eviction;
use parking_lot::Mutex;

use super::format::{BLOCK_BYTES, BLOCKS, checksum};
use super::objects::{NO_SLOT, Object, slice_bytes};
use super::tier::Tier;
use crate::slice::SLICE_BYTES;

/// All slots.
pub(super) struct Slots {
    extents: Box<[OnceLock<Box<[Slot]>>]>,
    per_extent: u32,
    ledger: Mutex<Ledger>,
}

/// What is known of a slot, beside who has it.
pub(super) struct Slot {
    pins: AtomicU32,
    /// A bit for each block that was checked since the start.
    checked: AtomicU32,
    hits: AtomicU8,
    /// Pages of it may still be on their way to a client.
    was_sent: AtomicBool,
    sums: [AtomicU32; BLOCKS],
    held: Mutex<Option<(Arc<Object>, u32)>>,
}

struct Ledger {
    policy: Box<dyn Eviction>,
    free: Vec<u32>,
    /// Given back while somebody still read them.
    limbo: Vec<u32>,
    n_extents: u32,
    n_used: u32,
}

/// What became of a slot that was looked for.
pub(super) enum Taken {
    /// One that was taken from a slice of this body, which may have none left. `NO_SLOT`: it is still being read.
    Evicted(u32, Arc<Object>),
    None,
}

impl Slots {
    pub(super) fn new(n_extents: u32, per_extent: u32, policy: Box<dyn Eviction>) -> Self {
        Self {
            extents: (0..n_extents).map(|_| OnceLock::new()).collect(),
            per_extent,
            ledger: Mutex::new(Ledger { policy, free: Vec::new(), limbo: Vec::new(), n_extents: 0, n_used: 0 }),
        }
    }

    pub(super) fn slot(&self, slot: u32) -> Option<&Slot> {
        self.extents.get((slot / self.per_extent) as usize)?.get()?.get((slot % self.per_extent) as usize)
    }

    /// Makes room for another extent's slots, all free. They are not in the list of free ones yet.
    pub(super) fn add_extent(&self) -> Option<std::ops::Range<u32>> {
        let mut ledger = self.ledger.lock();
        let at = ledger.n_extents;
        self.extents.get(at as usize)?.get_or_init(|| (0..self.per_extent).map(|_| Slot::new()).collect());
        ledger.n_extents += 1;
        Some(at * self.per_extent..(at + 1) * self.per_extent)
    }

    /// Puts slots into the list of free ones; the first is taken first.
    pub(super) fn add_free(&self, slots: impl DoubleEndedIterator<Item = u32>) {
        self.ledger.lock().free.extend(slots.rev());
    }

    /// A free slot.
    pub(super) fn take_free(&self) -> Option<u32> {
        let mut ledger = self.ledger.lock();
        if let Some(slot) = ledger.free.pop() {
            return Some(slot);
        }
        let at = ledger.limbo.iter().position(|slot| self.is_unread(*slot))?;
        Some(ledger.limbo.swap_remove(at))
    }

    /// A slot from whoever the policy lets go. Slices that are being read leave, too, but their slots have to wait.
    pub(super) fn evict(&self) -> Taken {
        let mut ledger = self.ledger.lock();
        let ledger = &mut *ledger;
        let victim = ledger
            .policy
            .evict(&mut |slot| self.slot(slot).map_or(0, |slot| slot.hits.swap(0, Ordering::Relaxed).into()));
        let Some(victim) = victim else { return Taken::None };
        let Some(slot) = self.slot(victim) else { return Taken::None };
        let Some((object, slice)) = slot.held.lock().take() else { return Taken::None };
        ledger.n_used -= 1;
        object.change(slice, victim, NO_SLOT);
        if self.is_unread(victim) {
            return Taken::Evicted(victim, object);
        }
        ledger.limbo.push(victim);
        Taken::Evicted(NO_SLOT, object)
    }

    /// Gives a slot to a slice, whose bytes are in it.
    pub(super) fn fill(&self, number: u32, object: &Arc<Object>, slice: u32, sums: &[u32; BLOCKS], is_checked: bool) {
        let Some(slot) = self.slot(number) else { return };
        for (place, sum) in slot.sums.iter().zip(sums) {
            place.store(*sum, Ordering::Relaxed);
        }
        // What lies behind the end of a short slice needs no check.
        let n_blocks = slice_bytes(object.n_bytes, slice).unwrap_or(0).div_ceil(BLOCK_BYTES as u32);
        slot.checked.store(if is_checked { u32::MAX } else { u32::MAX << n_blocks }, Ordering::Relaxed);
        slot.hits.store(0, Ordering::Relaxed);
        let mut ledger = self.ledger.lock();
        *slot.held.lock() = Some((Arc::clone(object), slice));
        ledger.n_used += 1;
        ledger.policy.insert(number, identity(object, slice), SLICE_BYTES as u64);
    }

    /// Takes the slot from the slice that has it, if that is what has it. Whoever calls has changed the body already.
    pub(super) fn release(&self, number: u32, object: u64, slice: u32) -> bool {
        let Some(slot) = self.slot(number) else { return false };
        let mut ledger = self.ledger.lock();
        let mut held = slot.held.lock();
        if !held.as_ref().is_some_and(|(holder, of)| holder.number == object && *of == slice) {
            return false;
        }
        *held = None;
        drop(held);
        ledger.policy.remove(number);
        ledger.n_used -= 1;
        if self.is_unread(number) {
            ledger.free.push(number);
        } else {
            ledger.limbo.push(number);
        }
        true
    }

    /// Who has a slot.
    pub(super) fn holder(&self, slot: u32) -> Option<(Arc<Object>, u32)> {
        self.slot(slot)?.held.lock().clone()
    }

    /// Empties the last extent and takes it away; which one that was, and whose slices were in it. Not taken away but
    /// only emptied, if something in it is being read.
    pub(super) fn remove_extent(&self) -> Option<(Option<u32>, Vec<Arc<Object>>)> {
        let mut ledger = self.ledger.lock();
        let ledger = &mut *ledger;
        let at = ledger.n_extents.checked_sub(1)?;
        let range = at * self.per_extent..(at + 1) * self.per_extent;
        let mut objects = Vec::new();
        for number in range.clone() {
            let Some((object, slice)) = self.slot(number)?.held.lock().take() else { continue };
            object.change(slice, number, NO_SLOT);
            ledger.policy.remove(number);
            ledger.n_used -= 1;
            if self.is_unread(number) { &mut ledger.free } else { &mut ledger.limbo }.push(number);
            objects.push(object);
        }
        if !range.clone().all(|slot| self.is_unread(slot)) {
            return Some((None, objects));
        }
        ledger.free.retain(|slot| !range.contains(slot));
        ledger.limbo.retain(|slot| !range.contains(slot));
        ledger.n_extents = at;
        Some((Some(at), objects))
    }

    pub(super) fn n_extents(&self) -> u32 {
        self.ledger.lock().n_extents
    }

    /// Slots there are, those that hold something, and memory of all that is known of them.
    pub(super) fn usage(&self) -> (u32, u32, u64) {
        let ledger = self.ledger.lock();
        let n_slots = ledger.n_extents * self.per_extent;
        let memory = u64::from(n_slots) * size_of::<Slot>() as u64 + ledger.policy.overhead_bytes();
        (n_slots, ledger.n_used, memory)
    }

    fn is_unread(&self, slot: u32) -> bool {
        self.slot(slot).is_none_or(|slot| slot.pins.load(Ordering::SeqCst) == 0)
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            pins: AtomicU32::new(0),
            checked: AtomicU32::new(0),
            hits: AtomicU8::new(0),
            was_sent: AtomicBool::new(false),
            sums: Default::default(),
            held: Mutex::new(None),
        }
    }

    pub(super) fn count_hit(&self) {
        let hits = self.hits.load(Ordering::Relaxed);
        self.hits.store(hits.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn hits(&self) -> u8 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(super) fn warm(&self, hits: u8) {
        self.hits.store(hits, Ordering::Relaxed);
    }

    /// Whether the blocks of `blocks` were all checked since the start.
    pub(super) fn is_checked(&self, blocks: std::ops::Range<usize>) -> bool {
        let mask = blocks.fold(0_u32, |mask, block| mask | 1 << block);
        self.checked.load(Ordering::Acquire) & mask == mask
    }

    /// Checks the whole blocks that `bytes` holds, from block `first` on. False: one is not what was written.
    pub(super) fn check(&self, first: usize, bytes: &[u8]) -> bool {
        let mut mask = 0;
        for (block, bytes) in (first..BLOCKS).zip(bytes.chunks(BLOCK_BYTES)) {
            if checksum(bytes) != self.sums[block].load(Ordering::Relaxed) {
                return false;
            }
            mask |= 1 << block;
        }
        self.checked.fetch_or(mask, Ordering::Release);
        true
    }

    pub(super) fn mark_sent(&self) {
        self.was_sent.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_sent(&self) -> bool {
        self.was_sent.swap(false, Ordering::Relaxed)
    }
}

/// Checksums of a slice's blocks.
pub(super) fn sums(bytes: &[u8]) -> [u32; BLOCKS] {
    let mut sums = [0; BLOCKS];
    for (sum, block) in sums.iter_mut().zip(bytes.chunks(BLOCK_BYTES)) {
        *sum = checksum(block);
    }
    sums
}

/// What a policy's ghost knows a slice by: its key and place, not its number, which is new each time.
fn identity(object: &Object, slice: u32) -> u64 {
    (object.key.0 >> 64) as u64 ^ (u64::from(slice) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Holds a slot: nothing else comes into it meanwhile.
pub(super) struct Pin {
    tier: Arc<Tier>,
    slot: u32,
}

impl Pin {
    /// Pins the slot of a slice. `None`: it is not there.
    pub(super) fn of(tier: &Arc<Tier>, object: &Object, slice: u32) -> Option<Self> {
        loop {
            let slot = object.slot(slice);
            tier.slots.slot(slot)?.pins.fetch_add(1, Ordering::SeqCst);
            let pin = Self { tier: Arc::clone(tier), slot };
            if object.slot(slice) == slot {
                return Some(pin);
            }
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.slot
    }

    /// Where it begins in the file.
    pub(super) fn offset(&self) -> u64 {
        u64::from(self.slot) * SLICE_BYTES as u64
    }

    pub(super) fn slot(&self) -> Option<&Slot> {
        self.tier.slots.slot(self.slot)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(slot) = self.slot() {
            slot.pins.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl AsFd for Pin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tier.files.slots.as_fd()
    }
}
