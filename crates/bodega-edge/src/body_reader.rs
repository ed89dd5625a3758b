//! What fronts read a body through that is not in memory as a whole, wherever it comes from.

use crate::assembled::Assembled;
use crate::disk_reader::DiskReader;
use crate::fetch::FetchError;
use crate::reader::{FillReader, Next, Piece};

/// A cursor over a body.
pub enum BodyReader {
    /// Along with a fill.
    Live(FillReader),
    /// From disk, and from wherever what is missing there has to come from.
    Disk(Box<DiskReader>),
    /// Through the parts of an answer to several ranges.
    Assembled(Box<Assembled>),
}

impl BodyReader {
    /// The next piece, without waiting.
    pub fn try_next(&mut self) -> Next {
        match self {
            Self::Live(reader) => reader.try_next(),
            Self::Disk(reader) => reader.try_next(),
            Self::Assembled(reader) => reader.try_next(),
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the body broke off: the client must see a break, not an end.
    pub async fn next(&mut self) -> Result<Option<Piece>, FetchError> {
        match self {
            Self::Live(reader) => reader.next().await,
            Self::Disk(reader) => reader.next().await,
            Self::Assembled(reader) => reader.next().await,
        }
    }

    /// Says that everything handed out so far has been written.
    pub fn consumed(&self) {
        match self {
            Self::Live(reader) => reader.consumed(),
            Self::Disk(reader) => reader.consumed(),
            // What has several parts is kept as a whole.
            Self::Assembled(_) => {}
        }
    }
}
