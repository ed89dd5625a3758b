//! Where the bytes of a fill go: into slices that many read along, kept within a reservation or through a window.

use std::task::Poll;
use std::time::Duration;

use bodega_semantics::{Fields, Reason, partial};
use bodega_store::disk::Disk;
use bodega_store::entry::INLINE_BYTES;
use bodega_store::slice::SLICE_BYTES;
use bodega_store::{Reservation, SliceWriter};

use crate::fetch::{BodyStream, FetchError, let_others, next_chunk};
use crate::lead::Lead;
use crate::spill::Spill;

/// How long a fill that is not kept waits for its slowest reader.
const SLOWEST_READER_WAIT: Duration = Duration::from_secs(10);
/// The first slice of a body of unknown length.
pub(crate) const FIRST_UNKNOWN_BYTES: usize = 16 * 1024;

/// What of a body is there already when its head is.
#[derive(Default)]
pub(crate) struct AtOnce {
    chunks: Vec<Result<bytes::Bytes, FetchError>>,
    ended: bool,
}

impl AtOnce {
    /// The whole body, if it is there in one piece and small enough to lie beside its head.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        match self.chunks.as_slice() {
            [] if self.ended => Some(b""),
            [Ok(one)] if self.ended && one.len() <= INLINE_BYTES => Some(one),
            _ => None,
        }
    }
}

/// Takes what has come together with the head, without waiting: small answers mostly come whole, and then need
/// neither slices nor readers.
pub(crate) async fn come_at_once(body: &mut dyn BodyStream) -> AtOnce {
    let mut early = AtOnce::default();
    std::future::poll_fn(|context| {
        while !early.ended && early.chunks.len() < 2 {
            match body.poll_chunk(context) {
                Poll::Ready(None) => early.ended = true,
                Poll::Ready(Some(Err(error))) => {
                    early.chunks.push(Err(error));
                    break;
                }
                Poll::Ready(Some(chunk)) => early.chunks.push(chunk),
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    })
    .await;
    early
}

/// Where the chunks of a body go.
pub(crate) struct Sink<'a> {
    pub(crate) lead: &'a Lead,
    /// Present while the body is being kept.
    pub(crate) reservation: Option<Reservation>,
    pub(crate) writer: Option<SliceWriter>,
    pub(crate) n_bytes: u64,
    pub(crate) content_length: Option<u64>,
    /// Where it goes as it comes, if it goes to disk.
    pub(crate) spill: Option<Spill>,
}

impl Sink<'_> {
    /// Takes the chunks that are there and then all that come. `early.ended` bodies are not polled again.
    pub(crate) async fn drain(&mut self, early: AtOnce, body: &mut dyn BodyStream) -> Result<(), FetchError> {
        let drained = self.drain_slices(early, body).await;
        // However it ended: a slice that is full is one.
        self.slice_has_come().await;
        drained
    }

    async fn drain_slices(&mut self, early: AtOnce, body: &mut dyn BodyStream) -> Result<(), FetchError> {
        for chunk in early.chunks {
            self.take(&chunk?).await?;
        }
        if !early.ended {
            while let Some(chunk) = self.next_chunk(body).await? {
                self.take(&chunk).await?;
            }
        }
        Ok(())
    }

    /// Waits for the next chunk; for a body that is not kept no longer than anybody reads it.
    async fn next_chunk(&self, body: &mut dyn BodyStream) -> Result<Option<bytes::Bytes>, FetchError> {
        if self.reservation.is_some() {
            return next_chunk(body).await.transpose();
        }
        let fill = &self.lead.fill;
        loop {
            let is_read = if self.spill.is_some() { fill.has_readers() } else { fill.slowest().is_some() };
            if !is_read && !self.is_amid_a_slice() {
                return Err(abandoned());
            }
            tokio::select! {
                biased;
                chunk = next_chunk(body) => return chunk.transpose(),
                () = fill.wait_for_room() => {}
            }
        }
    }

    /// Whether a slice has begun that is worth waiting for although nobody reads it.
    fn is_amid_a_slice(&self) -> bool {
        self.spill.is_some() && self.writer.as_ref().is_some_and(|writer| !writer.is_full())
    }

    async fn take(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        let mut rest = chunk;
        if self.content_length.is_none() && too_large(self.lead, Some(self.n_bytes + chunk.len() as u64)) {
            // Of unknown length, and now larger than what is kept.
            self.reservation = None;
        }
        while !rest.is_empty() {
            if self.writer.as_ref().is_none_or(SliceWriter::is_full) {
                self.next_slice().await?;
            }
            let Some(writer) = &mut self.writer else { break };
            let n_bytes = writer.append(rest);
            self.n_bytes += n_bytes as u64;
            rest = &rest[n_bytes..];
        }
        self.lead.fill.changed.notify_waiters();
        let_others(chunk).await;
        Ok(())
    }

    /// Hands the slice that has come to the disk.
    async fn slice_has_come(&mut self) {
        let (Some(spill), Some(writer)) = (&mut self.spill, self.writer.take()) else { return };
        let slice = writer.share();
        let position = self.n_bytes - slice.filled().len() as u64;
        let (fill, n_bytes) = (&self.lead.fill, self.n_bytes);
        // Who reads has to wait for the next slice only once it has taken these.
        let is_in_a_hurry = || fill.slowest().is_some_and(|(slowest, _)| slowest + 2 * SLICE_BYTES as u64 > n_bytes);
        spill.take(position, &slice, is_in_a_hurry).await;
    }

    async fn next_slice(&mut self) -> Result<(), FetchError> {
        self.slice_has_come().await;
        if self.spill.is_some() && !self.lead.fill.has_readers() {
            // What has come is kept; the rest is for whoever wants it.
            return Err(abandoned());
        }
        let capacity = self.next_capacity();
        self.keep_or_let_go(capacity as u64);
        if self.reservation.is_none() {
            self.wait_for_window(capacity as u64).await?;
        }
        let writer = SliceWriter::with_capacity(capacity);
        self.lead.fill.push_slice(self.n_bytes, writer.share());
        if let Some(spill) = &mut self.spill {
            spill.begins(self.n_bytes);
        }
        self.writer = Some(writer);
        Ok(())
    }

    fn next_capacity(&self) -> usize {
        match self.content_length {
            Some(total) => {
                let most = self.spill.as_ref().map_or(SLICE_BYTES, |spill| spill.left_in_slice(self.n_bytes));
                usize::try_from(total.saturating_sub(self.n_bytes)).unwrap_or(SLICE_BYTES).clamp(1, most)
            }
            // Of unknown length: begin small, so that many small bodies do not take a slice each.
            None => usize::try_from(self.n_bytes * 3).unwrap_or(SLICE_BYTES).clamp(FIRST_UNKNOWN_BYTES, SLICE_BYTES),
        }
    }

    /// Gives up keeping a body of unknown length for which there is no room.
    fn keep_or_let_go(&mut self, more_bytes: u64) {
        if self.content_length.is_some() {
            return;
        }
        if let Some(reservation) = &mut self.reservation
            && !reservation.grow(more_bytes)
        {
            self.reservation = None;
        }
    }

    /// Waits until the slowest reader leaves room in the window, for a bounded time while others are held up by it: then
    /// it is left behind. One who reads alone holds up nobody, and may go on as slowly as it likes while it moves.
    async fn wait_for_window(&mut self, more_bytes: u64) -> Result<(), FetchError> {
        let fill = &self.lead.fill;
        let window = self.lead.worker.edge.settings.fill_window_bytes.max(2 * SLICE_BYTES as u64);
        let end = self.n_bytes + more_bytes;
        if end - fill.base() <= window {
            return Ok(());
        }
        // The window moves: who comes now cannot read from the first byte any more.
        self.lead.leave();
        if self.spill.is_some() {
            // Who is left behind goes on from disk.
            fill.drop_before(end - window + SLICE_BYTES as u64);
            return Ok(());
        }
        let mut deadline = tokio::time::Instant::now() + SLOWEST_READER_WAIT;
        let mut seen = fill.slowest();
        loop {
            let Some((slowest, n_readers)) = fill.slowest() else { return Err(abandoned()) };
            fill.drop_before(slowest);
            if end - fill.base() <= window {
                return Ok(());
            }
            if n_readers == 1 && seen != Some((slowest, n_readers)) {
                deadline = tokio::time::Instant::now() + SLOWEST_READER_WAIT;
            }
            seen = Some((slowest, n_readers));
            if tokio::time::timeout_at(deadline, fill.wait_for_room()).await.is_err() {
                fill.drop_before(end - window + SLICE_BYTES as u64);
            }
        }
    }
}

fn abandoned() -> FetchError {
    FetchError::new(Reason::ClientGone, "all readers of a body that is not kept have left")
}

/// Whether a body of this length is for the disk alone. What is missing of it later can be had only under a strong
/// validator; without one it is kept whole or not at all.
pub(crate) fn is_for_disk(lead: &Lead, fields: &Fields, n_bytes: Option<u64>) -> bool {
    let edge = &lead.worker.edge;
    n_bytes.is_some_and(|n_bytes| n_bytes > edge.memory.large_bytes())
        && edge.disk().is_some_and(Disk::is_up)
        && partial::strong_validator(fields).is_some()
}

/// Whether a body of this length is streamed and not kept.
pub(crate) fn too_large(lead: &Lead, content_length: Option<u64>) -> bool {
    let memory = lead.worker.edge.memory.max_object_bytes();
    let bound = lead.behavior.policy.max_object_bytes.map_or(memory, |bound| bound.min(memory));
    content_length.is_some_and(|n_bytes| n_bytes > bound)
}
