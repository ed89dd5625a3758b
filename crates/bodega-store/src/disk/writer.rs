//! The writing thread: takes what waits, writes it, and then lets it be found.

use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::Key;

use super::counters::add;
use super::format::{SLOT_HEADER_BYTES, SlotHeader};
use super::objects::{NO_SLOT, Object};
use super::queue::Job;
use super::segments::Log;
use super::slots::{self, Taken};
use super::system;
use super::tier::Tier;
use crate::slice::{SLICE_BYTES, Slice};

/// Writes until the tier is closed and nothing waits any more.
pub(super) fn run(tier: &Arc<Tier>, log: Log) {
    let mut writer = Writer { log, removals: Vec::new() };
    loop {
        let (job, is_over) = tier.queue.pop(Duration::ZERO);
        let Some(job) = job else {
            // Nothing waits: what was gathered is written now.
            writer.log.flush(tier);
            if is_over {
                return;
            }
            let (job, _) = tier.queue.pop(IDLE);
            if let Some(job) = job {
                writer.work(tier, job);
            }
            continue;
        };
        writer.work(tier, job);
    }
}

struct Writer {
    log: Log,
    /// What is gone and could not be written down yet.
    removals: Vec<(Key, u32)>,
}

impl Writer {
    fn work(&mut self, tier: &Arc<Tier>, job: Job) {
        let is_up = tier.health.is_up();
        if is_up && !self.removals.is_empty() {
            for (key, ticket) in std::mem::take(&mut self.removals) {
                self.log.append_removal(tier, key, ticket);
            }
        }
        match &job {
            Job::Record { entry, ticket } => {
                if !is_up || !self.log.append(tier, entry, *ticket) {
                    tier.drop_record(entry.key, *ticket);
                    tier.queue.settle();
                }
            }
            Job::Removal { key, ticket } => {
                if !(is_up && self.log.append_removal(tier, *key, *ticket)) && self.removals.len() < MAX_REMOVALS {
                    self.removals.push((*key, *ticket));
                }
            }
            Job::Slice { object, slice, bytes } => {
                if !is_up || !self.write_slice(tier, object, *slice, bytes) {
                    object.dequeue(*slice, NO_SLOT);
                    tier.counters.dropped(1);
                }
            }
            Job::Free(object) => {
                let present: Vec<_> = object.present().collect();
                for (slice, slot) in present {
                    if object.change(slice, slot, NO_SLOT) {
                        tier.slots.release(slot, object.number, slice);
                    }
                }
            }
            Job::Bad { slot, object, slice } => {
                if tier.slots.release(*slot, *object, *slice) {
                    self.clear(tier, *slot);
                }
            }
            Job::Shrink => {
                // From whoever has more, if that can give one.
                let has_more_slots = tier.slots.n_extents() > self.log.n_allocated();
                let is_given = has_more_slots && tier.give_up_extent();
                if !is_given && !self.log.give_up_one(tier) {
                    tier.give_up_extent();
                }
            }
            Job::Mark(mark) => {
                self.log.flush(tier);
                tier.queue.pass(*mark);
            }
        }
        tier.queue.done(&job);
    }

    fn write_slice(&mut self, tier: &Arc<Tier>, object: &Arc<Object>, slice: u32, bytes: &Slice) -> bool {
        if !tier.objects.has(object) {
            return false;
        }
        let Some(slot) = self.take_slot(tier) else { return false };
        let bytes = bytes.filled();
        let at = u64::from(slot) * SLICE_BYTES as u64;
        // The slot holds nothing while it is written, and pages that are still being sent are not written over.
        let is_detached = tier.slots.slot(slot).is_none_or(|slot| !slot.take_sent())
            || match system::detach(&tier.files.slots, at, SLICE_BYTES as u64) {
                Ok(is_detached) => is_detached,
                Err(error) => {
                    tier.write_failed(&error);
                    false
                }
            };
        if !is_detached {
            // It is lost until the next start, which is better than a wrong byte.
            return false;
        }
        let sums = slots::sums(bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let header = SlotHeader {
            slot,
            object: object.number,
            key: object.key,
            body_bytes: object.n_bytes,
            slice,
            length,
            sums,
        };
        let table_at = u64::from(slot) * SLOT_HEADER_BYTES as u64;
        let is_written = self.clear(tier, slot)
            && tier.write(&tier.files.slots, bytes, at)
            && tier.write(&tier.files.table, &header.encode(), table_at);
        if !is_written {
            tier.slots.add_free(std::iter::once(slot));
            return false;
        }
        add(&tier.counters.n_writes, 1);
        add(&tier.counters.slice_bytes_admitted, bytes.len() as u64);
        add(&tier.counters.slice_bytes_written, (bytes.len() + 2 * SLOT_HEADER_BYTES) as u64);
        tier.slots.fill(slot, object, slice, &sums, true);
        object.dequeue(slice, slot);
        true
    }

    /// Says on disk that a slot holds nothing.
    fn clear(&mut self, tier: &Tier, slot: u32) -> bool {
        tier.write(&tier.files.table, &[0; SLOT_HEADER_BYTES], u64::from(slot) * SLOT_HEADER_BYTES as u64)
    }

    /// A free slot, from whoever has to give one.
    fn take_slot(&mut self, tier: &Arc<Tier>) -> Option<u32> {
        for _ in 0..MAX_TRIES {
            if let Some(slot) = tier.slots.take_free() {
                return Some(slot);
            }
            let is_below_floor = tier.slots.n_extents() < tier.least_units();
            let n_segments = self.log.n_allocated();
            if tier.grow_slots(n_segments)
                || is_below_floor
                    && n_segments > tier.least_units()
                    && self.log.give_up_one(tier)
                    && tier.grow_slots(self.log.n_allocated())
            {
                continue;
            }
            match tier.slots.evict() {
                Taken::Evicted(slot, object) => {
                    tier.lost_a_slice(&object);
                    if slot != NO_SLOT {
                        return Some(slot);
                    }
                }
                Taken::None => return None,
            }
        }
        None
    }
}

/// How long the thread sleeps when there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);
/// What is gone and could not be written down is forgotten beyond this; the next start may find it again.
const MAX_REMOVALS: usize = 1 << 16;
/// Slots whose slices leave while they are read, before a slice is dropped.
const MAX_TRIES: usize = 64;
