//! What is said to the disk tier, and what it answers.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bodega_eviction::Eviction;
use bodega_semantics::Key;
use bytes::Bytes;

use super::slots::Pin;
use crate::entry::Entry;

/// Makes the policy of a number of bytes.
pub type MakePolicy = Box<dyn Fn(u64) -> Box<dyn Eviction> + Send + Sync>;

/// How the tier is to be.
pub struct DiskOptions {
    /// Its directory, which it has to itself.
    pub path: PathBuf,
    /// The bound of everything in the directory.
    pub size_bytes: u64,
    /// What of the file system stays free: the tier does not grow into it.
    /// `None`: a twentieth of it, at most 10 GB.
    pub reserve_bytes: Option<u64>,
    /// What may come in.
    pub admission: Admission,
    /// Who goes, of the slices of bodies.
    pub policy: MakePolicy,
    /// Whether a store of another version is thrown away.
    pub rebuild: bool,
    /// What may wait to be written.
    pub queue_bytes: u64,
    /// Threads that read what is not in the system's page cache.
    pub n_readers: usize,
}

impl DiskOptions {
    /// What is usual: admission on the second request, 64 MiB that wait, sixteen reading threads.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, size_bytes: u64, policy: MakePolicy) -> Self {
        Self {
            path: path.into(),
            size_bytes,
            reserve_bytes: Some(0),
            admission: Admission::SecondRequest,
            policy,
            rebuild: false,
            queue_bytes: 64 << 20,
            n_readers: 16,
        }
    }
}

/// What may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// What is asked for a second time before it was forgotten that it had been asked for.
    SecondRequest,
    /// Everything.
    Always,
}

/// Why a directory cannot be a tier.
#[derive(Debug)]
pub enum DiskError {
    /// Another process has it.
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the other process wrote into its lock: its number.
        pid: Option<u32>,
    },
    /// It holds a store of another version.
    Version {
        /// The directory.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// It holds something that is not a store, or one whose beginning is damaged.
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is too small to be worth anything.
    TooSmall {
        /// What was asked for.
        size_bytes: u64,
        /// The least.
        least_bytes: u64,
    },
    /// The system refused.
    System {
        /// What of.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl DiskError {
    /// Whether it is the disk that is unwell, and not what was asked for: its directory, its user, its size.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        let Self::System { source, .. } = self else { return false };
        let unwell = [
            libc::EIO,
            libc::EROFS,
            libc::ENOSPC,
            libc::EDQUOT,
            libc::ENODEV,
            libc::ENXIO,
            libc::ESTALE,
            libc::EUCLEAN,
            libc::ETIMEDOUT,
        ];
        source.raw_os_error().is_some_and(|number| unwell.contains(&number))
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path, pid } => {
                write!(formatter, "{} is in use by another edge", path.display())?;
                match pid {
                    Some(pid) => write!(formatter, " (process {pid})")?,
                    None => write!(formatter, " (its process is not known)")?,
                }
                write!(formatter, ": stop it, or give this one a directory of its own")
            }
            Self::Version { path, found, expected } => write!(
                formatter,
                "{} holds a store of version {found}, and this edge writes version {expected}: set disk.rebuild = true \
                 to throw it away and begin anew, or choose another directory",
                path.display()
            ),
            Self::NotAStore { path, what } => write!(
                formatter,
                "{} cannot be used as a store: {what}; set disk.rebuild = true to throw the store in it away and begin \
                 anew, or choose an empty directory",
                path.display()
            ),
            Self::TooSmall { size_bytes, least_bytes } => {
                write!(formatter, "a disk tier of {size_bytes} bytes is too small: give it at least {least_bytes}")
            }
            Self::System { path, what, .. } => {
                write!(formatter, "cannot {what} {}: see that this user may read and write there", path.display())
            }
        }
    }
}

impl std::error::Error for DiskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Something for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskEvent {
    /// Whether somebody should do something about it.
    pub is_problem: bool,
    /// In words.
    pub message: String,
}

/// Who hears of events.
pub type Events = Box<dyn Fn(DiskEvent) + Send + Sync>;

/// What a look without waiting found.
pub enum TryLoad {
    /// The entry.
    Here(Entry),
    /// Nothing.
    Missing,
    /// It is on disk, and not in memory: `Disk::load` brings it.
    Wait,
}

/// What came of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It will be written.
    Queued,
    /// It has not been asked for often enough.
    NotAdmitted,
    /// Too much waits to be written.
    Full,
    /// Its head and body are not small enough for a record.
    TooLarge,
    /// The tier is off.
    Off,
}

/// A piece of a body.
pub enum Read {
    /// Bytes, checked, from where they were asked for.
    Bytes(Bytes),
    /// The slice is not there.
    Missing,
    /// It has to be waited for.
    Wait,
}

/// A piece of a body for `sendfile`.
pub enum FileNow {
    /// Checked and in memory.
    Ready(FileRange),
    /// The slice is not there.
    Missing,
    /// It has to be checked or brought into memory: `DiskBody::prepare` does.
    Wait,
    /// It waits to be written, or this file system cannot take pages out of a file while they are still being sent:
    /// read the bytes instead.
    Unsupported,
}

/// A range of a file. Its bytes stay what they are until it is dropped, and what `sendfile` has taken of it stays so
/// afterwards, too.
pub struct FileRange {
    pub(super) pin: Pin,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub n_bytes: u64,
}

/// How the tier is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// Whether it is in use.
    pub is_up: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Whether everything on disk has been found.
    pub is_recovered: bool,
    /// Answers in the index, those with large bodies included.
    pub n_entries: u64,
    /// Of which with large bodies.
    pub n_bodies: u64,
    /// Bytes of files.
    pub used_bytes: u64,
    /// Their bound.
    pub capacity_bytes: u64,
    /// Bytes of records that can be found.
    pub record_bytes: u64,
    /// Segments.
    pub n_segments: u64,
    /// Slots there are.
    pub n_slots: u64,
    /// Slots that hold a slice.
    pub n_slots_used: u64,
    /// Memory of the index.
    pub index_bytes: u64,
    /// What waits to be written.
    pub queue_bytes: u64,
    /// Records and pieces of bodies that were read.
    pub n_reads: u64,
    /// Bytes of them.
    pub bytes_read: u64,
    /// Of the reads, those that had to wait for the disk.
    pub n_waits: u64,
    /// Records and slices that were written.
    pub n_writes: u64,
    /// Bytes of records that were admitted.
    pub record_bytes_admitted: u64,
    /// Bytes that were written to segments, with what was written again and footers.
    pub record_bytes_written: u64,
    /// Bytes of slices that were admitted.
    pub slice_bytes_admitted: u64,
    /// Bytes that were written to slots, and to the table of slots.
    pub slice_bytes_written: u64,
    /// What was dropped because too much waited, or the disk failed.
    pub n_dropped: u64,
    /// Reads that were not made because too many waited.
    pub n_reads_refused: u64,
    /// Records and slices that went to make room.
    pub n_evictions: u64,
    /// What was forgotten because its checksum was wrong.
    pub n_checksum_failures: u64,
    /// Errors of the system.
    pub n_errors: u64,
}

/// What the tier knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The key.
    pub key: Key,
    /// How often it was asked for since it was last judged; saturates.
    pub hits: u32,
    /// The length of its record.
    pub record_bytes: u64,
    /// The segment, counted from the beginning of the file.
    pub segment: u64,
    /// Where in the segment it begins.
    pub offset: u64,
    /// Its body, if that is large.
    pub body: Option<DescribedBody>,
}

/// What the tier knows of a large body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedBody {
    /// Its number.
    pub object: u64,
    /// Its length.
    pub n_bytes: u64,
    /// How many slices it is cut into.
    pub n_slices: u32,
    /// Those that are there.
    pub slices: Vec<DescribedSlice>,
}

/// A slice that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribedSlice {
    /// Which one.
    pub slice: u32,
    /// Its slot.
    pub slot: u32,
    /// Whether all of it was checked since the start.
    pub is_checked: bool,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes that were checked.
    pub checked_bytes: u64,
    /// Of so many.
    pub total_bytes: u64,
    /// What turned out bad.
    pub n_bad: u64,
}

/// What a check found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Records that were checked.
    pub n_records: u64,
    /// Slices that were checked.
    pub n_slices: u64,
    /// Bytes that were read.
    pub checked_bytes: u64,
    /// What was bad, and is forgotten now.
    pub n_bad: u64,
    /// Whether it came to the end.
    pub is_complete: bool,
}

/// The rate of a check: so many bytes a second.
pub const VERIFY_BYTES_PER_SECOND: u64 = 256 << 20;

/// How long `flush` is given at a clean stop.
pub const FLUSH_WAIT: Duration = Duration::from_secs(10);
