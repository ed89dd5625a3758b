//! Brings to disk what memory alone holds and somebody has asked for again: now and then, when it is let go, and before a
//! clean stop.

use std::sync::Arc;
use std::time::Duration;

use bodega_store::disk::{Disk, Offered};
use bodega_store::entry::Kind;
use bodega_store::invalidate::event::Verdict;
use bodega_store::{Entry, Invalidations};

use crate::edge::Edge;

/// How many entries are looked at in one step.
const STEP: usize = 1024;

impl Edge {
    /// Sees to it that what memory lets go for room is on disk, if it is worth it.
    pub(crate) fn keep_what_is_let_go(&self) {
        if let Some(disk) = &self.disk {
            let (disk, invalidations) = (Arc::clone(disk), Arc::clone(&self.invalidations));
            self.memory.set_on_evict(Box::new(move |entry| bring(&disk, &invalidations, entry)));
        }
    }

    /// Looks at some entries from a place on, and brings to disk those that are worth it. Returns where to go on.
    pub fn keep_some(&self, from: usize) -> usize {
        let Some(disk) = self.disk() else { return 0 };
        self.memory.sweep(from, STEP, &mut |entry| bring(disk, &self.invalidations, entry)).unwrap_or(0)
    }

    /// Brings everything to disk that is worth it, and waits for that. False if it took longer than `wait`.
    pub fn keep_all(&self, wait: Duration) -> bool {
        let Some(disk) = self.disk() else { return true };
        let mut from = Some(0);
        while let Some(place) = from {
            from = self.memory.sweep(place, STEP, &mut |entry| bring(disk, &self.invalidations, entry));
        }
        disk.flush(wait)
    }
}

fn bring(disk: &Disk, invalidations: &Invalidations, entry: &Entry) {
    let _storing = invalidations.storing();
    let is_behind = entry.is_ahead_of_disk();
    let is_worth_it = entry.was_asked_for() && entry.kind != Kind::Uncacheable && !entry.is_on_disk();
    if (is_behind || (is_worth_it && !disk.holds(entry.key)))
        && invalidations.allows(entry) != Verdict::Gone
        && disk.offer(entry, true) == Offered::Queued
    {
        // A disk that is busy has the next round, or does without.
        entry.set_ahead_of_disk(false);
    }
}
