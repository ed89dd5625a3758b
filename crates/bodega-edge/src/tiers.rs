//! Memory and disk as one store: where an entry is looked for, put, and taken out.
//!
//! Memory is asked first. What the disk's index names is read without waiting where the system has it at hand; else the
//! step `load` waits for it.

use std::sync::mpsc;
use std::time::Duration;

use bodega_semantics::{Key, partial};
use bodega_store::Entry;
use bodega_store::disk::{Disk, Offered, TryLoad};
use bodega_store::entry::Kind;
use tokio::sync::oneshot;

use crate::disk_wait::in_time;
use crate::edge::Edge;
use crate::exchange::Exchange;
use crate::step::Step;

/// What a look into the store found.
pub(crate) enum Looked {
    Here(Entry),
    /// On disk, and it takes time.
    OnDisk,
    Nowhere,
}

impl Edge {
    /// The disk, if there is one.
    #[must_use]
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_deref()
    }

    fn find_on_disk(&self, key: Key) -> Looked {
        let Some(disk) = self.disk() else { return Looked::Nowhere };
        let examined = self.invalidations.examined();
        match disk.try_load(key) {
            TryLoad::Here(entry) => {
                entry.set_checked(examined);
                self.promote(&entry);
                Looked::Here(entry)
            }
            TryLoad::Wait => Looked::OnDisk,
            TryLoad::Missing => Looked::Nowhere,
        }
    }

    /// What is on disk under `key`, once it has been read, if it can be.
    pub(crate) async fn load(&self, key: Key) -> Option<Entry> {
        let (sender, receiver) = oneshot::channel();
        let examined = self.begin_load(key, move |entry| drop(sender.send(entry)))?;
        let entry = in_time(receiver, || self.disk().into_iter().for_each(Disk::gave_up)).await.flatten()?;
        Some(now_examined(entry, examined))
    }

    /// The same for threads that may wait, and do so for at most `most`.
    pub(crate) fn load_within(&self, key: Key, most: Duration) -> Option<Entry> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let examined = self.begin_load(key, move |entry| drop(sender.send(entry)))?;
        Some(now_examined(receiver.recv_timeout(most).ok().flatten()?, examined))
    }

    /// Who no longer waits needs no answer. Returns up to which invalidation the store had been examined.
    fn begin_load(&self, key: Key, done: impl FnOnce(Option<Entry>) + Send + 'static) -> Option<u64> {
        let examined = self.invalidations.examined();
        self.disk()?.load(key, Box::new(done));
        Some(examined)
    }

    /// Brings to memory what has come from disk. Answers come there under the configuration in force
    /// (`refresh::under_revision`), so that their terms are computed once.
    pub(crate) fn promote(&self, entry: &Entry) {
        if matches!(entry.kind, Kind::VaryNames | Kind::Uncacheable) {
            self.memory.insert(entry.clone());
        }
    }

    /// Whether something is stored under `key`.
    pub(crate) fn holds(&self, key: Key) -> bool {
        self.memory.peek(key).is_some() || self.disk().is_some_and(|disk| disk.holds(key))
    }

    /// Stores unless something that began later is there already, or it was invalidated meanwhile.
    pub(crate) fn store(&self, entry: Entry) -> bool {
        let _storing = self.invalidations.storing();
        self.may_store(&entry) && self.keep(entry)
    }

    /// The same of a row of a model, of which there is never a part to be forgotten.
    pub(crate) fn store_row(&self, entry: Entry) -> bool {
        let _storing = self.invalidations.storing();
        self.is_newest(&entry) && self.keep(entry)
    }

    /// Whether `entry` may take the place of what its key holds. The caller says that it is storing.
    pub(crate) fn may_store(&self, entry: &Entry) -> bool {
        let is_newest = self.is_newest(entry);
        if is_newest && entry.kind == Kind::Answer {
            self.remove_key(partial::key(entry.key));
        }
        is_newest
    }

    fn is_newest(&self, entry: &Entry) -> bool {
        self.may_use(entry) && self.memory.peek(entry.key).is_none_or(|other| other.stamp <= entry.stamp)
    }

    /// Keeps a new entry, in place of what its key held. False if it is too large for memory.
    pub(crate) fn keep(&self, entry: Entry) -> bool {
        let mut is_on_disk = false;
        if let Some(disk) = self.disk() {
            // Where the disk does not take it, it must not hold what came before it either.
            let has_older = disk.holds(entry.key);
            let is_taken = entry.kind != Kind::Uncacheable
                && disk.offer(&entry, has_older || entry.is_on_disk()) == Offered::Queued;
            if has_older && !is_taken {
                disk.remove(entry.key);
            }
            is_on_disk = is_taken;
        }
        self.memory.insert(entry) || is_on_disk
    }

    /// Keeps an entry whose body is stored already: after a 304. A head alone goes to disk at once, a whole answer with
    /// the next round of what memory has and the disk has not (`keeper`).
    pub(crate) fn keep_refreshed(&self, entry: Entry) -> bool {
        if let Some(disk) = self.disk()
            && disk.holds(entry.key)
        {
            let is_taken = entry.is_on_disk() && disk.offer(&entry, true) == Offered::Queued;
            entry.set_ahead_of_disk(!is_taken);
        }
        self.memory.insert(entry)
    }

    /// Takes what is found under `key` out of both tiers.
    pub(crate) fn remove_key(&self, key: Key) {
        if let Some(entry) = self.memory.peek(key) {
            self.remove(&entry);
        } else if let Some(disk) = self.disk().filter(|disk| disk.holds(key)) {
            disk.remove(key);
        }
    }

    /// Takes `entry` out of both tiers.
    pub(crate) fn remove(&self, entry: &Entry) {
        self.memory.remove(entry);
        // Also where it is not found yet: it may be waiting to be written.
        if let Some(disk) = self.disk() {
            disk.remove(entry.key);
        }
    }
}

fn now_examined(entry: Entry, examined: u64) -> Entry {
    entry.set_checked(examined);
    entry
}

impl Exchange<'_> {
    /// What is stored under `key`, or was brought from disk for this request; counted as asked for.
    #[inline]
    pub(crate) fn look(&mut self, key: Key) -> Looked {
        match self.worker.edge.memory.get(key) {
            Some(entry) if entry.disk_body().is_some_and(|body| body.is_gone()) => {
                // What would be fetched of it now could not be kept: it begins anew.
                self.worker.edge.memory.remove(&entry);
                self.look_further(key)
            }
            Some(entry) => Looked::Here(entry),
            None => self.look_further(key),
        }
    }

    fn look_further(&mut self, key: Key) -> Looked {
        let brought = self.loaded.iter().find(|entry| entry.key == key);
        let looked = brought.cloned().map_or_else(|| self.worker.edge.find_on_disk(key), Looked::Here);
        self.from_disk |= matches!(looked, Looked::Here(_));
        match looked {
            Looked::OnDisk if !self.may_load => Looked::Nowhere,
            looked => looked,
        }
    }

    /// Waits for what is on disk under `key`, and then looks the request up anew.
    pub(crate) fn load(&mut self, key: Key) -> Step {
        self.load = Some(key);
        Step::Load
    }
}
