//! Whether what is stored may be used, as far as invalidations go: asked by everybody who finds something.

use bodega_semantics::Timestamp;
use bodega_semantics::storable::Terms;
use bodega_store::Entry;
use bodega_store::entry::NewEntry;
use bodega_store::invalidate::event::Verdict;

use crate::edge::Edge;

impl Edge {
    /// `entry`, or what an invalidation has made of it: the same, stale, if that was soft. `None` if it may not be used
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
        let Verdict::Stale { since, checked } = verdict else {
            self.remove(entry);
            return None;
        };
        let stale = softened(entry, since, self.now());
        stale.set_checked(checked);
        self.memory.replace(entry, stale.clone());
        Some(stale)
    }
}

/// Entries never change: one that expired then takes its place, and is not examined for the same again. Stale windows
/// count from there, and `must-revalidate` forbids them as ever.
pub(crate) fn softened(entry: &Entry, since: Timestamp, now: Timestamp) -> Entry {
    // Not later than now, should the clock have been set back.
    let terms = Terms { expires: entry.terms.expires.min(since).min(now), ..entry.terms };
    entry.with_head(&NewEntry { terms, note: &entry.note().softened(), ..entry.parts() })
}
