//! Invalidation by generation: a purge raises numbers, a lookup compares them with the entry's stamp.
//!
//! An event takes the next number of the edge's own sequence. Its generation is raised *before* the sequence is
//! published, so that whoever reads the new number is after the purge, and whoever reads the old one is stamped
//! too old to be used: a race invalidates too much, never too little.
//! URLs and groups have tables of fixed size, which err to the same side.

use std::sync::atomic::{AtomicU64, Ordering};

use bodega_semantics::key::UrlMarks;
use parking_lot::Mutex;

use crate::generations::{Generations, MAX_NUMBER};

/// Sets of eight places: 65,536 URLs.
const URL_SETS: usize = 1 << 13;
/// 4,096 groups.
const GROUP_SETS: usize = 1 << 9;

/// The generations of one edge. Constant memory (612 KiB), whatever is purged.
pub struct Invalidations {
    sequence: AtomicU64,
    all: AtomicU64,
    /// The highest generation of any URL: entries stamped with it or later need no look at the table.
    newest_url: AtomicU64,
    urls: Generations,
    /// The highest generation of any group, and those of the groups.
    newest_group: AtomicU64,
    groups: Generations,
    writer: Mutex<()>,
}

impl Default for Invalidations {
    fn default() -> Self {
        Self::new()
    }
}

impl Invalidations {
    /// Nothing invalidated; the sequence begins at 1.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sequence: AtomicU64::new(1),
            all: AtomicU64::new(0),
            newest_url: AtomicU64::new(0),
            urls: Generations::new(URL_SETS),
            newest_group: AtomicU64::new(0),
            groups: Generations::new(GROUP_SETS),
            writer: Mutex::new(()),
        }
    }

    /// The number of the last applied event: the stamp of a request that begins now.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Whether something stamped `stamp` under `marks` may still be used.
    #[inline]
    #[must_use]
    pub fn allows(&self, stamp: u64, marks: &UrlMarks) -> bool {
        stamp >= self.all.load(Ordering::Acquire)
            && (stamp >= self.newest_url.load(Ordering::Acquire)
                || (stamp >= self.urls.of(marks.path) && stamp >= self.urls.of(marks.url)))
    }

    /// Whether no group at all has been invalidated since `stamp`: then nobody needs to know the groups of anything.
    #[inline]
    #[must_use]
    pub fn allows_every_group(&self, stamp: u64) -> bool {
        stamp >= self.newest_group.load(Ordering::Acquire)
    }

    /// Whether something stamped `stamp` may still be used, as far as the group of this `mark` is concerned.
    #[must_use]
    pub fn allows_group(&self, stamp: u64, mark: u64) -> bool {
        stamp >= self.groups.of(mark)
    }

    /// Invalidates what is of the group of this `mark`. Returns the event's number.
    pub fn invalidate_group(&self, mark: u64) -> u64 {
        self.apply(|number| {
            self.groups.raise(mark, number);
            self.newest_group.store(number, Ordering::Release);
        })
    }

    /// Invalidates everything. Returns the event's number.
    pub fn invalidate_all(&self) -> u64 {
        self.apply(|number| self.all.store(number, Ordering::Release))
    }

    /// Invalidates what carries `mark` as path or URL identity. Returns the event's number.
    pub fn invalidate_mark(&self, mark: u64) -> u64 {
        self.apply(|number| {
            self.urls.raise(mark, number);
            self.newest_url.store(number, Ordering::Release);
        })
    }

    fn apply(&self, raise: impl FnOnce(u64)) -> u64 {
        let _one_at_a_time = self.writer.lock();
        let number = self.sequence.load(Ordering::Relaxed) + 1;
        raise(number);
        if number >= MAX_NUMBER {
            // The tables hold no larger numbers.
            self.all.store(number, Ordering::Release);
        }
        self.sequence.store(number, Ordering::Release);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: UrlMarks = UrlMarks { path: 1, url: 2 };
    const OTHER: UrlMarks = UrlMarks { path: 3, url: 4 };

    #[test]
    fn a_purge_reaches_what_began_before_it_and_nothing_else() {
        let invalidations = Invalidations::new();
        let before = invalidations.sequence();
        assert!(invalidations.allows(before, &ONE));
        invalidations.invalidate_mark(ONE.url);
        assert!(!invalidations.allows(before, &ONE));
        assert!(invalidations.allows(before, &OTHER));
        assert!(invalidations.allows(invalidations.sequence(), &ONE));
    }

    #[test]
    fn a_purge_of_a_path_reaches_all_its_queries() {
        let invalidations = Invalidations::new();
        let before = invalidations.sequence();
        invalidations.invalidate_mark(ONE.path);
        assert!(!invalidations.allows(before, &UrlMarks { path: ONE.path, url: 99 }));
    }

    #[test]
    fn a_group_is_told_from_urls_and_from_other_groups() {
        let invalidations = Invalidations::new();
        let before = invalidations.sequence();
        assert!(invalidations.allows_every_group(before));
        invalidations.invalidate_group(ONE.path);
        assert!(!invalidations.allows_every_group(before));
        assert!(!invalidations.allows_group(before, ONE.path));
        assert!(invalidations.allows_group(before, ONE.url));
        assert!(invalidations.allows(before, &ONE));
        assert!(invalidations.allows_every_group(invalidations.sequence()));
    }

    #[test]
    fn a_purge_of_everything_reaches_everything() {
        let invalidations = Invalidations::new();
        let before = invalidations.sequence();
        assert_eq!(invalidations.invalidate_all(), before + 1);
        assert!(!invalidations.allows(before, &OTHER));
    }
}
