//! One life of a tier: a directory that is held, what is known of it, and the threads that read and write it.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bodega_eviction::noop::Noop;
use bodega_eviction::second_request::SecondRequest;
use bodega_semantics::{Key, Timestamp};
use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex};

use super::buffers::Buffers;
use super::counters::{Counters, add, get};
use super::format::{self, Found, Superblock};
use super::health::Health;
use super::index::Index;
use super::objects::{NO_SLOT, Object, Objects};
use super::queue::{Job, ReadQueue, WriteQueue};
use super::record::Life;
use super::slots::Slots;
use super::types::{DiskError, DiskEvent, DiskOptions, Events};
use super::{recover, system, writer};
use crate::entry::Entry;
use crate::slice::SLICE_BYTES;

/// The smallest tier: sixteen units.
pub(super) const LEAST_BYTES: u64 = 16 * format::MIN_UNIT_BYTES + OVERHEAD_BYTES;
/// Superblock, lock, what other files need at least.
const OVERHEAD_BYTES: u64 = 1 << 20;
/// This part of the tier is for the table of slots, for the heat of entries and for what others keep beside them.
const OVERHEAD_SHARE: u64 = 128;
/// So much is said of bad checksums: once a minute.
const TOLD_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Tier {
    pub(super) path: PathBuf,
    pub(super) options: Arc<DiskOptions>,
    pub(super) events: Arc<Events>,
    pub(super) files: Files,
    pub(super) superblock: Superblock,
    pub(super) clock: Clock,
    /// Units of `unit_bytes`, segments and extents of slots together.
    pub(super) n_units: u32,
    pub(super) index: Index,
    pub(super) objects: Objects,
    pub(super) slots: Slots,
    /// Heads that are in the index and still to be written.
    pub(super) pending: Mutex<HashMap<Key, Entry>>,
    pub(super) queue: WriteQueue,
    pub(super) reads: ReadQueue,
    pub(super) buffers: Buffers,
    pub(super) counters: Counters,
    pub(super) health: Health,
    pub(super) admission: Mutex<SecondRequest>,
    pub(super) recovery: Recovery,
    pub(super) live_record_bytes: AtomicU64,
    pub(super) n_segments: AtomicU32,
    is_closed: AtomicBool,
    can_detach: bool,
    next_number: AtomicU64,
    bad_told: Mutex<Option<Instant>>,
    threads: Threads,
}

/// What is open.
pub(super) struct Files {
    lock: File,
    pub(super) segments: File,
    pub(super) slots: File,
    pub(super) table: File,
    /// By which it is known whether the directory is still the same.
    pub(super) identity: (u64, u64),
}

/// The time, from what it was at the start.
pub(super) struct Clock {
    base: Timestamp,
    started: Instant,
}

/// How far what is on disk has been found.
#[derive(Default)]
pub(super) struct Recovery {
    pub(super) is_done: AtomicBool,
    pub(super) newest_stamp: AtomicU64,
    /// What was written in this turn or before counts as expired: the clock was later then.
    pub(super) distrusted_turn: AtomicU64,
    /// What was taken out meanwhile, and must not be found again.
    pub(super) removed: Mutex<Option<HashSet<Key>>>,
}

#[derive(Default)]
struct Threads {
    n_alive: Mutex<usize>,
    ended: Condvar,
}

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        self.base.plus(self.started.elapsed())
    }
}

impl Tier {
    /// Takes the directory and starts its threads. `secret`: the one that is to be its, if it is begun anew.
    pub(super) fn open(
        options: &Arc<DiskOptions>,
        events: &Arc<Events>,
        now: Timestamp,
        secret: Option<[u8; 16]>,
    ) -> Result<Arc<Self>, DiskError> {
        if options.size_bytes < LEAST_BYTES {
            return Err(DiskError::TooSmall { size_bytes: options.size_bytes, least_bytes: LEAST_BYTES });
        }
        let path = options.path.clone();
        let failed = |what| move |source| DiskError::System { path: options.path.clone(), what, source };
        fs::create_dir_all(&path).map_err(failed("make the directory"))?;
        let lock = take_lock(&path)?;
        let superblock = superblock(options, secret)?;
        let open = |name: &str| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path.join(name))
        };
        let files = Files {
            lock,
            segments: open(SEGMENTS).map_err(failed("open the segments in"))?,
            slots: open(SLOTS).map_err(failed("open the slots in"))?,
            table: open(TABLE).map_err(failed("open the table of slots in"))?,
            identity: identity(&path.join(STORE)).map_err(failed("look at"))?,
        };
        system::expect_random(&files.slots);
        let can_detach = probe_detach(&path);
        let usable = options.size_bytes - OVERHEAD_BYTES - options.size_bytes / OVERHEAD_SHARE;
        let n_units = u32::try_from(usable / superblock.unit_bytes).unwrap_or(u32::MAX / 2);
        let per_extent = u32::try_from(superblock.unit_bytes / SLICE_BYTES as u64).unwrap_or(1);
        let tier = Arc::new(Self {
            options: Arc::clone(options),
            events: Arc::clone(events),
            clock: Clock { base: now, started: Instant::now() },
            n_units,
            index: Index::default(),
            objects: Objects::default(),
            slots: Slots::new(n_units, per_extent, (options.policy)(u64::from(n_units) * superblock.unit_bytes)),
            pending: Mutex::default(),
            queue: WriteQueue::new(options.queue_bytes),
            reads: ReadQueue::default(),
            buffers: Buffers::default(),
            counters: Counters::default(),
            health: Health::default(),
            admission: Mutex::new(SecondRequest::new(Box::new(Noop::default()), options.size_bytes)),
            recovery: Recovery { removed: Mutex::new(Some(HashSet::new())), ..Recovery::default() },
            live_record_bytes: AtomicU64::new(0),
            n_segments: AtomicU32::new(0),
            is_closed: AtomicBool::new(false),
            can_detach,
            // Of each start its own numbers, so that none is given out twice, whatever was lost.
            next_number: AtomicU64::new(u64::from(superblock.n_starts) << 32 | 1),
            bad_told: Mutex::new(None),
            threads: Threads::default(),
            path,
            files,
            superblock,
        });
        tier.start().map_err(failed("start threads for"))?;
        Ok(tier)
    }

    fn start(self: &Arc<Self>) -> io::Result<()> {
        let tier = Arc::clone(self);
        self.spawn("disk-write", move || {
            let log = recover::recover(&tier);
            writer::run(&tier, log);
        })?;
        for _ in 0..self.options.n_readers.max(1) {
            let tier = Arc::clone(self);
            self.spawn("disk-read", move || {
                while let Some(task) = tier.reads.pop() {
                    task();
                }
            })?;
        }
        Ok(())
    }

    fn spawn(self: &Arc<Self>, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        *self.threads.n_alive.lock() += 1;
        let tier = Arc::clone(self);
        let ended = move || {
            *tier.threads.n_alive.lock() -= 1;
            tier.threads.ended.notify_all();
        };
        let counted = ended.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                run();
                ended();
            })
            .map(drop)
            .inspect_err(|_| counted())
    }

    /// Ends it: nothing is read or taken in any more. Waits a while for what is queued, and gives the directory back.
    pub(super) fn close(&self, wait: Duration) {
        self.queue.close();
        self.reads.close();
        let until = Instant::now() + wait;
        let mut n_alive = self.threads.n_alive.lock();
        while *n_alive > 0 {
            if self.threads.ended.wait_until(&mut n_alive, until).timed_out() {
                break;
            }
        }
        self.is_closed.store(true, Ordering::SeqCst);
        self.pending.lock().clear();
        // Whoever still waits for a disk that does not answer keeps the directory until that is over.
        if *n_alive == 0 {
            system::unlock(&self.files.lock);
        }
    }

    /// Whether all its threads have ended.
    pub(super) fn is_idle(&self) -> bool {
        *self.threads.n_alive.lock() == 0
    }

    pub(super) fn life(&self) -> Life {
        Life(self.superblock.n_starts)
    }

    /// Whether its life is over.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Whether it may be asked.
    pub(super) fn is_open(&self) -> bool {
        self.health.is_up() && !self.is_closed()
    }

    pub(super) fn can_detach(&self) -> bool {
        self.can_detach
    }

    pub(super) fn unit_bytes(&self) -> u64 {
        self.superblock.unit_bytes
    }

    /// The next number for a turn of a segment, or an object.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Reads. `Ok(false)`: it would have to wait. `Err`: the disk failed, which is counted.
    pub(super) fn read(
        &self,
        file: &File,
        into: &mut Vec<u8>,
        n_bytes: usize,
        at: u64,
        may_wait: bool,
    ) -> Result<bool, ()> {
        let began = may_wait.then(Instant::now);
        let read = if may_wait {
            system::read_at(file, into, n_bytes, at).map(|()| true)
        } else {
            system::read_now(file, into, n_bytes, at).map(|read| read.is_some())
        };
        if let Some(began) = began.filter(|_| read.is_ok()) {
            self.health.read_came(self, began.elapsed());
        }
        read.map_err(|error| self.read_failed(&error))
    }

    /// Waits for a range of a file that is on its way into memory. `Err`: the disk failed, which is counted.
    pub(super) fn wait_for(&self, file: &File, at: u64, n_bytes: u64) -> Result<(), ()> {
        let began = Instant::now();
        let came = system::wait_for(file, at, n_bytes);
        if came.is_ok() {
            self.health.read_came(self, began.elapsed());
        }
        came.map_err(|error| self.read_failed(&error))
    }

    fn read_failed(&self, error: &io::Error) {
        add(&self.counters.n_errors, 1);
        // A file that was cut off is damage, not a disk that fails.
        if error.kind() != io::ErrorKind::UnexpectedEof {
            self.health.read_failed(self, error);
        }
    }

    /// Gives a task to a reading thread. If too many wait it is told so, here and now.
    pub(super) fn read_later(&self, task: Box<dyn FnOnce(bool) + Send>) {
        let task = Arc::new(Mutex::new(Some(task)));
        let later = Arc::clone(&task);
        let run = move |may_wait| {
            if let Some(task) = later.lock().take() {
                task(may_wait);
            }
        };
        if self
            .reads
            .push(Box::new({
                let run = run.clone();
                move || run(true)
            }))
            .is_err()
        {
            add(&self.counters.n_reads_refused, 1);
            run(false);
        }
    }

    /// A slice that is not what was written: it is missing from now on.
    pub(super) fn found_bad_slice(&self, object: &Arc<Object>, slice: u32, slot: u32) {
        if self.drop_slice(object, slice, slot) {
            self.found_bad("a slice of a body");
        }
    }

    /// A slice that cannot be had. False: it had gone already.
    pub(super) fn drop_slice(&self, object: &Arc<Object>, slice: u32, slot: u32) -> bool {
        let is_there = object.change(slice, slot, NO_SLOT);
        if is_there {
            self.queue.push_small(|_| Job::Bad { slot, object: object.number, slice });
        }
        is_there
    }

    /// Something was not what was written.
    pub(super) fn found_bad(&self, what: &str) {
        add(&self.counters.n_checksum_failures, 1);
        let mut told = self.bad_told.lock();
        if told.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        drop(told);
        let n = get(&self.counters.n_checksum_failures);
        self.tell(
            true,
            format!(
                "{}: the checksum of {what} is wrong, it is fetched anew ({n} since the start): have the disk checked",
                self.path.display()
            ),
        );
    }

    pub(super) fn tell(&self, is_problem: bool, message: String) {
        (self.events)(DiskEvent { is_problem, message });
    }
}

pub(super) fn identity(store: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(store)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Tries on a file of its own, since it is too late once pages have been handed out.
fn probe_detach(path: &Path) -> bool {
    let name = path.join(PROBE);
    let probe = || -> io::Result<bool> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&name)?;
        file.set_len(8192)?;
        system::detach(&file, 0, 4096)
    };
    // Only a file system that says so cannot; a full one, say, will be able to.
    let can = probe().unwrap_or(true);
    let _ = fs::remove_file(&name);
    can
}

fn take_lock(path: &Path) -> Result<File, DiskError> {
    let failed = |source| DiskError::System { path: path.to_owned(), what: "lock", source };
    let name = path.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(name)
        .map_err(failed)?;
    if !system::lock(&file).map_err(failed)? {
        let mut pid = String::new();
        let _ = (&file).take(32).read_to_string(&mut pid);
        return Err(DiskError::Locked { path: path.to_owned(), pid: pid.trim().parse().ok() });
    }
    let write = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    write.map_err(failed)?;
    Ok(file)
}

/// Reads the superblock, or begins a store, and counts this start.
fn superblock(options: &DiskOptions, secret: Option<[u8; 16]>) -> Result<Superblock, DiskError> {
    let path = &options.path;
    let failed = |what| move |source| DiskError::System { path: path.clone(), what, source };
    let bytes = match read_bounded(&path.join(STORE), 2 * format::SUPERBLOCK_BYTES as u64) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read the store in")(error)),
    };
    let mut block = match bytes.as_deref().map(Superblock::decode) {
        Some(Found::Ours(block)) => block,
        Some(Found::Other(found)) if !options.rebuild => {
            return Err(DiskError::Version { path: path.clone(), found, expected: format::VERSION });
        }
        Some(Found::Damaged) if !options.rebuild => {
            return Err(DiskError::NotAStore { path: path.clone(), what: "the file `store` in it is damaged" });
        }
        found => {
            // Without the file that names it a store, only a directory without any others' files is begun in.
            let stranger = fs::read_dir(path)
                .map_err(failed("list"))?
                .filter_map(Result::ok)
                .find(|entry| !OWN.iter().any(|own| entry.file_name().as_encoded_bytes().starts_with(own.as_bytes())));
            if found.is_none() && stranger.is_some() && !options.rebuild {
                return Err(DiskError::NotAStore {
                    path: path.clone(),
                    what: "there are files of something else in it",
                });
            }
            for name in [STORE, SEGMENTS, SLOTS, TABLE, HEAT] {
                match fs::remove_file(path.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed("empty")(error));
                    }
                    _ => {}
                }
            }
            let random = system::random().map_err(failed("make a secret for"))?;
            Superblock {
                instance: u64::from_le_bytes(system::random().map_err(failed("make a number for"))?),
                unit_bytes: unit_bytes(options.size_bytes),
                n_starts: 0,
                secret: secret.unwrap_or(random),
            }
        }
    };
    block.n_starts += 1;
    write_whole(path, STORE, &block.encode()).map_err(failed("write the store in"))?;
    Ok(block)
}

/// 64 MiB, or less where the tier has less than 64 of them.
fn unit_bytes(size_bytes: u64) -> u64 {
    let part = (size_bytes / 64).clamp(format::MIN_UNIT_BYTES, format::MAX_UNIT_BYTES);
    1 << part.ilog2()
}

/// Writes a small file so that it is there whole or not at all, and is still there after the power failed.
pub(super) fn write_whole(path: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = path.join(format!("{name}{NEW}"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path.join(name))?;
    File::open(path)?.sync_all()
}

/// Reads a file that is at most `most` long: no more of it than that.
pub(super) fn read_bounded(name: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(name)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

const LOCK: &str = "lock";
pub(super) const STORE: &str = "store";
const SEGMENTS: &str = "segments";
const SLOTS: &str = "slots";
const TABLE: &str = "slots.table";
pub(super) const HEAT: &str = "heat";
pub(super) const PROBE: &str = "probe";
const NEW: &str = ".new";
/// Files whose names begin so are ours, or of those who keep what belongs to the store beside it.
const OWN: &[&str] = &[LOCK, STORE, SEGMENTS, SLOTS, HEAT, PROBE, "invalidations", "control-", "lost+found"];
