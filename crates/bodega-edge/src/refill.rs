//! Fetches what is missing of a large body on disk: by slices, under the strong validator of its entry, a few ahead.

use std::sync::Arc;

use bodega_semantics::Reason;
use bodega_semantics::multipart::Span;
use bodega_semantics::partial::Run;
use bodega_store::disk::DiskBody;
use bodega_store::slice::SLICE_BYTES;
use bodega_store::{Entry, SliceWriter};

use crate::edge::Edge;
use crate::fetch::{BodyStream, FetchError, let_others, next_chunk};
use crate::fill::Fill;
use crate::flights::Flight;
use crate::inquiry::{Inquiry, Reply};

/// How many slices one question to the origin brings at most.
const MAX_RUN: u32 = 8;

/// What it takes to ask the origin for missing slices.
pub(crate) struct Refill {
    inquiry: Inquiry,
    entry: Entry,
    pub(crate) body: Arc<DiskBody>,
}

/// Where missing bytes come from.
pub(crate) enum Missing {
    /// From a fill that others read as well, up to a byte of the whole.
    Along { flight: Flight, until: u64 },
    /// From the origin, for this reader alone: there is no memory for more.
    Alone(Box<dyn BodyStream>),
}

impl Refill {
    /// For the body of `entry`, which is on disk.
    pub(crate) fn new(inquiry: Inquiry, entry: Entry, body: Arc<DiskBody>) -> Self {
        Self { inquiry, entry, body }
    }

    fn edge(&self) -> &Edge {
        &self.inquiry.worker.edge
    }

    /// Brings the bytes from `position`, of which the reader wants those up to `end`.
    pub(crate) async fn bring(self: &Arc<Self>, position: u64, end: u64) -> Result<Missing, FetchError> {
        match self.begin(position, end) {
            Some(missing) => Ok(missing),
            None => self.fetch(Span { first: position, last: end - 1 }).await.map(Missing::Alone),
        }
    }

    /// Begins to bring the slice at `position` and some after it, unless that is under way. `None`: there is no room.
    pub(crate) fn begin(self: &Arc<Self>, position: u64, end: u64) -> Option<Missing> {
        let edge = self.edge();
        if self.body.is_gone() {
            // The disk would take none of what is fetched now: who comes next has to begin anew.
            edge.memory.remove(&self.entry);
        }
        let slice = slice_at(position);
        let mut last_wanted = slice_at(end.max(1) - 1).min(slice.saturating_add(MAX_RUN - 1));
        let reserve = |last: u32| edge.memory.reserve(u64::from(last - slice + 1) * SLICE_BYTES as u64);
        let mut room = reserve(last_wanted);
        if room.is_none() {
            last_wanted = slice;
            room = reserve(slice);
        }
        let has_room = room.is_some();
        let (flight, landing) = edge.flights.enter(self.body.object(), slice, |is_free| {
            let stamp = edge.invalidations.sequence();
            let fill = Fill::new(self.entry.key, self.entry.note().0.into(), stamp, edge.steady());
            let flight = Flight { fill: Arc::new(fill), start: u64::from(slice) * SLICE_BYTES as u64 };
            let mut slices = Vec::new();
            if has_room {
                let is_missing = |slice: &u32| !self.body.has(*slice) && is_free(*slice);
                slices.push(slice);
                slices.extend((slice + 1..=last_wanted).take_while(is_missing));
            }
            (flight, slices)
        });
        let Some(landing) = landing else {
            return Some(Missing::Along { until: self.end_of(slice), flight });
        };
        let room = room?;
        let last = *landing.slices().last()?;
        let until = self.end_of(last);
        let refill = Arc::clone(self);
        let fill = Arc::clone(&flight.fill);
        let span = Span { first: flight.start, last: until - 1 };
        tokio::spawn(async move {
            let result = refill.pump(&fill, span).await;
            fill.end(result);
            drop((landing, room));
        });
        Some(Missing::Along { flight, until })
    }

    async fn pump(&self, fill: &Fill, span: Span) -> Result<(), FetchError> {
        let mut stream = self.fetch(span).await?;
        let mut position = span.first;
        let mut writer: Option<SliceWriter> = None;
        while let Some(chunk) = next_chunk(&mut *stream).await {
            let chunk = chunk?;
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let slice = slice_at(position);
                let into = writer.get_or_insert_with(|| {
                    let start = u64::from(slice) * SLICE_BYTES as u64;
                    let n_bytes = usize::try_from(self.end_of(slice) - start).unwrap_or(SLICE_BYTES);
                    let writer = SliceWriter::with_capacity(n_bytes);
                    fill.push_slice(start - span.first, writer.share());
                    writer
                });
                let n_bytes = into.append(rest);
                position += n_bytes as u64;
                rest = &rest[n_bytes..];
                if into.is_full() {
                    self.body.put(slice, into.share());
                    writer = None;
                }
            }
            fill.changed.notify_waiters();
            let_others(&chunk).await;
        }
        if position == span.last + 1 {
            Ok(())
        } else {
            Err(FetchError::new(Reason::OriginBroken, "the origin sent less of a body than was asked for"))
        }
    }

    /// Asks for `span`, and takes it only if it is of the very same body.
    async fn fetch(&self, span: Span) -> Result<Box<dyn BodyStream>, FetchError> {
        let run = Run { span, total: self.body.n_bytes() };
        match self.inquiry.ask(&self.entry, run).await? {
            None => {
                self.edge().remove(&self.entry);
                let message =
                    "a part of a stored body is missing, and without a strong validator it cannot be completed";
                Err(FetchError::new(Reason::OriginMalformed, message))
            }
            Some(Reply::Range(body)) => Ok(body),
            Some(Reply::Whole(body)) => skipped(body, span).await,
            Some(Reply::Other(status)) => {
                // Whatever it is now, it is not what the reader began with (RFC 9110 section 15.3.7.3).
                if !(500..600).contains(&status) && status != 429 {
                    self.edge().remove(&self.entry);
                }
                let message = format!("a missing part of a stored body could not be had: the origin answered {status}");
                Err(FetchError::new(Reason::OriginBroken, message))
            }
        }
    }

    fn end_of(&self, slice: u32) -> u64 {
        (u64::from(slice) + 1).saturating_mul(SLICE_BYTES as u64).min(self.body.n_bytes())
    }
}

/// Reads away what comes before `span`, and ends after it.
async fn skipped(mut body: Box<dyn BodyStream>, span: Span) -> Result<Box<dyn BodyStream>, FetchError> {
    let mut left = span.first;
    let mut ahead = None;
    while left > 0 {
        let Some(chunk) = next_chunk(&mut *body).await else {
            return Err(FetchError::new(Reason::OriginBroken, "the origin sent less of a body than it said"));
        };
        let mut chunk = chunk?;
        let n_bytes = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        left -= n_bytes as u64;
        let rest = chunk.split_off(n_bytes);
        ahead = Some(rest).filter(|rest| !rest.is_empty());
    }
    Ok(Box::new(Cut { ahead, body, left: span.n_bytes() }))
}

/// A body of which only the first `left` bytes are wanted.
struct Cut {
    ahead: Option<bytes::Bytes>,
    body: Box<dyn BodyStream>,
    left: u64,
}

impl BodyStream for Cut {
    fn poll_chunk(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<bytes::Bytes, FetchError>>> {
        use std::task::Poll;
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let polled = match self.ahead.take() {
            Some(ahead) => Poll::Ready(Some(Ok(ahead))),
            None => self.body.poll_chunk(context),
        };
        let Poll::Ready(Some(Ok(mut chunk))) = polled else { return polled };
        chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= chunk.len() as u64;
        Poll::Ready(Some(Ok(chunk)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a body of 2^32 slices has 4 PiB, which no tier takes")]
pub(crate) fn slice_at(position: u64) -> u32 {
    (position / SLICE_BYTES as u64) as u32
}
