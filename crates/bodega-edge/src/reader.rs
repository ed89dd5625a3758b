//! The reading side of a fill: a cursor that waits for bytes instead of for the whole.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bodega_semantics::Reason;
use bodega_store::{Body, Entry, Slice};
use bytes::Bytes;

use crate::disk_reader::DiskReader;
use crate::fetch::{BodyStream, FetchError, next_chunk};
use crate::fill::{Fill, Look, ReaderMark};
use crate::resume::{Rest, Resume};

/// A cursor over a fill. Dropping it never breaks the fill for others.
pub struct FillReader {
    fill: Arc<Fill>,
    mark: Arc<ReaderMark>,
    position: u64,
    /// One after the last byte wanted; `None`: to the end.
    end: Option<u64>,
    alone: Alone,
}

/// What becomes of a reader that the window leaves behind.
enum Alone {
    /// It breaks off.
    Never,
    /// It asks for the rest by itself.
    Ready(Box<Resume>),
    /// It has done so.
    Reads(Box<dyn BodyStream>),
    /// It goes on from disk.
    OnDisk(Box<DiskReader>),
    /// And has come to the end.
    Ended,
}

/// A piece of a body: a range of what holds it alive.
pub struct Piece {
    held: Held,
    range: Range<usize>,
}

enum Held {
    Slice(Arc<Slice>),
    Entry(Entry),
    Bytes(Bytes),
}

impl Piece {
    /// What of `entry` lies at `position`, up to `end`, in one piece; `None` where nothing does.
    #[must_use]
    pub fn of_entry(entry: &Entry, position: u64, end: u64) -> Option<Self> {
        let bound = |n_bytes: u64| usize::try_from(n_bytes).unwrap_or(usize::MAX);
        match entry.body() {
            Body::Inline(bytes) => {
                let range = bound(position)..bytes.len().min(bound(end));
                (!range.is_empty()).then(|| Self { held: Held::Entry(entry.clone()), range })
            }
            Body::Slices(body) => {
                let mut start = 0;
                for slice in &*body.slices {
                    let n_bytes = slice.filled().len() as u64;
                    if position < start + n_bytes {
                        let range = bound(position - start)..bound(n_bytes.min(end.saturating_sub(start)));
                        return (!range.is_empty()).then(|| Self { held: Held::Slice(Arc::clone(slice)), range });
                    }
                    start += n_bytes;
                }
                None
            }
            Body::Disk(_) => None,
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        let range = 0..bytes.len();
        Self { held: Held::Bytes(bytes), range }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        let whole = match &self.held {
            Held::Slice(slice) => slice.filled(),
            Held::Entry(entry) => match entry.body() {
                Body::Inline(bytes) => bytes,
                Body::Slices(_) | Body::Disk(_) => &[],
            },
            Held::Bytes(bytes) => bytes,
        };
        whole.get(self.range.clone()).unwrap_or_default()
    }
}

/// What `FillReader::try_next` found.
pub enum Next {
    /// Bytes.
    Piece(Piece),
    /// Nothing yet.
    Wait,
    /// The end of what was wanted.
    End,
    /// The body broke off: the client must see a break, not an end.
    Broken(FetchError),
}

impl FillReader {
    pub(crate) fn new(fill: &Arc<Fill>) -> Self {
        Self { fill: Arc::clone(fill), mark: fill.add_reader(0), position: 0, end: None, alone: Alone::Never }
    }

    /// Narrows the cursor to `from..to`.
    pub(crate) fn narrow(&mut self, from: u64, to: u64) {
        self.position = from;
        self.end = Some(to);
        self.mark.position.store(from, Ordering::Relaxed);
    }

    /// Lets it go on alone where it would be left behind.
    pub(crate) fn set_resume(&mut self, resume: Resume) {
        self.alone = Alone::Ready(Box::new(resume));
    }

    /// The next piece, without waiting.
    pub fn try_next(&mut self) -> Next {
        match self.alone {
            Alone::Reads(_) | Alone::OnDisk(_) => return Next::Wait,
            Alone::Ended => return Next::End,
            Alone::Never | Alone::Ready(_) => {}
        }
        if self.end.is_some_and(|end| self.position >= end) {
            return Next::End;
        }
        match self.fill.look(self.position) {
            Look::Bytes(start, slice) => {
                let from = usize::try_from(self.position - start).unwrap_or(usize::MAX);
                let mut to = slice.filled().len();
                if let Some(end) = self.end {
                    to = to.min(usize::try_from(end - start).unwrap_or(usize::MAX));
                }
                self.position += (to - from) as u64;
                Next::Piece(Piece { held: Held::Slice(slice), range: from..to })
            }
            Look::Wait => Next::Wait,
            Look::End => Next::End,
            Look::Broken(error) => Next::Broken(error),
            Look::LeftBehind if matches!(self.alone, Alone::Ready(_)) => Next::Wait,
            Look::LeftBehind => Next::Broken(too_slow()),
        }
    }

    /// Says that everything handed out so far has been written, so that the window may move.
    pub fn consumed(&self) {
        if self.mark.position.swap(self.position, Ordering::Relaxed) != self.position {
            self.fill.reader_moved();
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the body broke off, or this reader was too slow for a body that is not kept.
    pub async fn next(&mut self) -> Result<Option<Piece>, FetchError> {
        self.consumed();
        loop {
            let is_at_end = self.end.is_some_and(|end| self.position >= end);
            if matches!(self.alone, Alone::Reads(_) | Alone::OnDisk(_))
                || (self.fill.base() > self.position && !is_at_end)
            {
                return self.next_alone().await;
            }
            let fill = Arc::clone(&self.fill);
            let changed = fill.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.try_next() {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::Broken(error) => return Err(error),
                Next::Wait => changed.await,
            }
        }
    }
}

impl FillReader {
    /// The next piece of what this reader alone reads, from the origin.
    async fn next_alone(&mut self) -> Result<Option<Piece>, FetchError> {
        if let Alone::Ready(resume) = &self.alone {
            match resume.go_on(self.position, self.end).await? {
                Rest::Stream(rest) => {
                    self.alone = Alone::Reads(rest);
                    // It needs nothing of what the fill holds any more.
                    self.fill.remove_reader(&self.mark);
                    let Fill { key, stamp, began, .. } = *self.fill;
                    self.fill = Arc::new(Fill::new(key, Arc::clone(&self.fill.note), stamp, began));
                }
                // The fill goes on for it.
                Rest::Disk(rest) => self.alone = Alone::OnDisk(rest),
            }
        }
        match &mut self.alone {
            Alone::Reads(rest) => match next_chunk(&mut **rest).await {
                Some(Ok(chunk)) => Ok(Some(chunk.into())),
                Some(Err(error)) => {
                    self.alone = Alone::Never;
                    self.fill.end(Err(error.clone()));
                    Err(error)
                }
                None => {
                    self.alone = Alone::Ended;
                    Ok(None)
                }
            },
            // In a box: it may in turn read along with a fill.
            Alone::OnDisk(rest) => Box::pin(rest.next()).await,
            Alone::Ended => Ok(None),
            Alone::Never | Alone::Ready(_) => Err(too_slow()),
        }
    }
}

fn too_slow() -> FetchError {
    FetchError::new(Reason::Limit, "the reader was too slow for the window of a body that is not kept")
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.remove_reader(&self.mark);
    }
}
