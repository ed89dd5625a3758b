//! The reading side of a fill: a cursor that waits for bytes instead of for the whole.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bodega_store::Slice;

use crate::fetch::FetchError;
use crate::fill::{Fill, Look, ReaderMark};

/// A cursor over a fill. Dropping it never breaks the fill for others.
pub struct FillReader {
    fill: Arc<Fill>,
    mark: Arc<ReaderMark>,
    position: u64,
    /// One after the last byte wanted; `None`: to the end.
    end: Option<u64>,
}

/// A piece of a body: a range of a slice, held alive.
pub struct Piece {
    slice: Arc<Slice>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.slice.filled().get(self.range.clone()).unwrap_or_default()
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
        Self { fill: Arc::clone(fill), mark: fill.add_reader(0), position: 0, end: None }
    }

    /// Narrows the cursor to `from..to`.
    pub(crate) fn narrow(&mut self, from: u64, to: u64) {
        self.position = from;
        self.end = Some(to);
        self.mark.position.store(from, Ordering::Relaxed);
    }

    /// The next piece, without waiting.
    pub fn try_next(&mut self) -> Next {
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
                Next::Piece(Piece { slice, range: from..to })
            }
            Look::Wait => Next::Wait,
            Look::End => Next::End,
            Look::Broken(error) => Next::Broken(error),
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

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.remove_reader(&self.mark);
    }
}
