//! A body on disk, by slice.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::READ_BYTES;
use super::format::BLOCK_BYTES;
use super::objects::{NO_SLOT, Object, slice_bytes};
use super::queue::Job;
use super::slots::Pin;
use super::system;
use super::tier::Tier;
use super::types::{FileNow, FileRange, Read};
use crate::slice::{SLICE_BYTES, Slice};

/// A body on disk. What of it is there changes at any time; what it is never does.
pub struct DiskBody {
    tier: Arc<Tier>,
    object: Arc<Object>,
    /// The slice that was last counted as asked for: not each of its pieces counts.
    counted: AtomicU32,
}

/// A slice that waits to be written, as bytes.
struct Waiting(Arc<Slice>);

impl AsRef<[u8]> for Waiting {
    fn as_ref(&self) -> &[u8] {
        self.0.filled()
    }
}

/// A range within a slice.
struct Range {
    slice: u32,
    /// From the beginning of the slice.
    from: usize,
    to: usize,
    /// How much of the slice is wanted, if not now.
    wanted: usize,
    /// Whether the next slice is wanted as well.
    goes_on: bool,
    slice_bytes: usize,
}

impl DiskBody {
    pub(super) fn new(tier: Arc<Tier>, object: Arc<Object>) -> Self {
        Self { tier, object, counted: AtomicU32::new(u32::MAX) }
    }

    pub(super) fn shared(&self) -> &Arc<Object> {
        &self.object
    }

    pub(super) fn tier(&self) -> &Arc<Tier> {
        &self.tier
    }

    /// Its length.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.object.n_bytes
    }

    /// The number that no other body of this store has.
    #[must_use]
    pub fn object(&self) -> u64 {
        self.object.number
    }

    /// How many slices it is cut into: of `SLICE_BYTES`, but for the last.
    #[must_use]
    pub fn n_slices(&self) -> u32 {
        self.object.n_slices()
    }

    /// Whether a slice is there, or waits to be written and can be read meanwhile.
    #[must_use]
    pub fn has(&self, slice: u32) -> bool {
        self.tier.is_open() && self.object.slot(slice) != NO_SLOT
    }

    /// Whether the tier knows nothing of it any more, as when its last slice had to go.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.tier.is_closed() || !self.tier.objects.has(&self.object)
    }

    /// Whether every slice is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.tier.is_open() && self.object.is_whole()
    }

    /// Queues a whole slice to be written. False: it was dropped.
    pub fn put(&self, slice: u32, bytes: Arc<Slice>) -> bool {
        let tier = &self.tier;
        if slice_bytes(self.n_bytes(), slice).map(|n_bytes| n_bytes as usize) != Some(bytes.filled().len()) {
            return false;
        }
        if !tier.is_open() || !tier.objects.has(&self.object) {
            tier.counters.dropped(1);
            return false;
        }
        if !self.object.enqueue(slice, &bytes) {
            return true;
        }
        let object = Arc::clone(&self.object);
        let is_queued = tier.queue.push(|_| Job::Slice { object, slice, bytes });
        if !is_queued {
            self.object.dequeue(slice, NO_SLOT);
            tier.counters.dropped(1);
        }
        is_queued
    }

    /// Bytes at `at` up to `end`, at most to the end of the slice and `READ_BYTES`, without waiting.
    #[must_use]
    pub fn try_read(&self, at: u64, end: u64) -> Read {
        if let Some(bytes) = self.queued(at, end) {
            return Read::Bytes(bytes);
        }
        let Some((range, pin)) = self.find(at, end) else { return Read::Missing };
        if self.counted.swap(range.slice, Ordering::Relaxed) != range.slice
            && let Some(slot) = pin.slot()
        {
            slot.count_hit();
        }
        read_pinned(&self.tier, &self.object, &range, &pin, false)
    }

    /// The same by a reading thread; never `Read::Wait`.
    pub fn read(&self, at: u64, end: u64, done: Box<dyn FnOnce(Read) + Send>) {
        if let Some(bytes) = self.queued(at, end) {
            return done(Read::Bytes(bytes));
        }
        let Some((range, pin)) = self.find(at, end) else { return done(Read::Missing) };
        let (tier, object) = (Arc::clone(&self.tier), Arc::clone(&self.object));
        self.tier.counters.waits(1);
        self.tier.read_later(Box::new(move |may_wait| {
            if !may_wait {
                return done(Read::Missing);
            }
            will_need(&tier, &range, &pin);
            done(read_pinned(&tier, &object, &range, &pin, true));
            read_ahead(&tier, &object, &range);
        }));
    }

    /// For `sendfile`: bytes at `at` up to `end`, at most to the end of the slice, if they are checked and in memory.
    #[must_use]
    pub fn try_file(&self, at: u64, end: u64) -> FileNow {
        if !self.tier.can_detach() {
            return FileNow::Unsupported;
        }
        let Some((range, pin)) = self.find_up_to(at, end, SLICE_BYTES) else {
            return if self.queued(at, end).is_some() { FileNow::Unsupported } else { FileNow::Missing };
        };
        let Some(slot) = pin.slot() else { return FileNow::Missing };
        let offset = pin.offset() + range.from as u64;
        let n_bytes = (range.to - range.from) as u64;
        if !slot.is_checked(range.blocks()) || !system::is_in_memory(&self.tier.files.slots, offset, n_bytes) {
            return FileNow::Wait;
        }
        if self.counted.swap(range.slice, Ordering::Relaxed) != range.slice {
            slot.count_hit();
        }
        slot.mark_sent();
        self.tier.counters.reads(1, n_bytes);
        FileNow::Ready(FileRange { pin, offset, n_bytes })
    }

    /// Checks the bytes at `at` up to `end`, at most to the end of the slice, and brings them into memory. False: they
    /// are missing.
    pub fn prepare(&self, at: u64, end: u64, done: Box<dyn FnOnce(bool) + Send>) {
        let Some((range, pin)) = self.find_up_to(at, end, SLICE_BYTES) else { return done(false) };
        let (tier, object) = (Arc::clone(&self.tier), Arc::clone(&self.object));
        self.tier.counters.waits(1);
        self.tier.read_later(Box::new(move |may_wait| {
            let is_there = may_wait && bring(&tier, &object, &range, &pin);
            done(is_there);
            if is_there {
                read_ahead(&tier, &object, &range);
            }
        }));
    }

    /// Says that somebody has given up waiting for a read, as `Disk::gave_up` does.
    pub fn gave_up(&self) {
        self.tier.health.read_is_late(&self.tier);
    }

    /// What of a slice that waits to be written is at `at`, without a copy.
    fn queued(&self, at: u64, end: u64) -> Option<Bytes> {
        let slice = u32::try_from(at / SLICE_BYTES as u64).ok()?;
        let bytes = self.object.queued(slice).filter(|_| self.tier.is_open())?;
        let start = at / SLICE_BYTES as u64 * SLICE_BYTES as u64;
        let from = usize::try_from(at - start).ok()?;
        let to = usize::try_from(end.checked_sub(start)?).unwrap_or(usize::MAX).min(bytes.filled().len());
        (from < to).then(|| Bytes::from_owner(Waiting(bytes)).slice(from..to))
    }

    fn find(&self, at: u64, end: u64) -> Option<(Range, Pin)> {
        self.find_up_to(at, end, READ_BYTES as usize)
    }

    fn find_up_to(&self, at: u64, end: u64, most: usize) -> Option<(Range, Pin)> {
        if !self.tier.is_open() {
            return None;
        }
        let slice = u32::try_from(at / SLICE_BYTES as u64).ok()?;
        let slice_bytes = slice_bytes(self.n_bytes(), slice)? as usize;
        let start = at / SLICE_BYTES as u64 * SLICE_BYTES as u64;
        let from = usize::try_from(at - start).ok()?;
        let end = usize::try_from(end.checked_sub(start)?).unwrap_or(usize::MAX);
        let wanted = end.min(slice_bytes);
        let to = wanted.min(from + most);
        let range = Range { slice, from, to, wanted, goes_on: end > slice_bytes, slice_bytes };
        (range.from < range.to).then_some(())?;
        Some((range, Pin::of(&self.tier, &self.object, slice)?))
    }
}

/// Reads what was found.
fn read_pinned(tier: &Arc<Tier>, object: &Arc<Object>, range: &Range, pin: &Pin, may_wait: bool) -> Read {
    let read = read_checked(tier, object, range, pin, may_wait);
    if matches!(read, Read::Bytes(_)) {
        tier.counters.reads(1, (range.to - range.from) as u64);
    }
    read
}

/// Whole blocks are checked each time, others are read whole if they never were.
fn read_checked(tier: &Arc<Tier>, object: &Arc<Object>, range: &Range, pin: &Pin, may_wait: bool) -> Read {
    let Some(slot) = pin.slot() else { return Read::Missing };
    let (mut from, mut to) = (range.from, range.to);
    if !slot.is_checked(from / BLOCK_BYTES..from / BLOCK_BYTES + 1) {
        from = from / BLOCK_BYTES * BLOCK_BYTES;
    }
    let last = (to - 1) / BLOCK_BYTES;
    if !slot.is_checked(last..last + 1) {
        to = ((last + 1) * BLOCK_BYTES).min(range.slice_bytes);
    }
    let mut bytes = tier.buffers.take(to - from);
    let offset = pin.offset() + from as u64;
    match tier.read(&tier.files.slots, &mut bytes, to - from, offset, may_wait) {
        Ok(true) => {}
        Ok(false) => return Read::Wait,
        Err(()) => {
            tier.drop_slice(object, range.slice, pin.number());
            return Read::Missing;
        }
    }
    let first = from.div_ceil(BLOCK_BYTES);
    // A last block that is shorter is whole if the slice ends there.
    let end = if to == range.slice_bytes { to } else { to / BLOCK_BYTES * BLOCK_BYTES };
    let whole = first * BLOCK_BYTES..end;
    if !whole.is_empty() && !slot.check(first, &bytes[whole.start - from..whole.end - from]) {
        tier.found_bad_slice(object, range.slice, pin.number());
        return Read::Missing;
    }
    Read::Bytes(Bytes::from_owner(bytes).slice(range.from - from..range.to - from))
}

/// Has what was found in memory, checked. False: it is missing.
fn bring(tier: &Arc<Tier>, object: &Arc<Object>, range: &Range, pin: &Pin) -> bool {
    let Some(slot) = pin.slot() else { return false };
    will_need(tier, range, pin);
    // What was checked since the start needs no copy: it is sent from where it is.
    if slot.is_checked(range.blocks()) {
        let (offset, n_bytes) = (pin.offset() + range.from as u64, range.to - range.from);
        let is_there = tier.wait_for(&tier.files.slots, offset, n_bytes as u64).is_ok();
        if !is_there {
            tier.drop_slice(object, range.slice, pin.number());
        }
        return is_there;
    }
    let most = READ_BYTES as usize;
    let mut from = range.from;
    while from < range.to {
        let piece = Range { from, to: range.to.min((from / most + 1) * most), ..*range };
        from = piece.to;
        if !matches!(read_checked(tier, object, &piece, pin, true), Read::Bytes(_)) {
            return false;
        }
    }
    true
}

/// Has what is wanted of a slice on its way into memory, all at once: who then waits for it piece by piece waits less.
fn will_need(tier: &Tier, range: &Range, pin: &Pin) {
    system::will_need(&tier.files.slots, pin.offset() + range.from as u64, (range.wanted - range.from) as u64);
}

/// Has the next slice on its way into memory, if that is wanted. Nothing of it is pinned: should it leave its slot
/// meanwhile, something else has been read in vain.
fn read_ahead(tier: &Tier, object: &Object, range: &Range) {
    let next = range.slice + 1;
    let slot = object.slot(next);
    if let Some(n_bytes) = slice_bytes(object.n_bytes, next)
        && range.goes_on
        && tier.slots.slot(slot).is_some()
    {
        system::will_need(&tier.files.slots, u64::from(slot) * SLICE_BYTES as u64, n_bytes.into());
    }
}

impl Range {
    /// The blocks that hold it.
    fn blocks(&self) -> std::ops::Range<usize> {
        self.from / BLOCK_BYTES..self.to.div_ceil(BLOCK_BYTES)
    }
}

impl AsFd for FileRange {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pin.as_fd()
    }
}
