//! Numbers by force: what has been raised, and what of it reaches an entry.

use std::sync::atomic::{AtomicU64, Ordering};

use super::event::Force;
use super::generations::Generations;
use super::log_format::{Take, put};

/// The highest numbers of each force that reach something; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) hard: u64,
    pub(super) soft: u64,
}

impl Reached {
    pub(super) fn add(&mut self, force: Force, number: u64) {
        match force {
            Force::Hard => self.hard = self.hard.max(number),
            Force::Soft => self.soft = self.soft.max(number),
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        self.hard = self.hard.max(other.hard);
        self.soft = self.soft.max(other.soft);
    }
}

/// The highest number of each force of any kind of target: whoever knows these needs no look at the rest.
#[derive(Default)]
pub(super) struct Newest {
    hard: AtomicU64,
    soft: AtomicU64,
}

impl Newest {
    pub(super) fn raise(&self, force: Force, number: u64) {
        let of = match force {
            Force::Hard => &self.hard,
            Force::Soft => &self.soft,
        };
        of.fetch_max(number, Ordering::Release);
    }

    pub(super) fn get(&self) -> Reached {
        Reached { hard: self.hard.load(Ordering::Acquire), soft: self.soft.load(Ordering::Acquire) }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Reached { hard, soft } = self.get();
        put(out, hard);
        put(out, soft);
    }

    pub(super) fn restore(&self, take: &mut Take<'_>) -> Option<()> {
        self.raise(Force::Hard, take.u64()?);
        self.raise(Force::Soft, take.u64()?);
        Some(())
    }

    #[inline]
    pub(super) fn highest(&self) -> u64 {
        let Reached { hard, soft } = self.get();
        hard.max(soft)
    }
}

/// The targets of one kind that have marks.
pub(super) struct Marks {
    newest: Newest,
    table: Generations,
}

/// Tells the soft number of a mark from its hard one in the same table.
const SOFT: u64 = 0x9e37_79b9_7f4a_7c15;

impl Marks {
    pub(super) fn new(n_sets: usize) -> Self {
        Self { newest: Newest::default(), table: Generations::new(n_sets) }
    }

    pub(super) fn raise(&self, mark: u64, force: Force, number: u64) {
        self.table.raise(in_table(mark, force), number);
        self.newest.raise(force, number);
    }

    pub(super) const fn newest(&self) -> &Newest {
        &self.newest
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.newest.write(out);
        self.table.write(out);
    }

    pub(super) fn restore(&self, take: &mut Take<'_>) -> Option<()> {
        self.newest.restore(take)?;
        self.table.restore(take)
    }

    /// The numbers that any of `marks` has been raised to, as far as they matter to who knows all up to `known`. The
    /// marks are not even made if none does.
    pub(super) fn reached(&self, known: u64, marks: impl Iterator<Item = u64>) -> Reached {
        let mut reached = Reached::default();
        let newest = self.newest.get();
        if newest.hard.max(newest.soft) <= known {
            return reached;
        }
        for mark in marks {
            for (force, newest) in [(Force::Hard, newest.hard), (Force::Soft, newest.soft)] {
                if newest > known {
                    // What has left the table counts as raised by either force: a set has one floor.
                    reached.add(force, self.table.of(in_table(mark, force)));
                }
            }
        }
        reached
    }
}

const fn in_table(mark: u64, force: Force) -> u64 {
    match force {
        Force::Hard => mark,
        Force::Soft => mark ^ SOFT,
    }
}
