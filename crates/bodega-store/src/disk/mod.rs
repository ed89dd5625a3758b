//! The disk tier: small answers as records in segments, large bodies by slice in slots.
//!
//! What is here is asked by the machine on serving threads, and never waits for the disk; what takes time takes a
//! callback, which runs on a thread of the tier's own. See `docs/concepts/store.md`, and `store-format.md` for bytes.

mod ask;
mod body;
mod buffers;
mod counters;
mod format;
mod health;
mod heat;
mod index;
mod inspect;
mod keeper;
mod objects;
mod queue;
mod record;
mod recover;
mod segments;
mod slots;
mod space;
mod system;
mod tier;
mod types;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use bodega_semantics::{Key, Timestamp};
use parking_lot::{Condvar, Mutex};

pub use body::DiskBody;
pub use format::{Footer, FooterEntry, VERSION, What};
pub use record::{Answer, Record, decode as decode_record};
pub use segments::read_segment;
pub use types::{
    Admission, Described, DescribedBody, DescribedSlice, DiskError, DiskEvent, DiskOptions, DiskUsage, Events,
    FLUSH_WAIT, FileNow, FileRange, MakePolicy, Offered, Read, TryLoad, VERIFY_BYTES_PER_SECOND, VerifyProgress,
    VerifyReport,
};

use crate::entry::{Entry, NewEntry};
use keeper::{Kept, Timing};
use tier::Tier;

/// The most that one `DiskBody::try_read` gives.
pub const READ_BYTES: u64 = 256 << 10;

/// The largest answer that is one record, with its head; larger ones are a head and slices.
pub const MAX_RECORD_BYTES: u64 = 256 << 10;

/// The tier.
pub struct Disk {
    path: PathBuf,
    kept: Arc<Kept>,
    keeper: Option<std::thread::JoinHandle<()>>,
}

impl Disk {
    /// Takes the directory, and begins to find what is in it, on a thread of its own.
    ///
    /// # Errors
    /// If the directory is in use, not a store of this version, or the system refuses.
    pub fn open(options: DiskOptions, now: Timestamp, events: Events) -> Result<Arc<Self>, DiskError> {
        Self::open_with(options, now, events, Timing::default())
    }

    fn open_with(options: DiskOptions, now: Timestamp, events: Events, timing: Timing) -> Result<Arc<Self>, DiskError> {
        let failed = {
            let path = options.path.clone();
            move |what| move |source| DiskError::System { path, what, source }
        };
        let tier = Tier::open(&Arc::new(options), &Arc::new(events), now, None)?;
        let kept = Arc::new(Kept {
            devices: keeper::devices(&tier.path).map_err(failed.clone()("look at"))?,
            tier: ArcSwap::new(tier),
            is_ending: Mutex::new(false),
            ends: Condvar::new(),
        });
        let keeper = {
            let kept = Arc::clone(&kept);
            std::thread::Builder::new().name("disk-keep".to_owned()).spawn(move || keeper::run(&kept, &timing))
        };
        Ok(Arc::new(Self {
            path: kept.tier.load().path.clone(),
            kept,
            keeper: Some(keeper.map_err(failed("start a thread for"))?),
        }))
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret of all keys in it.
    #[must_use]
    pub fn secret(&self) -> [u8; 16] {
        self.kept.tier.load().superblock.secret
    }

    /// Whether everything on disk has been found.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.kept.tier.load().recovery.is_done.load(Ordering::SeqCst)
    }

    /// Whether it is in use.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.kept.tier.load().is_open()
    }

    /// The highest stamp of anything on disk, once it is recovered.
    #[must_use]
    pub fn newest_stamp(&self) -> u64 {
        self.kept.tier.load().recovery.newest_stamp.load(Ordering::SeqCst)
    }

    /// The largest object that is kept: half of the tier.
    #[must_use]
    pub fn max_object_bytes(&self) -> u64 {
        self.kept.tier.load().max_object_bytes()
    }

    /// Whether the index has `key`. False while the tier is off.
    #[inline]
    #[must_use]
    pub fn holds(&self, key: Key) -> bool {
        self.kept.tier.load().holds(key)
    }

    /// What `key` holds, counted as asked for, if that can be had without waiting.
    #[must_use]
    pub fn try_load(&self, key: Key) -> TryLoad {
        self.kept.tier.load().try_load(key)
    }

    /// The same by a reading thread. `None`: it was not there after all, or too many wait.
    pub fn load(&self, key: Key, done: Box<dyn FnOnce(Option<Entry>) + Send>) {
        self.kept.tier.load().load(key, done);
    }

    /// Says that somebody has given up waiting for a read. After several in a row the disk is not asked any more.
    pub fn gave_up(&self) {
        let tier = self.kept.tier.load();
        tier.health.read_is_late(&tier);
    }

    /// Offers a whole answer, or a new head over a body on disk. `asked_again`: it has been asked for more than once.
    pub fn offer(&self, entry: &Entry, asked_again: bool) -> Offered {
        self.kept.tier.load().offer(entry, asked_again)
    }

    /// Whether something under this key may come in; remembers that it was asked for.
    #[must_use]
    pub fn admits(&self, key: Key, size_bytes: u64) -> bool {
        self.kept.tier.load().admits(key, size_bytes)
    }

    /// Takes out what `key` holds.
    pub fn remove(&self, key: Key) {
        self.kept.tier.load().remove(key);
    }

    /// Begins a large body of `n_bytes`: it is in the index at once, its slices follow. `None`: too large, or off.
    #[must_use]
    pub fn begin(&self, new: &NewEntry<'_>, n_bytes: u64) -> Option<Entry> {
        self.kept.tier.load().begin(new, n_bytes)
    }

    /// How it is.
    #[must_use]
    pub fn usage(&self) -> DiskUsage {
        self.kept.tier.load().usage()
    }

    /// Waits until everything queued is written, and keeps the heat. False if that took longer.
    #[must_use]
    pub fn flush(&self, wait: Duration) -> bool {
        let tier = self.kept.tier.load_full();
        tier.queue.wait_written(wait) && heat::keep(&tier)
    }

    /// About `n` keys after a cursor (0 at first), and where to go on; in no order of interest.
    #[must_use]
    pub fn keys(&self, cursor: u64, n: usize) -> (Vec<Key>, Option<u64>) {
        self.kept.tier.load().index.page(cursor, n)
    }

    /// What is known of a key.
    #[must_use]
    pub fn describe(&self, key: Key) -> Option<Described> {
        self.kept.tier.load().describe(key)
    }

    /// Checks every record and slice, at a bounded rate, on the calling thread; `progress` says whether to go on.
    pub fn verify(&self, progress: &mut dyn FnMut(VerifyProgress) -> bool) -> VerifyReport {
        self.kept.tier.load_full().verify_at_usual_rate(progress)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        *self.kept.is_ending.lock() = true;
        self.kept.ends.notify_all();
        self.kept.tier.load().close(FLUSH_WAIT);
        // A thread that waits for a disk that does not answer is left behind.
        if let Some(keeper) = self.keeper.take().filter(|_| self.kept.tier.load().is_idle()) {
            let _ = keeper.join();
        }
    }
}

#[cfg(test)]
mod tests;
