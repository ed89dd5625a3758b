//! A stored answer: what the machine needs to decide, a prebuilt head, and the body.
//!
//! One allocation holds header, head and (up to `INLINE_BYTES`) body: `[EntryHead | status line, fields | note | body]`.
//! Larger bodies are slices of 1 MiB, in memory or on disk. Entries never change; a 304 or a new configuration replaces them.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use bodega_semantics::fields::Block;
use bodega_semantics::storable::Terms;
use bodega_semantics::{Field, Head, Key, groups};
use triomphe::ThinArc;

use crate::disk::DiskBody;
use crate::slice::{SLICE_BYTES, Slice, SliceWriter};

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bodies up to this size lie beside their head in one allocation.
pub const INLINE_BYTES: usize = 64 * 1024;

/// What an entry carries beside its bytes.
pub struct EntryHead {
    /// The key it is found by.
    pub key: Key,
    /// The local sequence number that had been applied when the request to the origin began.
    pub stamp: u64,
    /// How long it is fresh and what may be done afterwards.
    pub terms: Terms,
    /// The configuration revision its terms were computed under.
    pub revision: u64,
    /// What kind of entry this is, and the facts about the request that brought it.
    pub kind: Kind,
    /// The status code.
    pub status: u16,
    /// Whether the request that brought it named a user (cookies, authorization, forwarded fields outside the key).
    pub for_user: bool,
    /// Whether its fields name cache groups (RFC 9875).
    pub has_groups: bool,
    status_line_bytes: u8,
    head_bytes: u32,
    note_bytes: u32,
    apart: Option<Box<Apart>>,
    /// Up to which number of the sequence no invalidation has reached it: at first that is its stamp.
    checked: AtomicU64,
    slot: AtomicU32,
    hits: AtomicU8,
    /// `ASKED` and `AHEAD`.
    flags: AtomicU8,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer.
    Answer,
    /// Says which request fields the answers under this key vary by; the body lists the names, one a line.
    VaryNames,
    /// A part of an answer that is stored as an incomplete 200; its `Content-Range` says which.
    Part,
    /// Remembers that answers under this key are not for sharing, so that nobody waits to collapse.
    Uncacheable,
}

/// A body that is too large to lie beside its head.
#[derive(Clone)]
pub struct SlicedBody {
    /// Full slices, all of the same capacity but the last.
    pub slices: Arc<[Arc<Slice>]>,
    /// The length of the body.
    pub n_bytes: u64,
}

/// A body that lies elsewhere.
enum Apart {
    Slices(SlicedBody),
    Disk(Arc<DiskBody>),
}

/// The body of an entry, borrowed.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// One piece.
    Inline(&'a [u8]),
    /// Slices.
    Slices(&'a SlicedBody),
    /// On disk, as far as it is there: what reads it asks it, and may have to wait.
    Disk(&'a Arc<DiskBody>),
}

impl<'a> Body<'a> {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Slices(body) => body.n_bytes,
            Self::Disk(body) => body.n_bytes(),
        }
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes `from..to`, in the pieces they lie in. None of a body on disk.
    pub fn pieces(self, from: u64, to: u64) -> impl Iterator<Item = &'a [u8]> {
        let bound = |n_bytes: u64| usize::try_from(n_bytes).unwrap_or(usize::MAX);
        let (from, to) = (bound(from), bound(to));
        let (inline, slices): (Option<&[u8]>, &[Arc<Slice>]) = match self {
            Self::Inline(bytes) => (Some(bytes), &[]),
            Self::Slices(body) => (None, &body.slices),
            Self::Disk(_) => (None, &[]),
        };
        let mut start = 0;
        inline.into_iter().chain(slices.iter().map(|slice| slice.filled())).filter_map(move |piece| {
            let (begin, end) = (start, start + piece.len());
            start = end;
            (end > from && begin < to).then(|| &piece[from.saturating_sub(begin)..piece.len().min(to - begin)])
        })
    }
}

/// What an entry is stored for, in words and one a line: its distribution, its URL as the key has it, its tags. Keys are
/// hashes, and patterns and people need more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note<'a>(pub &'a [u8]);

impl<'a> Note<'a> {
    /// The note of `url` (`host/path?query`, without the host where it is not in the key) with `tags`. None of them
    /// holds what would end a line.
    #[must_use]
    pub fn write<'t>(distribution: &str, url: &str, tags: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
        let mut note = Vec::with_capacity(distribution.len() + 1 + url.len());
        note.extend_from_slice(distribution.as_bytes());
        note.push(b'\n');
        note.extend_from_slice(url.as_bytes());
        for tag in tags {
            note.push(b'\n');
            note.extend_from_slice(tag.as_bytes());
        }
        note
    }

    /// The same distribution and URL with `tags`.
    #[must_use]
    pub fn with_tags<'t>(self, tags: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
        Self::write(self.distribution(), self.url(), tags)
    }

    /// The name of its distribution.
    #[must_use]
    pub fn distribution(self) -> &'a str {
        self.lines().next().unwrap_or_default()
    }

    /// Its URL, as the key has it.
    #[must_use]
    pub fn url(self) -> &'a str {
        self.lines().nth(1).unwrap_or_default()
    }

    /// Its tags.
    pub fn tags(self) -> impl Iterator<Item = &'a str> + Clone {
        self.lines().skip(2).filter(|line| !MARKERS.contains(line))
    }

    /// Whether what it is of expired by a soft invalidation, and not by its own terms.
    #[must_use]
    pub fn is_softened(self) -> bool {
        self.has_marker(SOFTENED)
    }

    /// The same of what has expired by a soft invalidation.
    #[must_use]
    pub fn softened(self) -> Vec<u8> {
        self.marked(SOFTENED)
    }

    /// Whether what it is of may be used only once its origin has confirmed it.
    #[must_use]
    pub fn is_unconfirmed(self) -> bool {
        self.has_marker(UNCONFIRMED)
    }

    /// The same of what may be used only once its origin has confirmed it.
    #[must_use]
    pub fn unconfirmed(self) -> Vec<u8> {
        self.marked(UNCONFIRMED)
    }

    fn has_marker(self, marker: &str) -> bool {
        self.lines().skip(2).any(|line| line == marker)
    }

    fn marked(self, marker: &str) -> Vec<u8> {
        let mut note = self.0.to_vec();
        if !self.has_marker(marker) {
            note.push(b'\n');
            note.extend_from_slice(marker.as_bytes());
        }
        note
    }

    /// Its URL taken apart: the host, or what stands for it in the key; the path; the query.
    #[must_use]
    pub fn url_parts(self) -> (&'a str, &'a str, &'a str) {
        let url = self.url();
        let (scope, query) = url.split_once('?').unwrap_or((url, ""));
        let (host, path) = scope.split_at(scope.find('/').unwrap_or(scope.len()));
        (host, path, query)
    }

    fn lines(self) -> impl Iterator<Item = &'a str> + Clone {
        std::str::from_utf8(self.0).unwrap_or_default().split('\n')
    }
}

/// Lines that are no tags: those hold no spaces.
const SOFTENED: &str = "softly invalidated";
const UNCONFIRMED: &str = "to be confirmed";
const MARKERS: [&str; 2] = [SOFTENED, UNCONFIRMED];

/// What a new entry is made of.
pub struct NewEntry<'a> {
    /// The key it is found by.
    pub key: Key,
    /// The local sequence number when the request began.
    pub stamp: u64,
    /// Its terms.
    pub terms: Terms,
    /// The configuration revision of the terms.
    pub revision: u64,
    /// What it is.
    pub kind: Kind,
    /// The status code.
    pub status: u16,
    /// Whether the request named a user.
    pub for_user: bool,
    /// `HTTP/1.1 200 OK\r\n`.
    pub status_line: &'a [u8],
    /// Field lines, as `Fields::as_block` gives them, with `Content-Length`.
    pub block: &'a [u8],
    /// What it is stored for: see `Note`.
    pub note: &'a [u8],
}

/// A handle to a stored answer; cloning is one atomic increment.
#[derive(Clone)]
pub struct Entry(ThinArc<EntryHead, u8>);

impl Entry {
    /// An entry whose body lies beside its head. `body` may be of any length, `INLINE_BYTES` is what is sensible.
    #[must_use]
    pub fn inline(new: &NewEntry<'_>, body: &[u8]) -> Self {
        // Put together in memory that the thread keeps: a short-lived buffer of nearly the entry's size, taken and
        // given back between entries that stay, would leave a hole beside each of them.
        SCRATCH.with_borrow_mut(|bytes| {
            bytes.clear();
            bytes.extend_from_slice(new.status_line);
            bytes.extend_from_slice(new.block);
            bytes.extend_from_slice(new.note);
            bytes.extend_from_slice(body);
            Self(ThinArc::from_header_and_slice(new.header(None), bytes))
        })
    }

    /// An entry whose body is slices.
    #[must_use]
    pub fn sliced(new: &NewEntry<'_>, body: SlicedBody) -> Self {
        let bytes = [new.status_line, new.block, new.note].concat();
        Self(ThinArc::from_header_and_slice(new.header(Some(Box::new(Apart::Slices(body)))), &bytes))
    }

    /// An entry of a whole body in one piece, wherever that lies.
    #[must_use]
    pub fn whole(new: &NewEntry<'_>, body: &[u8]) -> Self {
        if body.len() <= INLINE_BYTES {
            return Self::inline(new, body);
        }
        let slices = body.chunks(SLICE_BYTES).map(|bytes| {
            let mut writer = SliceWriter::with_capacity(bytes.len());
            writer.append(bytes);
            writer.share()
        });
        Self::sliced(new, SlicedBody { slices: slices.collect(), n_bytes: body.len() as u64 })
    }

    /// An entry whose body is on disk.
    #[must_use]
    pub fn on_disk(new: &NewEntry<'_>, body: Arc<DiskBody>) -> Self {
        let bytes = [new.status_line, new.block, new.note].concat();
        Self(ThinArc::from_header_and_slice(new.header(Some(Box::new(Apart::Disk(body)))), &bytes))
    }

    /// What it is made of, to be made again with changes.
    #[must_use]
    pub fn parts(&self) -> NewEntry<'_> {
        NewEntry {
            key: self.key,
            stamp: self.stamp,
            terms: self.terms,
            revision: self.revision,
            kind: self.kind,
            status: self.status,
            for_user: self.for_user,
            status_line: &self.bytes()[..usize::from(self.status_line_bytes)],
            block: self.block().0,
            note: self.note().0,
        }
    }

    /// The same body under another head: after a 304, or when the terms were computed anew.
    #[must_use]
    pub fn with_head(&self, new: &NewEntry<'_>) -> Self {
        match self.body() {
            Body::Inline(body) => Self::inline(new, body),
            Body::Slices(body) => Self::sliced(new, body.clone()),
            Body::Disk(body) => Self::on_disk(new, Arc::clone(body)),
        }
    }

    /// Status line and field lines as they go onto an HTTP/1.1 wire, without the empty line.
    #[must_use]
    pub fn wire_head(&self) -> &[u8] {
        &self.bytes()[..self.head_bytes as usize]
    }

    /// The field lines.
    #[must_use]
    pub fn block(&self) -> Block<'_> {
        Block(&self.bytes()[usize::from(self.status_line_bytes)..self.head_bytes as usize])
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> Body<'_> {
        match self.apart.as_deref() {
            Some(Apart::Slices(body)) => Body::Slices(body),
            Some(Apart::Disk(body)) => Body::Disk(body),
            None => Body::Inline(&self.bytes()[self.body_start()..]),
        }
    }

    /// Its body, if that is on disk.
    #[must_use]
    pub fn disk_body(&self) -> Option<&Arc<DiskBody>> {
        match self.body() {
            Body::Disk(body) => Some(body),
            Body::Inline(_) | Body::Slices(_) => None,
        }
    }

    /// Whether its body is on disk.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        self.disk_body().is_some()
    }

    /// What it is stored for.
    #[must_use]
    pub fn note(&self) -> Note<'_> {
        Note(&self.bytes()[self.head_bytes as usize..self.body_start()])
    }

    fn body_start(&self) -> usize {
        self.head_bytes as usize + self.note_bytes as usize
    }

    /// Bytes of memory this entry takes, with what the index and the allocator need for it.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let body = match self.apart.as_deref() {
            Some(Apart::Slices(body)) => {
                body.slices.iter().map(|slice| (slice.capacity() + SLICE_OVERHEAD_BYTES) as u64).sum::<u64>()
                    + size_of::<Apart>() as u64
            }
            Some(Apart::Disk(_)) => (size_of::<Apart>() + size_of::<DiskBody>()) as u64,
            None => 0,
        };
        (size_of::<EntryHead>() + self.bytes().len() + ENTRY_OVERHEAD_BYTES) as u64 + body
    }

    /// Whether both handles are of one entry.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(&raw const **self, &raw const **other)
    }

    fn bytes(&self) -> &[u8] {
        &self.0.slice
    }

    /// Up to which number of the sequence it is known to have been reached by no invalidation.
    #[inline]
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Remembers that no invalidation up to `number` has reached it.
    pub fn set_checked(&self, number: u64) {
        self.checked.fetch_max(number, Ordering::Relaxed);
    }

    pub(crate) fn count_hit(&self) {
        // A lost increment between two threads costs a little precision of the eviction and saves a locked
        // instruction on every hit; the counter saturates.
        let hits = self.hits.load(Ordering::Relaxed);
        if hits < u8::MAX {
            self.hits.store(hits + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn take_hits(&self) -> u32 {
        let hits = self.hits.swap(0, Ordering::Relaxed);
        if hits > 0 {
            self.flags.fetch_or(ASKED, Ordering::Relaxed);
        }
        u32::from(hits)
    }

    /// How often it was asked for since it was last judged; saturates.
    #[must_use]
    pub fn n_hits(&self) -> u32 {
        u32::from(self.hits.load(Ordering::Relaxed))
    }

    /// Whether it was asked for again since it came.
    #[must_use]
    pub fn was_asked_for(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & ASKED != 0 || self.hits.load(Ordering::Relaxed) > 0
    }

    /// Whether the disk holds an older head of the same body.
    #[must_use]
    pub fn is_ahead_of_disk(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & AHEAD != 0
    }

    /// Says so, or that it has been brought there.
    pub fn set_ahead_of_disk(&self, is_ahead: bool) {
        if is_ahead {
            self.flags.fetch_or(AHEAD, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!AHEAD, Ordering::Relaxed);
        }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Relaxed);
    }
}

impl NewEntry<'_> {
    fn header(&self, apart: Option<Box<Apart>>) -> EntryHead {
        EntryHead {
            key: self.key,
            stamp: self.stamp,
            terms: self.terms,
            revision: self.revision,
            kind: self.kind,
            status: self.status,
            for_user: self.for_user,
            has_groups: Block(self.block).fields().any(|field| field.name.eq_ignore_ascii_case(groups::GROUPS)),
            status_line_bytes: u8::try_from(self.status_line.len()).unwrap_or(u8::MAX),
            head_bytes: u32::try_from(self.status_line.len() + self.block.len()).unwrap_or(u32::MAX),
            note_bytes: u32::try_from(self.note.len()).unwrap_or(u32::MAX),
            apart,
            checked: AtomicU64::new(self.stamp),
            slot: AtomicU32::new(NO_SLOT),
            hits: AtomicU8::new(0),
            flags: AtomicU8::new(0),
        }
    }
}

impl std::ops::Deref for Entry {
    type Target = EntryHead;

    fn deref(&self) -> &EntryHead {
        &self.0.header.header
    }
}

impl Head for Entry {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let block: Block<'_> = self.block();
        block.into_fields()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Entry").field("status", &self.status).field("kind", &self.kind).finish_non_exhaustive()
    }
}

pub(crate) const NO_SLOT: u32 = u32::MAX;
/// It was asked for since it came.
const ASKED: u8 = 1;
/// The disk holds an older head of the same body.
const AHEAD: u8 = 2;
/// Reference count, length, allocator header, a place in the index (at its emptiest), in the slab and in the lists.
const ENTRY_OVERHEAD_BYTES: usize = 8 + 8 + 16 + 21 + 16 + 40;
const SLICE_OVERHEAD_BYTES: usize = 64;
