//! Who has how much of the tier: segments and extents of slots grow while there is room, and then each goes on with
//! what it has; but each gets its least share, from the other if need be.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::counters::add;
use super::format::SLOT_HEADER_BYTES;
use super::objects::Object;
use super::queue::Job;
use super::tier::Tier;
use super::{segments, system};

/// Each of the two may have this part of the tier, whoever was first.
const LEAST_SHARE: u32 = 8;
/// That is not given back, whatever happens.
const LEAST_EXTENTS: u32 = 1;

/// What stays free where nothing is said: this part of the file system, and no more than this.
const USUAL_RESERVE_SHARE: u64 = 20;
const MAX_USUAL_RESERVE_BYTES: u64 = 10_000_000_000;

impl Tier {
    /// Whether another unit may be taken: within the bound, and without what has to stay free of the file system.
    pub(super) fn may_grow(&self, n_segments: u32) -> bool {
        if n_segments + self.slots.n_extents() >= self.n_units {
            return false;
        }
        match system::space(&self.files.slots) {
            Ok((free, all)) => free >= self.reserve_bytes(all).saturating_add(self.unit_bytes()),
            Err(error) => {
                self.could_not_grow(&error);
                false
            }
        }
    }

    /// If others have filled the file system so far that less is free than has to stay free, a unit is given back.
    pub(super) fn keep_reserve(&self) {
        if system::space(&self.files.slots).is_ok_and(|(free, all)| free < self.reserve_bytes(all)) {
            self.queue.push_small(|_| Job::Shrink);
        }
    }

    /// What stays free of a file system of `all` bytes.
    fn reserve_bytes(&self, all: u64) -> u64 {
        self.options.reserve_bytes.unwrap_or_else(|| (all / USUAL_RESERVE_SHARE).min(MAX_USUAL_RESERVE_BYTES))
    }

    /// The least share of either.
    pub(super) fn least_units(&self) -> u32 {
        (self.n_units / LEAST_SHARE).max(segments::LEAST_SEGMENTS)
    }

    pub(super) fn could_not_grow(&self, error: &io::Error) {
        // A full disk is none that fails: what is there can be read, and written anew.
        if error.kind() != io::ErrorKind::StorageFull {
            self.write_failed(error);
        }
        add(&self.counters.n_errors, 1);
    }

    /// Takes space for another extent of slots.
    pub(super) fn grow_slots(&self, n_segments: u32) -> bool {
        if !self.may_grow(n_segments) {
            return false;
        }
        let at = u64::from(self.slots.n_extents());
        let table_bytes = self.unit_bytes() / crate::slice::SLICE_BYTES as u64 * SLOT_HEADER_BYTES as u64;
        let allocated = system::allocate(&self.files.slots, at * self.unit_bytes(), self.unit_bytes())
            .and_then(|()| system::allocate(&self.files.table, at * table_bytes, table_bytes));
        if let Err(error) = allocated {
            self.could_not_grow(&error);
            return false;
        }
        let Some(slots) = self.slots.add_extent() else { return false };
        self.slots.add_free(slots);
        true
    }

    /// Gives the last extent of slots back. False: there are too few, or one in it is being read.
    pub(super) fn give_up_extent(self: &Arc<Self>) -> bool {
        if self.slots.n_extents() <= LEAST_EXTENTS {
            return false;
        }
        let Some((extent, objects)) = self.slots.remove_extent() else { return false };
        objects.iter().for_each(|object| self.lost_a_slice(object));
        let Some(extent) = extent else { return false };
        let cut = self.files.slots.set_len(u64::from(extent) * self.unit_bytes());
        let n_slots = self.unit_bytes() / crate::slice::SLICE_BYTES as u64;
        let cut = cut.and_then(|()| self.files.table.set_len(u64::from(extent) * n_slots * SLOT_HEADER_BYTES as u64));
        if let Err(error) = cut {
            self.write_failed(&error);
        }
        true
    }

    /// A slice had to go. A body without any is one no more.
    pub(super) fn lost_a_slice(self: &Arc<Self>, object: &Arc<Object>) {
        self.counters.evicted(1);
        if !object.is_empty() || self.objects.take(object.key, object.number).is_none() {
            return;
        }
        if let Some(place) = self.index.take(object.key, |held| !held.is_head) {
            if !place.is_pending() {
                self.live_record_bytes.fetch_sub(u64::from(place.length), Ordering::Relaxed);
            }
            self.pending.lock().remove(&object.key);
        }
        self.remember(object.key, object.n_bytes);
    }
}
