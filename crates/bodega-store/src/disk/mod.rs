//! The disk tier: small answers as records in segments, large bodies by slice in slots.
//!
//! What is here is asked by the machine on serving threads, and never waits for the disk; what takes time takes a
//! callback, which runs on a thread of the tier's own. See `docs/concepts/store.md`, and `store-format.md` for bytes.

mod body;
mod slots;
mod types;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::{Key, Timestamp};

pub use body::DiskBody;
pub use types::{
    Admission, Described, DescribedBody, DescribedSlice, DiskError, DiskEvent, DiskOptions, DiskUsage, Events,
    FLUSH_WAIT, FileNow, FileRange, MakePolicy, Offered, Read, TryLoad, VERIFY_BYTES_PER_SECOND, VerifyProgress,
    VerifyReport,
};

use crate::entry::{Entry, NewEntry};

/// The most that one `DiskBody::try_read` gives.
pub const READ_BYTES: u64 = 256 << 10;

/// The largest answer that is one record, with its head; larger ones are a head and slices.
pub const MAX_RECORD_BYTES: u64 = 256 << 10;

/// The tier.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Takes the directory, and begins to find what is in it, on a thread of its own.
    ///
    /// # Errors
    /// If the directory is in use, not a store of this version, or the system refuses.
    pub fn open(options: DiskOptions, _now: Timestamp, _events: Events) -> Result<Arc<Self>, DiskError> {
        Ok(Arc::new(Self { path: options.path }))
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret of all keys in it.
    #[must_use]
    pub fn secret(&self) -> [u8; 16] {
        [0; 16]
    }

    /// Whether everything on disk has been found.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        true
    }

    /// The highest stamp of anything on disk, once it is recovered.
    #[must_use]
    pub fn newest_stamp(&self) -> u64 {
        0
    }

    /// The largest object that is kept: half of the tier.
    #[must_use]
    pub fn max_object_bytes(&self) -> u64 {
        0
    }

    /// Whether the index has `key`. False while the tier is off.
    #[inline]
    #[must_use]
    pub fn holds(&self, _key: Key) -> bool {
        false
    }

    /// What `key` holds, counted as asked for, if that can be had without waiting.
    #[must_use]
    pub fn try_load(&self, _key: Key) -> TryLoad {
        TryLoad::Missing
    }

    /// The same by a reading thread. `None`: it was not there after all, or too many wait.
    pub fn load(&self, _key: Key, done: Box<dyn FnOnce(Option<Entry>) + Send>) {
        done(None);
    }

    /// Offers a whole answer, or a new head over a body on disk. `asked_again`: it has been asked for more than once.
    pub fn offer(&self, _entry: &Entry, _asked_again: bool) -> Offered {
        Offered::Off
    }

    /// Whether something under this key may come in; remembers that it was asked for.
    pub fn admits(&self, _key: Key, _size_bytes: u64) -> bool {
        false
    }

    /// Takes out what `key` holds.
    pub fn remove(&self, _key: Key) {}

    /// Begins a large body of `n_bytes`: it is in the index at once, its slices follow. `None`: too large, or off.
    #[must_use]
    pub fn begin(&self, _new: &NewEntry<'_>, _n_bytes: u64) -> Option<Entry> {
        None
    }

    /// How it is.
    #[must_use]
    pub fn usage(&self) -> DiskUsage {
        DiskUsage::default()
    }

    /// Waits until everything queued is written. False if that took longer.
    #[must_use]
    pub fn flush(&self, _wait: Duration) -> bool {
        true
    }

    /// About `n` keys after a cursor (0 at first), and where to go on; in no order of interest.
    #[must_use]
    pub fn keys(&self, _cursor: u64, _n: usize) -> (Vec<Key>, Option<u64>) {
        (Vec::new(), None)
    }

    /// What is known of a key.
    #[must_use]
    pub fn describe(&self, _key: Key) -> Option<Described> {
        None
    }

    /// Checks every record and slice, at a bounded rate, on the calling thread; `progress` says whether to go on.
    pub fn verify(&self, _progress: &mut dyn FnMut(VerifyProgress) -> bool) -> VerifyReport {
        VerifyReport::default()
    }
}
