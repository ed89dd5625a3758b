//! What people ask: how the tier is, what it holds, whether that is still what was written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bodega_semantics::Key;
use parking_lot::{Condvar, Mutex};

use super::counters::get;
use super::index::Place;
use super::slots::Pin;
use super::tier::Tier;
use super::types::{
    Described, DescribedBody, DescribedSlice, DiskUsage, VERIFY_BYTES_PER_SECOND, VerifyProgress, VerifyReport,
};
use super::{format, record};
use crate::slice::SLICE_BYTES;

/// A look is had at the clock, and progress told, this often.
const STEP_BYTES: u64 = 8 << 20;

impl Tier {
    pub(super) fn usage(&self) -> DiskUsage {
        let (n_slots, n_slots_used, slots_memory) = self.slots.usage();
        let n_segments = self.n_segments.load(Ordering::Relaxed);
        let counters = &self.counters;
        let units = u64::from(n_segments + self.slots.n_extents());
        DiskUsage {
            is_up: self.is_open(),
            reason: self.health.reason(),
            is_recovered: self.recovery.is_done.load(Ordering::SeqCst),
            n_entries: self.index.len() as u64,
            n_bodies: self.objects.len() as u64,
            used_bytes: units * self.unit_bytes() + u64::from(n_slots) * format::SLOT_HEADER_BYTES as u64,
            capacity_bytes: self.options.size_bytes,
            record_bytes: self.live_record_bytes.load(Ordering::Relaxed),
            n_segments: n_segments.into(),
            n_slots: n_slots.into(),
            n_slots_used: n_slots_used.into(),
            index_bytes: self.index.memory_bytes() + slots_memory,
            queue_bytes: self.queue.n_bytes(),
            n_reads: get(&counters.n_reads),
            bytes_read: get(&counters.bytes_read),
            n_waits: get(&counters.n_waits),
            n_writes: get(&counters.n_writes),
            record_bytes_admitted: get(&counters.record_bytes_admitted),
            record_bytes_written: get(&counters.record_bytes_written),
            slice_bytes_admitted: get(&counters.slice_bytes_admitted),
            slice_bytes_written: get(&counters.slice_bytes_written),
            n_dropped: get(&counters.n_dropped),
            n_reads_refused: get(&counters.n_reads_refused),
            n_evictions: get(&counters.n_evictions),
            n_checksum_failures: get(&counters.n_checksum_failures),
            n_errors: get(&counters.n_errors),
        }
    }

    pub(super) fn describe(&self, key: Key) -> Option<Described> {
        let (place, hits) = self.index.look(key)?;
        let body = self.objects.get(key).filter(|_| place.is_head).map(|object| DescribedBody {
            object: object.number,
            n_bytes: object.n_bytes,
            n_slices: object.n_slices(),
            slices: object
                .present()
                .map(|(slice, slot)| DescribedSlice {
                    slice,
                    slot,
                    is_checked: self.slots.slot(slot).is_some_and(|slot| slot.is_checked(0..format::BLOCKS)),
                })
                .collect(),
        });
        Some(Described {
            key,
            hits: hits.into(),
            record_bytes: place.length.into(),
            segment: place.segment.into(),
            offset: place.offset(),
            body,
        })
    }

    /// Checks everything. `is_over` ends it early.
    pub(super) fn verify(
        self: &Arc<Self>,
        bytes_per_second: u64,
        progress: &mut dyn FnMut(VerifyProgress) -> bool,
    ) -> VerifyReport {
        let mut report = VerifyReport::default();
        let usage = self.usage();
        let total_bytes = usage.record_bytes + usage.n_slots_used * SLICE_BYTES as u64;
        let (began, mut told) = (Instant::now(), 0);
        let mut goes_on = |report: &VerifyReport| {
            if report.checked_bytes < told + STEP_BYTES {
                return true;
            }
            told = report.checked_bytes;
            let due = Duration::from_secs_f64(report.checked_bytes as f64 / bytes_per_second.max(1) as f64);
            wait(due.saturating_sub(began.elapsed()));
            self.is_open()
                && progress(VerifyProgress { checked_bytes: report.checked_bytes, total_bytes, n_bad: report.n_bad })
        };
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            let (keys, next) = self.index.page(at, 1);
            cursor = next;
            for key in keys {
                if let Some((place, _)) = self.index.look(key).filter(|(place, _)| !place.is_pending()) {
                    self.verify_record(key, place, &mut report);
                }
                if !goes_on(&report) {
                    return report;
                }
            }
        }
        for slot in 0..usage.n_slots.try_into().unwrap_or(u32::MAX) {
            self.verify_slot(slot, &mut report);
            if !goes_on(&report) {
                return report;
            }
        }
        report.is_complete = self.is_open();
        report
    }

    fn verify_record(self: &Arc<Self>, key: Key, place: Place, report: &mut VerifyReport) {
        let mut bytes = Vec::new();
        let at = u64::from(place.segment) * self.unit_bytes() + place.offset();
        let read = self.read(&self.files.segments, &mut bytes, place.length as usize, at, true);
        report.n_records += 1;
        report.checked_bytes += u64::from(place.length);
        let is_right = read.is_ok() && record::decode(&bytes).is_some_and(|record| record.key == key);
        if !is_right && let Some(place) = self.index.take(key, |held| *held != place) {
            self.taken_out(key, place);
            self.found_bad("a record");
            report.n_bad += 1;
        }
    }

    pub(super) fn verify_slot(self: &Arc<Self>, slot: u32, report: &mut VerifyReport) {
        let Some((object, slice)) = self.slots.holder(slot) else { return };
        let Some(pin) = Pin::of(self, &object, slice).filter(|pin| pin.number() == slot) else { return };
        let Some(held) = pin.slot() else { return };
        let n_bytes = super::objects::slice_bytes(object.n_bytes, slice).unwrap_or(0) as usize;
        let mut bytes = Vec::new();
        let read = self.read(&self.files.slots, &mut bytes, n_bytes, u64::from(slot) * SLICE_BYTES as u64, true);
        report.n_slices += 1;
        report.checked_bytes += n_bytes as u64;
        if read.is_err() || !held.check(0, &bytes) {
            self.found_bad_slice(&object, slice, slot);
            report.n_bad += 1;
        }
    }

    pub(super) fn verify_at_usual_rate(
        self: &Arc<Self>,
        progress: &mut dyn FnMut(VerifyProgress) -> bool,
    ) -> VerifyReport {
        self.verify(VERIFY_BYTES_PER_SECOND, progress)
    }
}

/// Waits; nobody wakes it.
fn wait(time: Duration) {
    if !time.is_zero() {
        let nobody = Mutex::new(());
        Condvar::new().wait_for(&mut nobody.lock(), time);
    }
}
