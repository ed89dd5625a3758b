//! A body put together in order from bytes of the edge's own, spans of a stored body, and spans of a fill: the parts of
//! an answer to several ranges.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use bodega_semantics::multipart::{self, Form, Span};
use bodega_store::Entry;
use bytes::Bytes;

use crate::disk_reader::DiskReader;
use crate::fetch::FetchError;
use crate::inquiry::Inquiry;
use crate::reader::{FillReader, Next, Piece};
use crate::refill::Refill;

/// A body of several pieces. Like `FillReader`, and read in the same way.
pub struct Assembled {
    source: Source,
    segments: VecDeque<Segment>,
}

/// What all spans are cut from.
pub(crate) enum Source {
    Stored(Entry),
    /// A fill that is kept whole, so that a reader may go back in it.
    Live(FillReader),
    Disk(Box<DiskReader>),
}

/// An answer to several ranges, before it has a body.
pub(crate) struct Parts {
    spans: Vec<Span>,
    boundary: String,
    content_type: Option<Vec<u8>>,
    total: u64,
}

enum Segment {
    Text(Bytes),
    /// `from..to` of the source.
    Cut {
        from: u64,
        to: u64,
    },
}

impl Assembled {
    fn new(source: Source, segments: VecDeque<Segment>) -> Self {
        let mut assembled = Self { source, segments };
        assembled.aim();
        assembled
    }

    /// Reads what is cut from a body on disk through a reader of its own.
    pub(crate) fn read_from_disk(&mut self, inquiry: impl FnOnce() -> Inquiry) {
        let Source::Stored(entry) = &self.source else { return };
        if let Some(body) = entry.disk_body().cloned() {
            let refill = Refill::new(inquiry(), entry.clone(), body);
            self.source = Source::Disk(Box::new(DiskReader::new(refill, 0, 0)));
            self.aim();
        }
    }

    /// The next piece, without waiting.
    pub fn try_next(&mut self) -> Next {
        loop {
            match self.segments.front_mut() {
                None => return Next::End,
                Some(Segment::Text(text)) => {
                    let text = std::mem::take(text);
                    self.next_segment();
                    return Next::Piece(text.into());
                }
                Some(Segment::Cut { from, to }) => match &mut self.source {
                    Source::Stored(entry) => {
                        if let Some(piece) = Piece::of_entry(entry, *from, *to) {
                            *from += piece.as_ref().len() as u64;
                            return Next::Piece(piece);
                        }
                        if from < to {
                            return Next::Broken(FetchError::internal("a stored body is shorter than it said"));
                        }
                        self.next_segment();
                    }
                    Source::Live(reader) => match reader.try_next() {
                        Next::End => self.next_segment(),
                        other => return other,
                    },
                    Source::Disk(reader) => match reader.try_next() {
                        Next::End => self.next_segment(),
                        other => return other,
                    },
                },
            }
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the fill broke off.
    pub async fn next(&mut self) -> Result<Option<Piece>, FetchError> {
        loop {
            match self.try_next() {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::Broken(error) => return Err(error),
                Next::Wait => match &mut self.source {
                    Source::Live(reader) => match reader.next().await? {
                        Some(piece) => return Ok(Some(piece)),
                        None => self.next_segment(),
                    },
                    Source::Disk(reader) => match reader.next().await? {
                        Some(piece) => return Ok(Some(piece)),
                        None => self.next_segment(),
                    },
                    Source::Stored(_) => return Err(FetchError::internal("a stored body is never waited for")),
                },
            }
        }
    }

    fn next_segment(&mut self) {
        self.segments.pop_front();
        self.aim();
    }

    /// Turns the reader to the span that comes next.
    fn aim(&mut self) {
        let Some(Segment::Cut { from, to }) = self.segments.front() else { return };
        match &mut self.source {
            Source::Stored(_) => {}
            Source::Live(reader) => reader.narrow(*from, *to),
            Source::Disk(reader) => reader.narrow(*from, *to),
        }
    }
}

impl Parts {
    pub(crate) fn new(spans: Vec<Span>, content_type: Option<&[u8]>, total: u64) -> Self {
        Self { spans, boundary: boundary(), content_type: content_type.map(<[u8]>::to_vec), total }
    }

    fn form(&self) -> Form<'_> {
        Form { boundary: &self.boundary, content_type: self.content_type.as_deref(), total: self.total }
    }

    /// The value of `Content-Type`.
    pub(crate) fn answer_type(&self) -> Vec<u8> {
        self.form().answer_type()
    }

    pub(crate) fn n_bytes(&self) -> u64 {
        multipart::length(&self.spans, self.content_type.as_deref(), self.total)
    }

    /// The body; `offset` is the place of the source's first byte in the whole.
    pub(crate) fn body(&self, source: Source, offset: u64) -> Assembled {
        let form = self.form();
        let mut segments = VecDeque::with_capacity(2 * self.spans.len() + 1);
        for (at, span) in self.spans.iter().enumerate() {
            segments.push_back(Segment::Text(form.part_head(*span, at == 0).into()));
            segments.push_back(Segment::Cut { from: span.first - offset, to: span.last + 1 - offset });
        }
        segments.push_back(Segment::Text(form.end().into()));
        Assembled::new(source, segments)
    }
}

/// A boundary that no body holds but by chance: nobody can know it before (the standard library's hash keys are random).
pub(crate) fn boundary() -> String {
    let random = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use bodega_semantics::multipart::BOUNDARY_BYTES;

    use super::*;

    #[test]
    fn boundaries_have_their_length_and_differ() {
        let (one, other) = (boundary(), boundary());
        assert_eq!((one.len(), other.len()), (BOUNDARY_BYTES, BOUNDARY_BYTES));
        assert_ne!(one, other);
        assert_ne!(one[..16], one[16..]);
    }
}
