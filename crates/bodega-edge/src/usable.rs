//! Whether what is stored may be used, as far as invalidations go: asked by everybody who finds something.

use bodega_semantics::Timestamp;
use bodega_semantics::storable::Terms;
use bodega_store::entry::NewEntry;
use bodega_store::invalidate::event::Verdict;
use bodega_store::{Entry, Note};

use crate::edge::Edge;

impl Edge {
    /// `entry`, or what an invalidation has made of it: the same, stale, if that was not hard. `None` if it may not be used
    /// in any way; it is gone then.
    #[inline]
    pub(crate) fn usable(&self, entry: Entry) -> Option<Entry> {
        match self.invalidations.allows(&entry) {
            Verdict::Usable => Some(entry),
            verdict => self.invalidated(&entry, verdict),
        }
    }

    /// Whether `entry` may be used in some way.
    pub(crate) fn may_use(&self, entry: &Entry) -> bool {
        self.invalidations.allows(entry) != Verdict::Gone
    }

    /// Whether no invalidation has reached `entry`.
    pub(crate) fn is_untouched(&self, entry: &Entry) -> bool {
        self.invalidations.allows(entry) == Verdict::Usable
    }

    #[cold]
    fn invalidated(&self, entry: &Entry, verdict: Verdict) -> Option<Entry> {
        let Verdict::Stale { since, checked, has_windows } = verdict else {
            self.remove(entry);
            return None;
        };
        let stale = stale(entry, since, has_windows, self.now());
        stale.set_checked(checked);
        self.memory.replace(entry, stale.clone());
        Some(stale)
    }
}

/// Entries never change: one that expired then takes its place, and is not examined for the same again. Stale windows
/// count from there, and `must-revalidate` forbids them as ever; where there are none, that is what it says from now on.
pub(crate) fn stale(entry: &Entry, since: Timestamp, has_windows: bool, now: Timestamp) -> Entry {
    // Not later than now, should the clock have been set back.
    let expires = entry.terms.expires.min(since).min(now);
    let terms = Terms { expires, must_revalidate: entry.terms.must_revalidate || !has_windows, ..entry.terms };
    let softened = entry.note().softened();
    let note = if has_windows { softened } else { Note(&softened).unconfirmed() };
    entry.with_head(&NewEntry { terms, note: &note, ..entry.parts() })
}
