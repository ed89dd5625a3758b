//! Whether the disk is well.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::tier::Tier;

/// So many errors in a row, and nothing is asked of the disk any more.
const MAX_ERRORS: u32 = 5;
/// A read that takes so long counts as one that failed, even if it comes: whoever wanted it could have had it from the
/// origin.
const LATE: Duration = Duration::from_millis(250);

/// Up until errors say otherwise.
pub(super) struct Health {
    is_up: AtomicBool,
    reason: Mutex<Option<String>>,
    reads_failed: AtomicU32,
    writes_failed: AtomicU32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            is_up: AtomicBool::new(true),
            reason: Mutex::new(None),
            reads_failed: AtomicU32::new(0),
            writes_failed: AtomicU32::new(0),
        }
    }
}

impl Health {
    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    pub(super) fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }

    /// A read came, after so long.
    pub(super) fn read_came(&self, tier: &Tier, after: Duration) {
        if after < LATE {
            worked(&self.reads_failed);
        } else {
            self.read_is_late(tier);
        }
    }

    /// A read that is too late, or has not come at all so far.
    pub(super) fn read_is_late(&self, tier: &Tier) {
        self.failed(tier, &self.reads_failed, "reading", &io::ErrorKind::TimedOut.into());
    }

    pub(super) fn write_worked(&self) {
        worked(&self.writes_failed);
    }

    pub(super) fn read_failed(&self, tier: &Tier, error: &io::Error) {
        self.failed(tier, &self.reads_failed, "reading", error);
    }

    pub(super) fn write_failed(&self, tier: &Tier, error: &io::Error) {
        self.failed(tier, &self.writes_failed, "writing", error);
    }

    fn failed(&self, tier: &Tier, in_a_row: &AtomicU32, what: &str, error: &io::Error) {
        if in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_ERRORS {
            self.turn_off(tier, format!("{what} failed {MAX_ERRORS} times in a row: {error}"));
        }
    }

    /// Nothing is asked of the disk until it is well.
    pub(super) fn turn_off(&self, tier: &Tier, reason: String) {
        let mut held = self.reason.lock();
        if self.is_up.swap(false, Ordering::SeqCst) {
            let message = format!(
                "{}: the disk tier is off, the edge goes on without it ({reason}); it is tried again every few seconds",
                tier.path.display()
            );
            *held = Some(reason);
            drop(held);
            tier.tell(true, message);
        } else {
            *held = Some(reason);
        }
    }

    /// It is well.
    pub(super) fn turn_on(&self, tier: &Tier) {
        self.reads_failed.store(0, Ordering::Relaxed);
        self.writes_failed.store(0, Ordering::Relaxed);
        *self.reason.lock() = None;
        if !self.is_up.swap(true, Ordering::SeqCst) {
            tier.tell(false, format!("{}: the disk tier is on again", tier.path.display()));
        }
    }
}

fn worked(in_a_row: &AtomicU32) {
    if in_a_row.load(Ordering::Relaxed) != 0 {
        in_a_row.store(0, Ordering::Relaxed);
    }
}
