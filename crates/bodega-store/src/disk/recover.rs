//! Finds what is on disk: the table of slots first, then the segments, the newest first.
//!
//! What was written last is found first, so that nothing is found that was replaced later, at no moment. A segment
//! that was full has a footer, which names its records; of the last one each record is read.

use std::collections::HashSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bodega_semantics::Key;
use hashbrown::HashMap;

use super::format::{self, Footer, SEGMENT_HEADER_BYTES, SLOT_HEADER_BYTES, SlotHeader, What};
use super::index::{Place, Put};
use super::objects::{NO_SLOT, Object};
use super::segments::{self, Log, Open};
use super::tier::Tier;
use super::{heat, record, system};
use crate::slice::SLICE_BYTES;

/// A clock may be set back by this much without anybody calling it wrong.
const CLOCK_TOLERANCE_MILLIS: u64 = 1000;

/// Finds everything, and gives the log as it goes on.
pub(super) fn recover(tier: &Arc<Tier>) -> Log {
    let mut bodies = read_table(tier);
    let (mut log, mut order) = read_segment_headers(tier);
    order.sort_unstable_by_key(|(turn, _)| std::cmp::Reverse(*turn));
    // Keys whose later record says that they hold nothing, or nothing that is there.
    let mut gone = HashSet::new();
    let now = tier.clock.now().0;
    for (at, (turn, segment)) in order.into_iter().enumerate() {
        let footer = segments::footer_of(tier, segment, turn);
        let is_full = footer.is_some();
        let (footer, end) = footer.map_or_else(|| segments::scan(tier, segment, turn), |footer| (footer, 0));
        if footer.written > now.saturating_add(CLOCK_TOLERANCE_MILLIS) {
            tier.recovery.distrusted_turn.fetch_max(turn, Ordering::SeqCst);
        }
        tier.recovery.newest_stamp.fetch_max(footer.newest_stamp, Ordering::SeqCst);
        find(tier, segment, &footer, &mut bodies, &mut gone);
        if at == 0 && !is_full {
            log.open = Some(Open::new(segment, turn, end, footer));
        } else {
            log.sealed.push_front(segment);
        }
    }
    // Slices whose head is not there.
    let unknown = bodies.into_values().flatten().map(|header| header.slot);
    tier.slots.add_free(unknown.collect::<Vec<_>>().into_iter());
    log.count(tier);
    heat::warm(tier);
    if tier.recovery.distrusted_turn.load(Ordering::SeqCst) > 0 {
        tier.tell(
            true,
            format!(
                "{}: the clock is earlier than it was when the store was last written: everything in it counts as expired",
                tier.path.display()
            ),
        );
    }
    *tier.recovery.removed.lock() = None;
    tier.recovery.is_done.store(true, Ordering::SeqCst);
    tier.tell(
        false,
        format!(
            "{}: {} entries on disk, {} of them with large bodies, after {:.1} s",
            tier.path.display(),
            tier.index.len(),
            tier.objects.len(),
            tier.clock.now().0.saturating_sub(now) as f64 / 1000.0
        ),
    );
    log
}

/// Slices by the number of their body.
type Bodies = HashMap<u64, Vec<SlotHeader>>;

/// Reads which slots hold what. Slots beyond the tier's bound are cut off.
fn read_table(tier: &Arc<Tier>) -> Bodies {
    let mut bodies = Bodies::new();
    let length = |file: &std::fs::File| file.metadata().map_or(0, |metadata| metadata.len());
    let per_extent = tier.unit_bytes() / SLICE_BYTES as u64;
    let extent_table = per_extent * SLOT_HEADER_BYTES as u64;
    // If the tier has become smaller, both kinds have to.
    let n_segments = length(&tier.files.segments).div_ceil(tier.unit_bytes()).min(tier.least_units().into());
    let most = u64::from(tier.n_units) - n_segments;
    let n_extents = length(&tier.files.slots).div_ceil(tier.unit_bytes()).min(most);
    // Files that were cut off are filled up again: what is missing is nothing.
    for (file, n_bytes) in [(&tier.files.slots, tier.unit_bytes()), (&tier.files.table, extent_table)] {
        if length(file) != n_extents * n_bytes
            && let Err(error) = file.set_len(n_extents * n_bytes)
        {
            tier.write_failed(&error);
            return bodies;
        }
    }
    for extent in 0..n_extents {
        let Some(slots) = tier.slots.add_extent() else { break };
        let mut table = vec![0; usize::try_from(extent_table).unwrap_or(0)];
        if let Err(error) = tier.files.table.read_exact_at(&mut table, extent * extent_table) {
            tier.health.read_failed(tier, &error);
        }
        let mut free = Vec::new();
        for (slot, bytes) in slots.zip(table.chunks_exact(SLOT_HEADER_BYTES)) {
            match SlotHeader::decode(bytes, slot) {
                Some(header) => bodies.entry(header.object).or_default().push(header),
                None => free.push(slot),
            }
        }
        tier.slots.add_free(free.into_iter());
    }
    bodies
}

/// Reads which segments are in use, with their turns. Those beyond the tier's bound are cut off.
fn read_segment_headers(tier: &Arc<Tier>) -> (Log, Vec<(u64, u32)>) {
    let file = &tier.files.segments;
    let unit = tier.unit_bytes();
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut turns = Vec::new();
    let mut order = Vec::new();
    let mut absent = Vec::new();
    for segment in 0..u32::try_from(length.div_ceil(unit)).unwrap_or(u32::MAX) {
        let turn = turn_of(tier, segment).unwrap_or(0);
        turns.push(turn);
        if turn == 0 {
            absent.push(segment);
        } else {
            order.push((turn, segment));
        }
    }
    // Fewer units than there were: the oldest segments go.
    order.sort_unstable();
    let most = tier.n_units.saturating_sub(tier.slots.n_extents()) as usize;
    for (_, segment) in order.drain(..order.len().saturating_sub(most)) {
        turns[segment as usize] = 0;
        absent.push(segment);
    }
    for segment in &absent {
        if let Err(error) = system::give_back(file, u64::from(*segment) * unit, unit) {
            tier.write_failed(&error);
        }
    }
    if !length.is_multiple_of(unit)
        && let Err(error) = file.set_len(length.next_multiple_of(unit))
    {
        tier.write_failed(&error);
    }
    let log = Log { turns, sealed: Default::default(), free: Vec::new(), absent, open: None };
    (log, order)
}

/// The turn of a segment, by its header or, should that be damaged, by its first record, which is of the same turn.
fn turn_of(tier: &Tier, segment: u32) -> Option<u64> {
    let (file, at) = (&tier.files.segments, u64::from(segment) * tier.unit_bytes());
    let mut header = [0; SEGMENT_HEADER_BYTES];
    file.read_exact_at(&mut header, at).ok()?;
    if let Some(turn) = format::decode_segment_header(&header, tier.superblock.instance) {
        return Some(turn);
    }
    let mut record = [0; record::PREFIX_BYTES];
    file.read_exact_at(&mut record, at + SEGMENT_HEADER_BYTES as u64).ok()?;
    let mut bytes = vec![0; record::peek(&record)?];
    file.read_exact_at(&mut bytes, at + SEGMENT_HEADER_BYTES as u64).ok()?;
    let turn = record::decode(&bytes)?.turn;
    tier.found_bad("the header of a segment");
    Some(turn)
}

/// Puts what a segment holds into the index, unless something later is known.
fn find(tier: &Arc<Tier>, segment: u32, footer: &Footer, bodies: &mut Bodies, gone: &mut HashSet<Key>) {
    for entry in footer.entries.iter().rev() {
        if gone.contains(&entry.key) {
            continue;
        }
        let place = Place::new(segment, entry.offset, entry.length, entry.what == What::Head);
        let is_found = match entry.what {
            What::Removal => false,
            What::Whole => true,
            What::Head => match find_body(tier, entry.key, entry.object, bodies) {
                Some(is_found) => is_found,
                // It holds something later.
                None => continue,
            },
        };
        if !is_found {
            if tier.index.look(entry.key).is_none() {
                gone.insert(entry.key);
            }
            continue;
        }
        if tier.index.put(entry.key, place, 0, |_| true) == Put::New {
            tier.live_record_bytes.fetch_add(u64::from(entry.length), Ordering::Relaxed);
        }
        // After it was put in: whoever takes it out first says so, and then looks.
        if tier.recovery.removed.lock().as_ref().is_some_and(|removed| removed.contains(&entry.key))
            && let Some(place) = tier.index.take(entry.key, Place::is_pending)
        {
            gone.insert(entry.key);
            tier.taken_out(entry.key, place);
        }
    }
}

/// Puts a body together from its slices. `Some(false)`: none is there. `None`: its key holds something else by now.
fn find_body(tier: &Arc<Tier>, key: Key, number: u64, bodies: &mut Bodies) -> Option<bool> {
    if tier.index.holds(key) {
        return None;
    }
    let Some(first) = bodies.get(&number).and_then(|headers| headers.first()).filter(|header| header.key == key) else {
        return Some(false);
    };
    let n_bytes = first.body_bytes;
    let object = Arc::new(Object::new(number, key, n_bytes));
    if !tier.objects.put_new(&object) {
        return None;
    }
    let mut unused = Vec::new();
    for header in bodies.remove(&number).unwrap_or_default() {
        let is_one = header.key == key && header.body_bytes == n_bytes;
        if is_one && object.slot(header.slice) == NO_SLOT {
            tier.slots.fill(header.slot, &object, header.slice, &header.sums, false);
            object.change(header.slice, NO_SLOT, header.slot);
        } else {
            unused.push(header.slot);
        }
    }
    tier.slots.add_free(unused.into_iter());
    Some(true)
}
