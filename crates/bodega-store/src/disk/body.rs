//! A body on disk, by slice.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::types::{FileNow, FileRange, Read};
use crate::slice::Slice;

/// A body on disk. What of it is there changes at any time; what it is never does.
pub struct DiskBody {
    n_bytes: u64,
}

impl DiskBody {
    /// Its length.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// The number that no other body of this store has.
    #[must_use]
    pub fn object(&self) -> u64 {
        0
    }

    /// How many slices it is cut into.
    #[must_use]
    pub fn n_slices(&self) -> u32 {
        0
    }

    /// Whether a slice is there.
    #[must_use]
    pub fn has(&self, _slice: u32) -> bool {
        false
    }

    /// Queues a whole slice to be written. False: it was dropped.
    pub fn put(&self, _slice: u32, _bytes: Arc<Slice>) -> bool {
        false
    }

    /// Bytes at `at` up to `end`, at most to the end of the slice and `READ_BYTES`, without waiting.
    #[must_use]
    pub fn try_read(&self, _at: u64, _end: u64) -> Read {
        Read::Missing
    }

    /// The same by a reading thread; never `Read::Wait`.
    pub fn read(&self, _at: u64, _end: u64, done: Box<dyn FnOnce(Read) + Send>) {
        done(Read::Missing);
    }

    /// For `sendfile`: bytes at `at` up to `end`, at most to the end of the slice, if they are checked and in memory.
    #[must_use]
    pub fn try_file(&self, _at: u64, _end: u64) -> FileNow {
        FileNow::Missing
    }

    /// Checks the slice at `at` and brings it into memory. False: it is missing.
    pub fn prepare(&self, _at: u64, done: Box<dyn FnOnce(bool) + Send>) {
        done(false);
    }
}

impl AsFd for FileRange {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pin.as_fd()
    }
}
