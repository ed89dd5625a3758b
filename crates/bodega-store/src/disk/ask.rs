//! What the machine asks, on serving threads: nothing here waits for the disk.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bodega_semantics::{Key, Timestamp};

use super::MAX_RECORD_BYTES;
use super::body::DiskBody;
use super::index::{PENDING, Place, Put};
use super::objects::Object;
use super::queue::Job;
use super::record::{self, Record};
use super::tier::Tier;
use super::types::{Admission, Offered, TryLoad};
use crate::entry::{Body, Entry, NewEntry, SlicedBody};
use crate::slice;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A key may be given another place while it is looked at, but not for ever.
const MAX_LOOKS: usize = 4;

impl Tier {
    pub(super) fn max_object_bytes(&self) -> u64 {
        u64::from(self.n_units) * self.unit_bytes() / 2
    }

    #[inline]
    pub(super) fn holds(&self, key: Key) -> bool {
        self.is_open() && self.index.holds(key)
    }

    pub(super) fn try_load(self: &Arc<Self>, key: Key) -> TryLoad {
        if !self.is_open() {
            return TryLoad::Missing;
        }
        let Some(place) = self.index.ask(key) else { return TryLoad::Missing };
        self.load_from(key, place, false)
    }

    pub(super) fn load(self: &Arc<Self>, key: Key, done: Box<dyn FnOnce(Option<Entry>) + Send>) {
        let Some((place, _)) = self.index.look(key).filter(|_| self.is_open()) else { return done(None) };
        self.counters.waits(1);
        let tier = Arc::clone(self);
        self.read_later(Box::new(move |may_wait| {
            done(match may_wait.then(|| tier.load_from(key, place, true)) {
                Some(TryLoad::Here(entry)) => Some(entry),
                _ => None,
            });
        }));
    }

    fn load_from(self: &Arc<Self>, key: Key, mut place: Place, may_wait: bool) -> TryLoad {
        for _ in 0..MAX_LOOKS {
            if place.is_pending() {
                let pending = self.pending.lock().get(&key).cloned();
                return pending.map_or(TryLoad::Missing, TryLoad::Here);
            }
            // Records are copied into what they become: their buffer stays with the thread, unless it is a large one.
            let loaded = SCRATCH.with_borrow_mut(|bytes| {
                bytes.clear();
                bytes.shrink_to(64 << 10);
                let at = u64::from(place.segment) * self.unit_bytes() + place.offset();
                match self.read(&self.files.segments, bytes, place.length as usize, at, may_wait) {
                    Ok(true) => Loaded::Read(self.decode(key, place, bytes)),
                    Ok(false) => Loaded::Waits,
                    Err(()) => Loaded::Failed,
                }
            });
            match loaded {
                Loaded::Read(Some(entry)) => {
                    self.counters.reads(1, u64::from(place.length));
                    return TryLoad::Here(entry);
                }
                Loaded::Waits => return TryLoad::Wait,
                Loaded::Failed => {
                    // Once is enough: what lies on a bad sector must not be tried for every request.
                    if let Some(place) = self.index.take(key, |held| *held != place) {
                        self.taken_out(key, place);
                    }
                    return TryLoad::Missing;
                }
                Loaded::Read(None) => {}
            }
            // Either it has moved, and something else is written there now, or it is bad.
            match self.index.look(key) {
                None => return TryLoad::Missing,
                Some((now, _)) if now != place => place = now,
                Some(_) => {
                    if let Some(place) = self.index.take(key, |held| *held != place) {
                        self.taken_out(key, place);
                        self.found_bad("a record");
                    }
                    return TryLoad::Missing;
                }
            }
        }
        TryLoad::Missing
    }

    fn decode(self: &Arc<Self>, key: Key, place: Place, bytes: &[u8]) -> Option<Entry> {
        let mut record = record::decode(bytes).filter(|record| record.key == key && record.length == bytes.len())?;
        if record.turn <= self.recovery.distrusted_turn.load(Ordering::Relaxed) {
            expire(&mut record);
        }
        let mut answer = record.answer?;
        answer.new.revision = self.life().mark(answer.new.revision);
        if !place.is_head {
            return (answer.object.0 == 0).then(|| answer.entry(None));
        }
        let object = self.objects.get(key).filter(|object| (object.number, object.n_bytes) == answer.object)?;
        Some(answer.entry(Some(Arc::new(DiskBody::new(Arc::clone(self), object)))))
    }

    pub(super) fn offer(self: &Arc<Self>, entry: &Entry, asked_again: bool) -> Offered {
        if !self.is_open() {
            return Offered::Off;
        }
        let offered = self.offer_to_open(entry, asked_again);
        // What it would have replaced is not what the key holds any more.
        if matches!(offered, Offered::Full | Offered::TooLarge) {
            self.counters.dropped(u64::from(offered == Offered::Full));
            if self.index.holds(entry.key) {
                self.remove(entry.key);
            }
        }
        offered
    }

    fn offer_to_open(self: &Arc<Self>, entry: &Entry, asked_again: bool) -> Offered {
        let size_bytes = match entry.body() {
            Body::Disk(body) if !Arc::ptr_eq(body.tier(), self) || !self.objects.has(body.shared()) => {
                return Offered::Off;
            }
            Body::Disk(body) => body.n_bytes(),
            _ => record::record_bytes(entry),
        };
        let is_body = matches!(entry.body(), Body::Slices(_)) && record::record_bytes(entry) > record::MAX_BYTES as u64;
        if record::record_bytes(entry) > record::MAX_BYTES as u64 && !is_body {
            return Offered::TooLarge;
        }
        let is_admitted = asked_again || self.index.holds(entry.key) || self.asks_admission(entry.key, size_bytes);
        if !is_admitted {
            return Offered::NotAdmitted;
        }
        if let Body::Slices(body) = entry.body()
            && is_body
        {
            return self.offer_body(entry, body);
        }
        // What it replaces is not found from here on: a miss is better than the answer before this one.
        let replaced = match entry.body() {
            Body::Disk(_) => None,
            _ => self.index.take(entry.key, |_| false),
        };
        if let Some(place) = replaced {
            self.taken_out(entry.key, place);
        }
        if self.queue.push(|ticket| Job::Record { entry: entry.clone(), ticket }) {
            return Offered::Queued;
        }
        if replaced.is_some() {
            let key = entry.key;
            self.queue.push_small(|ticket| Job::Removal { key, ticket });
        }
        Offered::Full
    }

    /// A whole body that is too large for a record: its head, and every slice. All of it can be read from here on.
    fn offer_body(self: &Arc<Self>, entry: &Entry, body: &SlicedBody) -> Offered {
        let mut writers = slice::cut(body);
        let Some(on_disk) = self.begin(&entry.parts(), body.n_bytes) else { return Offered::TooLarge };
        let is_taken = on_disk
            .disk_body()
            .is_some_and(|disk| writers.by_ref().zip(0..).all(|(bytes, number)| disk.put(number, bytes)));
        if is_taken { Offered::Queued } else { Offered::Full }
    }

    pub(super) fn admits(&self, key: Key, size_bytes: u64) -> bool {
        self.is_open()
            && size_bytes <= self.max_object_bytes()
            && (self.index.holds(key) || self.asks_admission(key, size_bytes))
    }

    fn asks_admission(&self, key: Key, size_bytes: u64) -> bool {
        self.options.admission == Admission::Always || self.admission.lock().asked((key.0 >> 64) as u64, size_bytes)
    }

    pub(super) fn remove(&self, key: Key) {
        if let Some(removed) = &mut *self.recovery.removed.lock() {
            removed.insert(key);
        }
        // Before the look: what is settled later is followed by what is said here.
        let is_settled = self.queue.is_settled() && self.recovery.is_done.load(Ordering::SeqCst);
        let taken = self.index.take(key, |_| false);
        if let Some(place) = taken {
            self.taken_out(key, place);
        }
        // What waits to be written, or has not been found yet, has to be followed by word that it is gone.
        if taken.is_some() || !is_settled {
            self.queue.push_small(|ticket| Job::Removal { key, ticket });
        }
    }

    pub(super) fn begin(self: &Arc<Self>, new: &NewEntry<'_>, n_bytes: u64) -> Option<Entry> {
        if !self.is_open() || n_bytes == 0 || n_bytes > self.max_object_bytes() {
            return None;
        }
        let key = new.key;
        let object = Arc::new(Object::new(self.next_number(), key, n_bytes));
        let entry = Entry::on_disk(new, Arc::new(DiskBody::new(Arc::clone(self), Arc::clone(&object))));
        if record::record_bytes(&entry) > MAX_RECORD_BYTES {
            return None;
        }
        let ticket = self.queue.ticket();
        let length = u32::try_from(record::record_bytes(&entry)).unwrap_or(u32::MAX);
        self.pending.lock().insert(key, entry.clone());
        if let Some(replaced) = self.objects.put(object) {
            self.free_object(&replaced);
        }
        let place = Place { segment: PENDING, at: ticket, length, is_head: true };
        if let Put::Replaced(replaced) = self.index.put(key, place, 0, |_| false)
            && !replaced.is_pending()
        {
            self.live_record_bytes.fetch_sub(u64::from(replaced.length), Ordering::Relaxed);
        }
        if !self.queue.push(|_| Job::Record { entry: entry.clone(), ticket }) {
            self.counters.dropped(1);
            self.remove(key);
            return None;
        }
        Some(entry)
    }
}

enum Loaded {
    Read(Option<Entry>),
    Waits,
    Failed,
}

/// What was written by a clock that was ahead is validated before it is used.
fn expire(record: &mut Record<'_>) {
    if let Some(answer) = &mut record.answer {
        // Its age would be counted from a time that is still to come, and its lifetime with it.
        answer.new.terms.born = Timestamp(0);
        answer.new.terms.expires = Timestamp(0);
    }
}
