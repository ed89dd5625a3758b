//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that only grow.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) n_reads: AtomicU64,
    pub(super) bytes_read: AtomicU64,
    pub(super) n_waits: AtomicU64,
    pub(super) n_writes: AtomicU64,
    pub(super) record_bytes_admitted: AtomicU64,
    pub(super) record_bytes_written: AtomicU64,
    pub(super) slice_bytes_admitted: AtomicU64,
    pub(super) slice_bytes_written: AtomicU64,
    pub(super) n_dropped: AtomicU64,
    pub(super) n_reads_refused: AtomicU64,
    pub(super) n_evictions: AtomicU64,
    pub(super) n_checksum_failures: AtomicU64,
    pub(super) n_errors: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(super) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(super) fn reads(&self, n: u64, n_bytes: u64) {
        add(&self.n_reads, n);
        add(&self.bytes_read, n_bytes);
    }

    pub(super) fn waits(&self, n: u64) {
        add(&self.n_waits, n);
    }

    pub(super) fn dropped(&self, n: u64) {
        add(&self.n_dropped, n);
    }

    pub(super) fn evicted(&self, n: u64) {
        add(&self.n_evictions, n);
    }
}
