//! The log of records: segments that are filled one after the other, and reclaimed in the order they were written.
//!
//! There is always a free segment ahead: what is worth keeping of the oldest is written into the open one, and found
//! there, before the oldest is given up. So a record that is kept can be found at every moment.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bodega_semantics::Key;

use super::counters::add;
use super::format::{
    self, FOOTER_ENTRY_BYTES, Footer, FooterEntry, SEGMENT_HEADER_BYTES, TRAILER_BYTES, Trailer, What,
};
use super::index::{Place, Put};
use super::objects::Object;
use super::queue::Job;
use super::tier::Tier;
use super::{record, system};
use crate::entry::{Body, Entry};

/// The log, as the writing thread has it.
pub(super) struct Log {
    /// The turn of each segment; 0: it holds nothing, and has no space on disk unless it is in `free`.
    pub(super) turns: Vec<u64>,
    /// Oldest first.
    pub(super) sealed: VecDeque<u32>,
    pub(super) free: Vec<u32>,
    pub(super) absent: Vec<u32>,
    pub(super) open: Option<Open>,
}

/// The segment that is being filled.
pub(super) struct Open {
    pub(super) segment: u32,
    pub(super) turn: u64,
    /// Where the next batch begins.
    pub(super) at: u32,
    pub(super) footer: Footer,
    /// What is to be written next, and what is to be found then.
    batch: Vec<u8>,
    found: Vec<Found>,
}

/// What changes in the index once a batch is written.
enum Found {
    Put { key: Key, place: Place, ticket: u32, object: u64 },
    Removal { key: Key, ticket: u32 },
    Move { key: Key, from: Place, to: Place, hits: u8 },
}

impl Open {
    pub(super) fn new(segment: u32, turn: u64, at: u32, footer: Footer) -> Self {
        Self { segment, turn, at, footer, batch: Vec::new(), found: Vec::new() }
    }

    fn end(&self) -> u32 {
        self.at + len32(&self.batch)
    }

    fn has_room(&self, n_bytes: usize, unit_bytes: u64) -> bool {
        let footer = (self.footer.entries.len() + 1) * FOOTER_ENTRY_BYTES + TRAILER_BYTES;
        u64::from(self.end()) + (n_bytes.next_multiple_of(format::ALIGN) + footer) as u64 <= unit_bytes
    }

    fn entry(&mut self, key: Key, start: u32, what: What, object: u64, written: u64) -> Place {
        // Without the padding.
        let length = record::peek(&self.batch[(start - self.at) as usize..]).unwrap_or(0);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.footer.entries.push(FooterEntry {
            key,
            offset: start,
            length,
            what,
            object: object & format::OBJECT_MASK,
        });
        self.footer.written = self.footer.written.max(written);
        Place::new(self.segment, start, length, what == What::Head)
    }
}

impl Log {
    /// Appends an answer. False: there is no room, or the disk failed.
    pub(super) fn append(&mut self, tier: &Arc<Tier>, entry: &Entry, ticket: u32) -> bool {
        let object = match entry.body() {
            Body::Disk(body) if !tier.objects.has(body.shared()) => return false,
            Body::Disk(body) => body.object(),
            _ => 0,
        };
        let n_bytes = usize::try_from(record::record_bytes(entry)).unwrap_or(usize::MAX);
        if n_bytes > record::MAX_BYTES || !self.make_room(tier, n_bytes) {
            return false;
        }
        let Some(open) = &mut self.open else { return false };
        let (start, written) = (open.end(), tier.clock.now().0);
        if !record::encode(&mut open.batch, entry, tier.life(), open.turn, written) {
            return false;
        }
        let what = if object == 0 { What::Whole } else { What::Head };
        let place = open.entry(entry.key, start, what, object, written);
        open.footer.newest_stamp = open.footer.newest_stamp.max(entry.stamp);
        open.found.push(Found::Put { key: entry.key, place, ticket, object });
        add(&tier.counters.record_bytes_admitted, n_bytes as u64);
        self.flush_if_large(tier);
        true
    }

    /// Appends word that a key holds nothing any more.
    pub(super) fn append_removal(&mut self, tier: &Arc<Tier>, key: Key, ticket: u32) -> bool {
        if !self.make_room(tier, record::PREFIX_BYTES) {
            return false;
        }
        let Some(open) = &mut self.open else { return false };
        let (start, written) = (open.end(), tier.clock.now().0);
        record::encode_removal(&mut open.batch, key, open.turn, written);
        open.entry(key, start, What::Removal, 0, written);
        open.found.push(Found::Removal { key, ticket });
        self.flush_if_large(tier);
        true
    }

    /// Writes what was appended; then, and only then, it can be found. False: the disk failed, and it is dropped.
    pub(super) fn flush(&mut self, tier: &Arc<Tier>) -> bool {
        let Some(open) = &mut self.open else { return true };
        if open.batch.is_empty() {
            return true;
        }
        let at = u64::from(open.segment) * tier.unit_bytes() + u64::from(open.at);
        let written = tier.write(&tier.files.segments, &open.batch, at);
        let found = std::mem::take(&mut open.found);
        if written {
            add(&tier.counters.record_bytes_written, open.batch.len() as u64);
            open.at = open.end();
        } else {
            let at = open.at;
            open.footer.entries.retain(|entry| entry.offset < at);
        }
        open.batch.clear();
        open.batch.shrink_to(BATCH_BYTES);
        for found in found {
            let is_answer = matches!(found, Found::Put { .. });
            if written {
                publish(tier, found);
            } else {
                give_up(tier, found);
            }
            if is_answer {
                tier.queue.settle();
            }
        }
        written
    }

    fn flush_if_large(&mut self, tier: &Arc<Tier>) {
        if self.open.as_ref().is_some_and(|open| open.batch.len() >= BATCH_BYTES) {
            self.flush(tier);
        }
    }

    /// An open segment with room for a record of `n_bytes`.
    fn make_room(&mut self, tier: &Arc<Tier>, n_bytes: usize) -> bool {
        if self.open.as_ref().is_some_and(|open| open.has_room(n_bytes, tier.unit_bytes())) {
            return true;
        }
        self.flush(tier);
        self.seal(tier);
        if !self.open_next(tier) {
            return false;
        }
        self.keep_ahead(tier);
        // What was kept of the oldest segment has left less than all.
        self.open.as_ref().is_some_and(|open| open.has_room(n_bytes, tier.unit_bytes()))
    }

    fn seal(&mut self, tier: &Arc<Tier>) {
        let Some(open) = self.open.take() else { return };
        let (entries, trailer) = open.footer.encode(open.turn, open.at);
        let start = u64::from(open.segment) * tier.unit_bytes();
        let end = start + tier.unit_bytes() - TRAILER_BYTES as u64;
        // Without a footer its records are looked at one by one.
        if tier.write(&tier.files.segments, &entries, start + u64::from(open.at))
            && tier.write(&tier.files.segments, &trailer, end)
        {
            add(&tier.counters.record_bytes_written, (entries.len() + trailer.len()) as u64);
        }
        self.sealed.push_back(open.segment);
    }

    fn open_next(&mut self, tier: &Arc<Tier>) -> bool {
        if self.free.is_empty() && !self.grow(tier) && !self.reclaim_into_nothing(tier) {
            return false;
        }
        let Some(segment) = self.free.pop() else { return false };
        let turn = tier.next_number();
        let header = format::segment_header(turn, tier.superblock.instance);
        if !tier.write(&tier.files.segments, &header, u64::from(segment) * tier.unit_bytes()) {
            self.free.push(segment);
            return false;
        }
        add(&tier.counters.record_bytes_written, header.len() as u64);
        self.turns[segment as usize] = turn;
        self.open = Some(Open::new(segment, turn, SEGMENT_HEADER_BYTES as u32, Footer::default()));
        true
    }

    /// Takes space for another segment. False: there is none to be had.
    fn grow(&mut self, tier: &Arc<Tier>) -> bool {
        let is_below_floor = self.n_allocated() < tier.least_units();
        let has_room = tier.may_grow(self.n_allocated())
            || is_below_floor && tier.slots.n_extents() > tier.least_units() && tier.give_up_extent();
        if !has_room {
            return false;
        }
        let segment = self.absent.pop().unwrap_or_else(|| {
            self.turns.push(0);
            u32::try_from(self.turns.len() - 1).unwrap_or(u32::MAX)
        });
        let at = u64::from(segment) * tier.unit_bytes();
        if let Err(error) = system::allocate(&tier.files.segments, at, tier.unit_bytes()) {
            self.absent.push(segment);
            tier.could_not_grow(&error);
            return false;
        }
        self.free.push(segment);
        self.count(tier);
        true
    }

    /// Segments that have space on disk.
    pub(super) fn n_allocated(&self) -> u32 {
        let n = self.sealed.len() + self.free.len() + usize::from(self.open.is_some());
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    pub(super) fn count(&self, tier: &Tier) {
        tier.n_segments.store(self.n_allocated(), Ordering::Relaxed);
    }

    /// Sees to it that a segment is free when the open one is full.
    fn keep_ahead(&mut self, tier: &Arc<Tier>) {
        if self.free.is_empty() && !self.grow(tier) {
            self.reclaim(tier);
        }
    }

    /// Gives a segment's space back. `false`: there are too few.
    pub(super) fn give_up_one(&mut self, tier: &Arc<Tier>) -> bool {
        self.flush(tier);
        if self.n_allocated() <= LEAST_SEGMENTS || self.open.is_none() {
            return false;
        }
        if self.free.is_empty() {
            self.reclaim(tier);
        }
        let Some(segment) = self.free.pop() else { return false };
        let at = u64::from(segment) * tier.unit_bytes();
        if let Err(error) = system::give_back(&tier.files.segments, at, tier.unit_bytes()) {
            tier.write_failed(&error);
        }
        self.absent.push(segment);
        self.count(tier);
        true
    }

    /// There is nothing open to keep anything in: the oldest segment goes with all that is in it.
    fn reclaim_into_nothing(&mut self, tier: &Arc<Tier>) -> bool {
        let Some(oldest) = self.sealed.pop_front() else { return false };
        let entries = read_footer(tier, oldest, self.turns[oldest as usize]).entries;
        self.forget(tier, oldest, &entries);
        true
    }

    /// Frees the oldest segment. What is worth it is written again: what was asked for since, best first, as far as the
    /// bytes that may be written allow; and heads of bodies that have slices.
    fn reclaim(&mut self, tier: &Arc<Tier>) {
        let Some(oldest) = self.sealed.pop_front() else { return };
        let entries = read_footer(tier, oldest, self.turns[oldest as usize]).entries;
        let live = entries.iter().filter_map(|entry| {
            let place = Place::new(oldest, entry.offset, entry.length, entry.what == What::Head);
            let (held, hits) = tier.index.look(entry.key)?;
            (held == place && entry.what != What::Removal).then_some((entry.key, place, hits))
        });
        let (mut heads, mut answers): (Vec<_>, Vec<_>) = live.partition(|(_, place, _)| place.is_head);
        heads.retain(|(key, _, _)| tier.objects.get(*key).is_some_and(|object| !object.is_empty()));
        answers.retain(|(_, _, hits)| *hits > 0);
        let mean = mean_bytes(&entries);
        for list in [&mut heads, &mut answers] {
            list.sort_by(|one, other| {
                worth(other.2, other.1.length, mean).total_cmp(&worth(one.2, one.1.length, mean))
            });
        }
        let unit = tier.unit_bytes();
        let footer = entries.len() as u64 * FOOTER_ENTRY_BYTES as u64;
        let mut left = (unit * KEPT_PERCENT / 100).saturating_sub(footer);
        // A head is worth all its slices; only if there are too many heads do some have to go.
        let mut left_for_heads = unit * MOST_HEADS_PERCENT / 100;
        let mut kept = Vec::new();
        for (key, place, hits) in heads {
            let n_bytes = u64::from(place.length) + FOOTER_ENTRY_BYTES as u64;
            if n_bytes <= left_for_heads {
                left_for_heads -= n_bytes;
                left = left.saturating_sub(n_bytes);
                kept.push((key, place, hits));
            }
        }
        for (key, place, hits) in answers {
            let n_bytes = u64::from(place.length) + FOOTER_ENTRY_BYTES as u64;
            if n_bytes <= left {
                left -= n_bytes;
                kept.push((key, place, hits));
            }
        }
        // In the order they lie in, so that they are read in one go.
        kept.sort_by_key(|(_, place, _)| place.at);
        for (key, place, hits) in kept {
            self.keep(tier, key, place, hits);
        }
        self.flush(tier);
        self.forget(tier, oldest, &entries);
    }

    /// Appends a copy of a record.
    fn keep(&mut self, tier: &Arc<Tier>, key: Key, from: Place, hits: u8) {
        let n_bytes = from.length as usize;
        let mut bytes = Vec::with_capacity(n_bytes);
        let at = u64::from(from.segment) * tier.unit_bytes() + from.offset();
        if tier.read(&tier.files.segments, &mut bytes, n_bytes, at, true).is_err() {
            return;
        }
        let Some(read) = record::decode(&bytes).filter(|record| record.key == key && record.length == n_bytes) else {
            tier.found_bad("a record");
            return;
        };
        let Some(answer) = &read.answer else { return };
        let Some(open) = self.open.as_mut().filter(|open| open.has_room(n_bytes, tier.unit_bytes())) else { return };
        let start = open.end();
        // What was written by a clock that was ahead stays expired.
        let is_distrusted = read.turn <= tier.recovery.distrusted_turn.load(Ordering::Relaxed);
        let written = if is_distrusted { tier.clock.now().0 } else { read.written };
        record::copy(&mut open.batch, &bytes, open.turn, written, is_distrusted);
        let to = open.entry(key, start, read.what, answer.object.0, written);
        open.footer.newest_stamp = open.footer.newest_stamp.max(answer.new.stamp);
        // Half of its fame is of the past.
        open.found.push(Found::Move { key, from, to, hits: hits / 2 });
        self.flush_if_large(tier);
    }

    /// What is still found in a segment is found no more, and the segment is free.
    fn forget(&mut self, tier: &Arc<Tier>, segment: u32, entries: &[FooterEntry]) {
        let mut n = 0;
        for entry in entries.iter().filter(|entry| entry.what != What::Removal) {
            let place = Place::new(segment, entry.offset, entry.length, entry.what == What::Head);
            if tier.index.take(entry.key, |held| *held != place).is_some() {
                n += 1;
                tier.live_record_bytes.fetch_sub(u64::from(entry.length), Ordering::Relaxed);
                tier.remember(entry.key, u64::from(entry.length));
                if entry.what == What::Head
                    && let Some(object) = tier.objects.take_any(entry.key)
                {
                    tier.free_object(&object);
                }
            }
        }
        tier.counters.evicted(n);
        self.turns[segment as usize] = 0;
        self.free.push(segment);
    }
}

/// Now it can be found.
fn publish(tier: &Arc<Tier>, found: Found) {
    add(&tier.counters.n_writes, 1);
    match found {
        Found::Put { key, place, ticket, object } => {
            // The body may have been replaced or removed while its head waited.
            let held = tier.objects.get(key);
            if object != 0 && held.as_ref().is_none_or(|held| held.number != object) {
                return;
            }
            let put = tier.index.put(key, place, 0, |held| held.is_pending() && is_later(held.at, ticket));
            let replaced = match put {
                Put::Kept => return,
                Put::New => None,
                Put::Replaced(replaced) => Some(replaced),
            };
            tier.live_record_bytes.fetch_add(u64::from(place.length), Ordering::Relaxed);
            if let Some(replaced) = replaced {
                if replaced.is_pending() {
                    tier.pending.lock().remove(&key);
                } else {
                    tier.live_record_bytes.fetch_sub(u64::from(replaced.length), Ordering::Relaxed);
                }
                if object == 0 && replaced.is_head {
                    free(tier, held);
                }
            }
        }
        Found::Removal { key, ticket } => {
            if let Some(place) = tier.index.take(key, |held| held.is_pending() && is_later(held.at, ticket)) {
                tier.taken_out(key, place);
            }
        }
        Found::Move { key, from, to, hits } => {
            tier.index.relocate(key, from, to, hits);
        }
    }
}

/// It was not written.
fn give_up(tier: &Arc<Tier>, found: Found) {
    // What it was to replace is not what the key holds any more.
    if let Found::Put { key, ticket, .. } = found {
        tier.drop_record(key, ticket);
    }
}

fn free(tier: &Arc<Tier>, object: Option<Arc<Object>>) {
    if let Some(object) = object.and_then(|object| tier.objects.take(object.key, object.number)) {
        tier.free_object(&object);
    }
}

/// What a segment holds, by its footer, or if that is damaged by its records.
pub(super) fn read_footer(tier: &Tier, segment: u32, turn: u64) -> Footer {
    footer_of(tier, segment, turn).unwrap_or_else(|| scan(tier, segment, turn).0)
}

/// What a segment's footer says, if it has one.
pub(super) fn footer_of(tier: &Tier, segment: u32, turn: u64) -> Option<Footer> {
    let (file, unit) = (&tier.files.segments, tier.unit_bytes());
    let start = u64::from(segment) * unit;
    let mut bytes = Vec::new();
    tier.read(file, &mut bytes, TRAILER_BYTES, start + unit - TRAILER_BYTES as u64, true).ok()?;
    let trailer = Trailer::decode(&bytes, turn, unit)?;
    bytes.clear();
    let n_bytes = usize::try_from(trailer.entries_bytes()).ok()?;
    tier.read(file, &mut bytes, n_bytes, start + u64::from(trailer.offset), true).ok()?;
    let footer = Footer::decode(&trailer, &bytes);
    if footer.is_none() {
        tier.found_bad("a footer");
    }
    footer
}

/// What a segment without a footer holds, and where its last record ends.
pub(super) fn scan(tier: &Tier, segment: u32, turn: u64) -> (Footer, u32) {
    let unit = tier.unit_bytes();
    let mut bytes = Vec::new();
    let n_bytes = usize::try_from(unit).unwrap_or(0);
    if tier.read(&tier.files.segments, &mut bytes, n_bytes, u64::from(segment) * unit, true).is_err() {
        // As much of it as there is: the file may have been cut off.
        bytes.truncate(bytes.len().min(n_bytes));
    }
    scan_bytes(&bytes, turn)
}

/// What the bytes of a whole segment hold, by its footer, or else by its records.
#[must_use]
pub fn read_segment(bytes: &[u8], turn: u64) -> Footer {
    let by_footer = || {
        let trailer = Trailer::decode(bytes.get(bytes.len().checked_sub(TRAILER_BYTES)?..)?, turn, bytes.len() as u64)?;
        let start = usize::try_from(trailer.offset).ok()?;
        let n_bytes = usize::try_from(trailer.entries_bytes()).ok()?;
        Footer::decode(&trailer, bytes.get(start..start.checked_add(n_bytes)?)?)
    };
    by_footer().unwrap_or_else(|| scan_bytes(bytes, turn).0)
}

/// What the bytes of a segment hold. A record that is damaged, or that was never finished, is passed over.
fn scan_bytes(bytes: &[u8], turn: u64) -> (Footer, u32) {
    let (mut footer, mut at, mut end) = (Footer::default(), SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES);
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= record::PREFIX_BYTES) {
        // What an earlier use of the segment has left is not of this turn.
        let Some(read) = record::decode(rest).filter(|record| record.turn == turn) else {
            at += format::ALIGN;
            continue;
        };
        let (stamp, object) = read.answer.as_ref().map_or((0, 0), |answer| (answer.new.stamp, answer.object.0));
        footer.newest_stamp = footer.newest_stamp.max(stamp);
        footer.written = footer.written.max(read.written);
        footer.entries.push(FooterEntry {
            key: read.key,
            offset: u32::try_from(at).unwrap_or(u32::MAX),
            length: u32::try_from(read.length).unwrap_or(u32::MAX),
            what: read.what,
            object: object & format::OBJECT_MASK,
        });
        at += read.length.next_multiple_of(format::ALIGN);
        end = at;
    }
    (footer, u32::try_from(end).unwrap_or(u32::MAX))
}

/// What a byte of it is worth: as `shelf` has it, with a miss that costs by byte for nine parts of ten.
fn worth(hits: u8, length: u32, mean: f64) -> f64 {
    f64::from(hits) * (0.1 * mean / f64::from(length.max(1)) + 0.9)
}

fn mean_bytes(entries: &[FooterEntry]) -> f64 {
    let sum: f64 = entries.iter().map(|entry| f64::from(entry.length)).sum();
    sum / (entries.len().max(1) as f64)
}

/// Whether a ticket was given out after another. They go round.
pub(super) fn is_later(ticket: u32, other: u32) -> bool {
    ticket.wrapping_sub(other).cast_signed() > 0
}

fn len32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Tier {
    /// Writes. False: the disk failed, which is counted.
    pub(super) fn write(&self, file: &std::fs::File, bytes: &[u8], at: u64) -> bool {
        match file.write_all_at(bytes, at) {
            Ok(()) => {
                self.health.write_worked();
                true
            }
            Err(error) => {
                self.write_failed(&error);
                false
            }
        }
    }

    pub(super) fn write_failed(&self, error: &io::Error) {
        add(&self.counters.n_errors, 1);
        self.health.write_failed(self, error);
    }

    /// Gives the slots of a body back that is no longer in the index.
    pub(super) fn free_object(&self, object: &Arc<Object>) {
        let object = Arc::clone(object);
        self.queue.push_small(|_| Job::Free(object));
    }

    /// What belongs to an entry goes with its place in the index.
    pub(super) fn taken_out(&self, key: Key, place: Place) {
        if place.is_pending() {
            self.pending.lock().remove(&key);
        } else {
            self.live_record_bytes.fetch_sub(u64::from(place.length), Ordering::Relaxed);
        }
        if place.is_head
            && let Some(object) = self.objects.take_any(key)
        {
            self.free_object(&object);
        }
    }

    /// What was to be written with this ticket is dropped, and with it what it was to replace.
    pub(super) fn drop_record(&self, key: Key, ticket: u32) {
        self.counters.dropped(1);
        if let Some(place) = self.index.take(key, |held| held.is_pending() && is_later(held.at, ticket)) {
            self.taken_out(key, place);
            self.queue.push_small(|ticket| Job::Removal { key, ticket });
        }
    }

    /// What leaves to make room may come in again when it is asked for.
    pub(super) fn remember(&self, key: Key, size_bytes: u64) {
        self.admission.lock().asked((key.0 >> 64) as u64, size_bytes);
    }
}

/// Written at once.
const BATCH_BYTES: usize = 1 << 20;
/// With 23 % of each segment written again, 1.3 times as much is written as comes in.
const KEPT_PERCENT: u64 = 23;
const MOST_HEADS_PERCENT: u64 = 50;
/// The oldest, one that is open and one that is free.
pub(super) const LEAST_SEGMENTS: u32 = 3;
