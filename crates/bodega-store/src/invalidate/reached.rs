//! Numbers by force: what has been raised, and what of it reaches an entry.

use std::sync::atomic::{AtomicU64, Ordering};

use super::event::Force;
use super::generations::Generations;
use super::log_format::{Take, put};

/// The highest numbers of each force that reach something; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached([u64; N_FORCES]);

const N_FORCES: usize = Force::ALL.len();

impl Reached {
    pub(super) fn add(&mut self, force: Force, number: u64) {
        let of = &mut self.0[force as usize];
        *of = number.max(*of);
    }

    pub(super) fn join(&mut self, other: Self) {
        Force::ALL.into_iter().for_each(|force| self.add(force, other.by(force)));
    }

    /// The highest number of one force.
    pub(super) const fn by(self, force: Force) -> u64 {
        self.0[force as usize]
    }

    /// The highest of any.
    pub(super) fn highest(self) -> u64 {
        self.0.into_iter().fold(0, u64::max)
    }
}

/// The highest number of each force of any kind of target: whoever knows these needs no look at the rest.
#[derive(Default)]
pub(super) struct Newest([AtomicU64; N_FORCES]);

impl Newest {
    pub(super) fn raise(&self, force: Force, number: u64) {
        self.0[force as usize].fetch_max(number, Ordering::Release);
    }

    pub(super) fn get(&self) -> Reached {
        Reached(std::array::from_fn(|force| self.0[force].load(Ordering::Acquire)))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.get().0.into_iter().for_each(|number| put(out, number));
    }

    pub(super) fn restore(&self, take: &mut Take<'_>) -> Option<()> {
        for force in Force::ALL {
            self.raise(force, take.u64()?);
        }
        Some(())
    }

    #[inline]
    pub(super) fn highest(&self) -> u64 {
        self.get().highest()
    }
}

/// The targets of one kind that have marks.
pub(super) struct Marks {
    newest: Newest,
    table: Generations,
}

/// Tell the other numbers of a mark from its hard one in the same table.
const SOFT: u64 = 0x9e37_79b9_7f4a_7c15;
const REVALIDATE: u64 = 0xc2b2_ae3d_27d4_eb4f;

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
        if newest.highest() <= known {
            return reached;
        }
        for mark in marks {
            for force in Force::ALL {
                if newest.by(force) > known {
                    // What has left the table counts as raised by any force: a set has one floor.
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
        Force::Revalidate => mark ^ REVALIDATE,
    }
}
