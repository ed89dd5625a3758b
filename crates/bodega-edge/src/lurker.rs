//! Walks over what is stored, behind the requests: takes out what has been forgotten, so that its room is free, and ends
//! pattern rules that everything has been tested against.
//!
//! What it examines needs no look at the same invalidations again, so that a table of marks which overflows harms only
//! what changes faster than the walk comes round. Memory is walked after any invalidation. The disk is walked while there
//! are rules, which is all that needs it: what is forgotten there is asked for by nobody, and evicted first.

use std::time::Duration;

use bodega_semantics::Key;
use bodega_store::Entry;
use bodega_store::disk::{Disk, Offered};
use bodega_store::invalidate::event::Verdict;

use crate::edge::Edge;
use crate::usable;

/// Where a walk is.
#[derive(Default)]
pub struct Lurker {
    stage: Stage,
    /// The number that had been applied when the walk began.
    began: u64,
    /// The same of the last walk that came to its end.
    done: u64,
    /// Something on disk could not be examined.
    is_incomplete: bool,
    /// The stamps on the disk are known.
    has_heeded_disk: bool,
}

#[derive(Default)]
enum Stage {
    #[default]
    Rests,
    Memory(usize),
    Disk(u64),
}

/// What a step of the walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to do until something is invalidated.
    Rests,
    /// Entries in memory were examined; there is more to do.
    Memory,
    /// So many bytes were read from disk; there is more to do.
    Disk(u64),
}

/// Entries in memory, and keys on disk, of one step.
const STEP: usize = 512;
const DISK_STEP: usize = 32;
/// A disk that does not answer in this time has not been examined.
const LOAD_WAIT: Duration = Duration::from_secs(10);

impl Edge {
    /// Goes a step. For a thread that may wait.
    pub fn lurk(&self, lurker: &mut Lurker) -> Step {
        if let Some(disk) = self.disk().filter(|disk| !lurker.has_heeded_disk && disk.is_recovered()) {
            self.invalidations.heed_stored(disk.newest_stamp(), self.now());
            lurker.has_heeded_disk = true;
        }
        match lurker.stage {
            Stage::Rests if self.invalidations.sequence() == lurker.done => Step::Rests,
            Stage::Rests => {
                lurker.began = self.invalidations.sequence();
                lurker.is_incomplete = false;
                lurker.stage = Stage::Memory(0);
                Step::Memory
            }
            Stage::Memory(place) => {
                let has_rules = self.invalidations.has_rules_up_to(lurker.began);
                let next = self.memory.sweep(place, STEP, &mut |entry| self.examine(entry, has_rules));
                lurker.stage = match next {
                    Some(place) => Stage::Memory(place),
                    None if self.disk().is_some() && has_rules => {
                        // What was checked before it all could be reached is on its way to disk no more.
                        self.invalidations.wait_for_storing();
                        lurker.is_incomplete |= !self.disk().is_some_and(|disk| disk.flush(LOAD_WAIT));
                        Stage::Disk(0)
                    }
                    None => self.end(lurker),
                };
                Step::Memory
            }
            Stage::Disk(cursor) => {
                let Some(disk) = self.disk() else { return Step::Rests };
                let (keys, next) = disk.keys(cursor, DISK_STEP);
                let n_bytes = keys.into_iter().map(|key| self.examine_on_disk(disk, key, lurker)).sum();
                lurker.is_incomplete |= !disk.is_recovered() || !disk.is_up();
                lurker.stage = next.map_or_else(|| self.end(lurker), Stage::Disk);
                Step::Disk(n_bytes)
            }
        }
    }

    /// Whether more is invalidated than the walk keeps up with: it should hurry.
    #[must_use]
    pub fn lurker_is_late(&self, lurker: &Lurker) -> bool {
        let n_since = self.invalidations.sequence().saturating_sub(lurker.done);
        n_since > HURRY_NUMBERS || self.invalidations.n_rules() > HURRY_RULES
    }

    fn end(&self, lurker: &mut Lurker) -> Stage {
        lurker.done = lurker.began;
        if self.disk().is_none() || (self.invalidations.has_rules_up_to(lurker.began) && !lurker.is_incomplete) {
            // What fills under way bring has not been examined: their rules stay.
            let oldest = self.collapse.oldest_stamp().unwrap_or(u64::MAX);
            self.invalidations.retire_rules(lurker.began, lurker.began.min(oldest));
        }
        Stage::Rests
    }

    fn examine(&self, entry: &Entry, has_rules: bool) {
        match self.invalidations.allows(entry) {
            Verdict::Usable => {}
            Verdict::Gone => self.remove(entry),
            // What a rule has made stale has to say so itself before the rule ends. All else waits until it is asked
            // for: a copy takes its place, of which the eviction knows nothing yet.
            Verdict::Stale { .. } if has_rules => drop(self.usable(entry.clone())),
            Verdict::Stale { .. } => {}
        }
    }

    /// Returns how much was read.
    fn examine_on_disk(&self, disk: &Disk, key: Key, lurker: &mut Lurker) -> u64 {
        match self.load_within(key, LOAD_WAIT) {
            Some(entry) => {
                match self.invalidations.allows(&entry) {
                    Verdict::Usable => {}
                    Verdict::Gone => disk.remove(key),
                    // It says so itself from now on.
                    Verdict::Stale { since, has_windows, .. } => {
                        let stale = usable::stale(&entry, since, has_windows, self.now());
                        lurker.is_incomplete |= disk.offer(&stale, true) != Offered::Queued;
                    }
                }
                entry.size_bytes()
            }
            None => {
                lurker.is_incomplete |= disk.holds(key);
                0
            }
        }
    }
}

/// A quarter of the places of a table.
const HURRY_NUMBERS: u64 = 1 << 16;
const HURRY_RULES: usize = 192;
