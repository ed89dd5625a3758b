//! A connection's task: take requests, answer at once what can be, let the rest go on, and send at the end of each turn.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bodega_edge::exchange::{Journey, OwnedRequest};
use bodega_edge::reader::Piece;
use bodega_edge::{Answer, Begun, BodyPlan, RequestView, begin, refusal};
use bodega_semantics::priority::{self, Priority};
use bodega_semantics::{Fields, Head, Reason};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};

use crate::access_log::Line;
use crate::connection::{Connection, Phase};
use crate::http2::chunk::Chunk;
use crate::http2::guard::{MAX_RESET_UNSEEN, Misuse};
use crate::http2::request::{self, Wrong};
use crate::http2::stream::{Done, Sending, Shared, Waiting, send_head};
use crate::http2::turns::Turns;
use crate::http2::unread::read_away;
use crate::http2::wire::{Io, Wire};
use crate::leave;
use crate::refused;
use crate::worker::Thread;

/// Serves `connection`, of which `ahead` has been read already, until it ends.
pub(crate) async fn run(thread: &Arc<Thread>, connection: &Arc<Connection>, ahead: Vec<u8>) {
    let wire = Arc::new(Wire::new(Arc::clone(connection), ahead));
    connection.enter(Phase::Head, thread.connections.tick());
    let mut preface = pin!(builder(thread).handshake::<_, Chunk>(Io(Arc::clone(&wire))));
    let begun = poll_fn(|context| {
        let begun = preface.as_mut().poll(context);
        // The edge's settings go out before the client's have come.
        if let Poll::Ready(Err(_)) = wire.poll_send(context) {
            return Poll::Ready(None);
        }
        begun.map(Result::ok)
    });
    let Some(h2) = begun.await else {
        thread.front_metrics.misused(Misuse::Protocol);
        return;
    };
    connection.enter(Phase::Streams, thread.connections.tick());
    let turns = Arc::new(Turns::default());
    let shared = Arc::new(Shared { thread: Arc::clone(thread), wire, turns });
    let mut front = Front { shared, connection: Arc::clone(connection), h2, is_ending: false, is_cut: false };
    let is_whole = poll_fn(|context| front.poll(context)).await;
    drop(front);
    if is_whole {
        leave::run(thread, connection).await;
    }
}

fn builder(thread: &Thread) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(thread.max_streams)
        .max_header_list_size(u32::try_from(thread.limits.max_head_bytes).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buffer_size(QUEUED_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_UNSEEN)
        .max_concurrent_reset_streams(MAX_RESET_REMEMBERED);
    builder
}

struct Front {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    h2: h2::server::Connection<Io, Chunk>,
    /// Whether the client has been told that the connection ends.
    is_ending: bool,
    /// Whether it is being ended at once.
    is_cut: bool,
}

impl Front {
    /// One turn: all that can be done without waiting. Ready when the connection has ended, and whether all that was to be
    /// said has been.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.connection.wake_with(context.waker());
        self.shared.wire.begin_turn();
        self.end_if_due();
        let mut n_requests = 0;
        let mut is_whole = true;
        let is_over = loop {
            match self.h2.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.take(request, respond);
                    n_requests += 1;
                    if n_requests == REQUESTS_A_TURN {
                        // Others on this thread have their turn, and this connection comes back.
                        context.waker().wake_by_ref();
                        break false;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.count(&error);
                    is_whole = !error.is_io();
                    break true;
                }
                Poll::Ready(None) => break true,
                Poll::Pending => match self.shared.wire.misuse().filter(|_| !self.is_cut) {
                    Some(misuse) => {
                        self.is_ending = true;
                        self.is_cut = true;
                        self.shared.thread.front_metrics.misused(misuse);
                        self.h2.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
                    }
                    None => break false,
                },
            }
        };
        let sent = self.shared.wire.poll_send(context);
        let tick = self.shared.thread.connections.tick();
        match sent {
            Poll::Ready(Err(_)) => return Poll::Ready(false),
            Poll::Ready(Ok(())) if is_over => return Poll::Ready(is_whole),
            Poll::Ready(Ok(())) if self.h2.has_streams() => self.connection.enter_anew(Phase::Streams, tick),
            Poll::Ready(Ok(())) if self.is_ending => self.connection.enter_anew(Phase::Leaving, tick),
            // What was answered at once has left no stream behind.
            Poll::Ready(Ok(())) if n_requests > 0 => self.connection.enter(Phase::NoStreams, tick),
            Poll::Ready(Ok(())) => self.connection.enter_anew(Phase::NoStreams, tick),
            // The time runs anew with everything that the client takes.
            Poll::Pending if self.shared.wire.has_moved() => self.connection.enter(Phase::Write, tick),
            Poll::Pending => self.connection.enter_anew(Phase::Write, tick),
        }
        Poll::Pending
    }

    /// Tells the client that the connection ends: in a drain, and when it has been idle for too long.
    fn end_if_due(&mut self) {
        if self.is_ending {
            return;
        }
        if self.connection.has_expired() {
            self.is_ending = true;
            self.h2.abrupt_shutdown(h2::Reason::NO_ERROR);
        } else if self.shared.thread.is_draining() {
            self.is_ending = true;
            self.h2.graceful_shutdown();
        }
    }

    fn count(&self, error: &h2::Error) {
        let metrics = &self.shared.thread.front_metrics;
        if self.is_ending || error.is_io() || error.is_remote() {
            return;
        }
        match error.reason() {
            Some(h2::Reason::NO_ERROR) | None => {}
            Some(h2::Reason::ENHANCE_YOUR_CALM) => metrics.misused(self.shared.wire.excess()),
            Some(_) => metrics.misused(Misuse::Protocol),
        }
    }

    fn take(&mut self, request: http::Request<RecvStream>, mut respond: SendResponse<Chunk>) {
        let started = Instant::now();
        let thread = &self.shared.thread;
        let (parts, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        let read = request::read(&parts, &self.connection, has_body, |view| take(thread, view, &parts));
        match read {
            Ok(Taken::Ready { answer, line, priority }) => {
                self.answer(answer, line, priority, started, &mut respond);
                read_away(body);
            }
            Ok(Taken::Waits { journey, line, priority }) => {
                let waiting = Waiting {
                    journey: *journey,
                    body: has_body.then_some(body),
                    content_length: content_length(&parts),
                    expects_continue: parts.headers.get(http::header::EXPECT).is_some(),
                    priority,
                    line,
                    started,
                };
                tokio::spawn(Arc::clone(&self.shared).go_on(waiting, respond));
            }
            Err(Wrong { status, what }) => {
                let answer = refused::answer(thread, status, what);
                let line = thread.log.as_ref().map(|log| log.unread(self.connection.client(), &answer));
                self.answer(answer, line, Priority::default(), started, &mut respond);
                read_away(body);
            }
        }
    }

    fn answer(
        &self,
        answer: Answer,
        line: Option<Line>,
        priority: Priority,
        started: Instant,
        respond: &mut SendResponse<Chunk>,
    ) {
        let done = Done { outcome: answer.outcome, reason: answer.reason, line, started };
        match send_head(&self.shared.thread, respond, &answer) {
            Err(_) => self.shared.conclude(done, Err(Reason::ClientGone), 0, 0),
            Ok((None, n_bytes)) => self.shared.conclude(done, Ok(()), n_bytes, 0),
            Ok((Some(mut stream), head_bytes)) => match self.send_at_once(&mut stream, answer.body) {
                Ok(n_bytes) => self.shared.conclude(done, Ok(()), head_bytes + n_bytes, 0),
                Err(body) => {
                    let sending = Sending { stream, body, priority, head_bytes, done };
                    tokio::spawn(Arc::clone(&self.shared).send(sending, 0));
                }
            },
        }
    }

    /// Queues a body that lies in one piece, if the client's windows are open for all of it and nobody waits. Else it is
    /// given back.
    fn send_at_once(&self, stream: &mut SendStream<Chunk>, body: BodyPlan) -> Result<u64, BodyPlan> {
        let (piece, n_bytes) = match &body {
            BodyPlan::Bytes(bytes) => (Some(Piece::from(bytes.clone())), bytes.len() as u64),
            BodyPlan::Stored { entry, from, to } => (Piece::of_entry(entry, *from, *to), to - from),
            _ => return Err(body),
        };
        let Some(piece) = piece else { return Err(body) };
        let total = piece.as_ref().len();
        if total as u64 != n_bytes || !self.shared.turns.is_free(total) {
            return Err(body);
        }
        stream.reserve_capacity(total);
        if stream.capacity() < total {
            return Err(body);
        }
        // An error means that the client has gone, which is seen by the connection.
        let _ = stream.send_data(Chunk::whole(piece, &self.shared.turns), true);
        Ok(n_bytes)
    }
}

/// What the synchronous part of a request came to. It borrows nothing.
enum Taken {
    Ready { answer: Answer, line: Option<Line>, priority: Priority },
    Waits { journey: Box<Journey>, line: Option<Line>, priority: Priority },
}

fn take(thread: &Arc<Thread>, view: &RequestView<'_>, parts: &http::request::Parts) -> Taken {
    let snapshot = thread.worker.edge.snapshot.load();
    let begun = if content_length(parts).is_some_and(|n_bytes| n_bytes > thread.max_body_bytes) {
        Begun::Ready(refusal(&thread.worker.edge, view.method, Reason::Limit, None, None))
    } else {
        begin(&thread.worker, &snapshot, view)
    };
    let priority = if view.has("priority") { priority::of(view, &Fields::new()) } else { Priority::default() };
    match begun {
        Begun::Ready(answer) => {
            let line = thread.log.as_ref().map(|log| log.line(view, &answer));
            Taken::Ready { answer, line, priority }
        }
        Begun::Predicting(_) => {
            // No body has been handed over, so that no model was asked.
            let answer = refusal(&thread.worker.edge, view.method, Reason::Internal, None, None);
            let line = thread.log.as_ref().map(|log| log.line(view, &answer));
            Taken::Ready { answer, line, priority }
        }
        Begun::Pending(pending) => {
            let journey = Journey::new(Arc::clone(&thread.worker), OwnedRequest::copy_of(view), pending);
            let line = thread.log.as_ref().map(|log| log.begin(view));
            Taken::Waits { journey: Box::new(journey), line, priority }
        }
    }
}

/// The `h2` crate has checked that the field, if there is one, is a number and that the body is as long.
fn content_length(parts: &http::request::Parts) -> Option<u64> {
    parts.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// How much of a request's body may be under way (RFC 9113 section 6.9.2).
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same for all bodies of a connection: what it can make this edge hold.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// How much of one answer the `h2` crate queues.
const QUEUED_BYTES: usize = 256 * 1024;
/// Streams of which it is remembered that they were reset.
const MAX_RESET_REMEMBERED: usize = 64;
/// Requests that are taken before others on the thread have their turn.
const REQUESTS_A_TURN: usize = 128;
