//! One stream that has to wait: for an origin, for its turn, or for the client to take what it asked for.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Instant;

use bodega_edge::exchange::Journey;
use bodega_edge::fetch::{RequestBody, next_chunk};
use bodega_edge::interim::Came;
use bodega_edge::reader::{Next, Piece};
use bodega_edge::{Answer, BodyPlan, Finished, complete, finish};
use bodega_semantics::priority::Priority;
use bodega_semantics::{Outcome, Reason};
use h2::SendStream;
use h2::server::SendResponse;

use crate::access_log::Line;
use crate::http2::body::Incoming;
use crate::http2::chunk::Chunk;
use crate::http2::guard::Misuse;
use crate::http2::head;
use crate::http2::turns::{PORTION_BYTES, Rank, Turns};
use crate::http2::wire::Wire;
use crate::worker::Thread;

/// What the streams of a connection share.
pub(crate) struct Shared {
    pub(crate) thread: Arc<Thread>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) turns: Arc<Turns>,
}

/// A request that goes on to the origin.
pub(crate) struct Waiting {
    pub(crate) journey: Journey,
    pub(crate) body: Option<h2::RecvStream>,
    pub(crate) content_length: Option<u64>,
    pub(crate) expects_continue: bool,
    pub(crate) priority: Priority,
    pub(crate) line: Option<Line>,
    pub(crate) started: Instant,
}

/// What is left to say of a request.
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) reason: Reason,
    pub(crate) line: Option<Line>,
    pub(crate) started: Instant,
}

/// An answer whose head has been sent.
pub(crate) struct Sending {
    pub(crate) stream: SendStream<Chunk>,
    pub(crate) body: BodyPlan,
    pub(crate) priority: Priority,
    pub(crate) head_bytes: u64,
    pub(crate) done: Done,
}

impl Shared {
    /// Runs a request to its end.
    pub(crate) async fn go_on(self: Arc<Self>, waiting: Waiting, mut respond: SendResponse<Chunk>) {
        let Waiting { mut journey, body, content_length, expects_continue, priority, line, started } = waiting;
        let received = Arc::new(AtomicU64::new(0));
        let interim = journey.interim();
        let is_told_to_go_on = expects_continue && body.is_some();
        let body = body.map(|stream| {
            let (max_bytes, timeout) = (self.thread.max_body_bytes, self.thread.timeouts.body);
            let stream = Box::new(Incoming::new(stream, max_bytes, timeout, Arc::clone(&received)));
            RequestBody::streamed(content_length, stream)
        });
        let mut answering = pin!(complete(journey, body));
        let mut first = None;
        if is_told_to_go_on {
            first = at_once(interim.next_before(answering.as_mut())).await;
            if first.is_none() {
                // What is refused for its head is so by now. An error shows in what comes next.
                let _ = respond.send_informational(head::with_status(100, http::HeaderMap::new()));
            }
        }
        let answer = loop {
            let came = match first.take() {
                Some(came) => Some(came),
                None => unless_reset(&mut respond, interim.next_before(answering.as_mut())).await,
            };
            match came {
                None => {
                    let done = Done { outcome: Outcome::Pass, reason: Reason::ClientGone, line, started };
                    return self.conclude(done, Err(Reason::ClientGone), 0, received.load(Ordering::Relaxed));
                }
                Some(Came::Final(answer)) => break answer,
                Some(Came::Interim(interim)) => {
                    let head = head::with_status(interim.status, head::of_fields(&interim.fields));
                    let _ = respond.send_informational(head);
                }
            }
        };
        while let Some(interim) = interim.take() {
            let _ = respond.send_informational(head::with_status(interim.status, head::of_fields(&interim.fields)));
        }
        let line = line.map(|line| line.answered(&answer));
        let done = Done { outcome: answer.outcome, reason: answer.reason, line, started };
        match send_head(&self.thread, &mut respond, &answer) {
            Ok((None, n_bytes)) => self.conclude(done, Ok(()), n_bytes, received.load(Ordering::Relaxed)),
            Ok((Some(stream), head_bytes)) => {
                let sending = Sending { stream, body: answer.body, priority, head_bytes, done };
                self.send(sending, received.load(Ordering::Relaxed)).await;
            }
            Err(_) => self.conclude(done, Err(Reason::ClientGone), 0, received.load(Ordering::Relaxed)),
        }
    }

    /// Sends a body to its end.
    pub(crate) async fn send(self: Arc<Self>, sending: Sending, received_bytes: u64) {
        let Sending { stream, body, priority, head_bytes, done } = sending;
        let rank = Rank::new(priority, stream.stream_id().as_u32());
        let mut writer = Writer { shared: &self, stream, priority, rank, sent_bytes: head_bytes };
        let sent = writer.body(body).await;
        if let Err(reason) = sent {
            // A reset takes along what is queued: what came before the break has a turn to leave.
            tokio::task::yield_now().await;
            // Section 8.1 of RFC 9113: an answer that is not whole must not look as if it were.
            let code = if reason == Reason::ClientGone { h2::Reason::CANCEL } else { h2::Reason::INTERNAL_ERROR };
            writer.stream.send_reset(code);
        }
        let sent_bytes = writer.sent_bytes;
        drop(writer);
        self.conclude(done, sent, sent_bytes, received_bytes);
    }

    /// Counts and logs.
    pub(crate) fn conclude(&self, done: Done, sent: Result<(), Reason>, sent_bytes: u64, received_bytes: u64) {
        let finished = Finished {
            outcome: done.outcome,
            reason: sent.err().unwrap_or(done.reason),
            sent_bytes,
            received_bytes,
            took: done.started.elapsed(),
        };
        if finished.reason != Reason::ClientGone {
            self.wire.earn(usize::try_from(sent_bytes).unwrap_or(usize::MAX));
        }
        finish(&self.thread.worker, &finished);
        if let (Some(log), Some(line)) = (&self.thread.log, done.line) {
            log.write(line, &finished);
        }
    }
}

/// Sends the head of `answer`; `None` for the stream if that was all. And how long it is, about.
pub(crate) fn send_head(
    thread: &Thread,
    respond: &mut SendResponse<Chunk>,
    answer: &Answer,
) -> Result<(Option<SendStream<Chunk>>, u64), h2::Error> {
    let head = head::of(thread, answer);
    let n_bytes = head.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    let is_empty = matches!(answer.body, BodyPlan::Empty);
    let stream = respond.send_response(head, is_empty)?;
    Ok(((!is_empty).then_some(stream), n_bytes as u64))
}

struct Writer<'a> {
    shared: &'a Shared,
    stream: SendStream<Chunk>,
    priority: Priority,
    rank: Rank,
    sent_bytes: u64,
}

impl Writer<'_> {
    async fn body(&mut self, body: BodyPlan) -> Result<(), Reason> {
        match body {
            BodyPlan::Empty => {}
            BodyPlan::Bytes(bytes) => self.piece(Piece::from(bytes)).await?,
            BodyPlan::Stored { entry, mut from, to } => {
                while let Some(piece) = Piece::of_entry(&entry, from, to) {
                    from += piece.as_ref().len() as u64;
                    self.piece(piece).await?;
                }
            }
            BodyPlan::Read(mut reader) => loop {
                let piece = match reader.try_next() {
                    Next::Piece(piece) => piece,
                    Next::End => break,
                    Next::Broken(error) => return Err(error.reason),
                    Next::Wait => match self.unless_reset(reader.next()).await? {
                        Ok(Some(piece)) => piece,
                        Ok(None) => break,
                        Err(error) => return Err(error.reason),
                    },
                };
                self.piece(piece).await?;
                reader.consumed();
            },
            BodyPlan::Stream(mut stream) => {
                while let Some(chunk) = self.unless_reset(next_chunk(&mut *stream)).await? {
                    self.piece(Piece::from(chunk.map_err(|error| error.reason)?)).await?;
                }
                // RFC 9113 section 8.1: they end the stream in place of the last piece.
                if let Some(trailers) = stream.trailers() {
                    let trailers = head::of_fields(&trailers);
                    return self.stream.send_trailers(trailers).map_err(|_| Reason::ClientGone);
                }
            }
        }
        let end = Chunk::empty(&self.shared.turns);
        self.stream.send_data(end, true).map_err(|_| Reason::ClientGone)
    }

    /// Hands over a piece, portion by portion, as windows, socket and other streams allow.
    async fn piece(&mut self, piece: Piece) -> Result<(), Reason> {
        // A piece is one allocation that portions share.
        let piece = Arc::new(piece);
        let total = Piece::as_ref(&piece).len();
        let mut at = 0;
        while at < total {
            let n_bytes = self.capacity((total - at).min(PORTION_BYTES)).await?;
            self.turn().await?;
            let chunk = Chunk::part(&piece, at, at + n_bytes, &self.shared.turns);
            let queued = self.stream.send_data(chunk, false);
            // Also where the client has just taken the stream back: others wait for their turn.
            self.rank = self.shared.turns.after(self.rank, self.priority);
            queued.map_err(|_| Reason::ClientGone)?;
            at += n_bytes;
            self.sent_bytes += n_bytes as u64;
        }
        Ok(())
    }

    /// Waits until the client's windows and the queue of this stream take some of `wanted` bytes. One whose windows stay
    /// closed is given up.
    async fn capacity(&mut self, wanted: usize) -> Result<usize, Reason> {
        self.stream.reserve_capacity(wanted);
        let at_once = self.stream.capacity().min(wanted);
        if at_once > 0 {
            return Ok(at_once);
        }
        let stream = &mut self.stream;
        let opened = poll_fn(|context| {
            if stream.poll_reset(context).is_ready() {
                return Poll::Ready(Err(Reason::ClientGone));
            }
            loop {
                match ready!(stream.poll_capacity(context)) {
                    Some(Ok(0)) => {}
                    Some(Ok(n_bytes)) => return Poll::Ready(Ok(n_bytes.min(wanted))),
                    Some(Err(_)) | None => return Poll::Ready(Err(Reason::ClientGone)),
                }
            }
        });
        match tokio::time::timeout(self.shared.thread.timeouts.write, opened).await {
            Ok(opened) => opened,
            Err(_) => {
                self.shared.thread.front_metrics.misused(Misuse::Stalled);
                Err(Reason::ClientGone)
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Reason> {
        let (turns, rank) = (&self.shared.turns, self.rank);
        let stream = &mut self.stream;
        let leaving = Leaving { turns, stream: stream.stream_id().as_u32() };
        let turn = poll_fn(|context| match turns.poll_turn(rank, context) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if stream.poll_reset(context).is_ready() => Poll::Ready(Err(Reason::ClientGone)),
            Poll::Pending => Poll::Pending,
        })
        .await;
        if turn.is_ok() {
            // Its place has been taken out already.
            std::mem::forget(leaving);
        }
        turn
    }

    async fn unless_reset<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Reason> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.stream.poll_reset(context).is_ready() => Poll::Ready(Err(Reason::ClientGone)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// Takes a stream out of those that wait, however the wait ends.
struct Leaving<'a> {
    turns: &'a Turns,
    stream: u32,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.turns.leave(self.stream);
    }
}

/// What `future` has come to without waiting.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits for `future`, unless the client takes its request back: then nobody needs it.
async fn unless_reset<T>(respond: &mut SendResponse<Chunk>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if respond.poll_reset(context).is_ready() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}
