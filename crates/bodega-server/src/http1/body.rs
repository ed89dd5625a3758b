//! A request's body on its way in: read from the connection as the origin takes it, within limits.
//!
//! The stream owns the connection's input while the machine works; afterwards `Incoming::finish` gives back what
//! was read ahead, or says that the connection cannot be used any more.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bodega_edge::fetch::{BodyStream, FetchError};
use bodega_http1::{BodyFraming, ChunkDecoder};
use bodega_semantics::Reason;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::connection::{Connection, Phase};
use crate::http1::input::Input;
use crate::worker::Thread;

/// How much of an unread body is read away to keep the connection.
const DRAIN_BYTES: u64 = 256 * 1024;
/// The most that is handed on in one piece.
const PIECE_BYTES: usize = 64 * 1024;

/// A body that is being received, shared between the connection and the machine.
pub(crate) struct Incoming(Arc<Mutex<State>>);

struct State {
    thread: Arc<Thread>,
    connection: Arc<Connection>,
    input: Input,
    framing: Framing,
    n_bytes: u64,
    max_bytes: u64,
    /// The client waits to be told to go on (RFC 9110 section 10.1.1).
    expects_continue: bool,
    failed: bool,
}

enum Framing {
    Length(u64),
    Chunked(ChunkDecoder),
}

impl Incoming {
    pub(crate) fn new(
        thread: Arc<Thread>,
        connection: Arc<Connection>,
        input: Input,
        framing: BodyFraming,
        expects_continue: bool,
        max_bytes: u64,
    ) -> Self {
        let framing = match framing {
            BodyFraming::Chunked => Framing::Chunked(ChunkDecoder::new()),
            BodyFraming::Length(n_bytes) => Framing::Length(n_bytes),
            BodyFraming::None => Framing::Length(0),
        };
        Self(Arc::new(Mutex::new(State {
            thread,
            connection,
            input,
            framing,
            n_bytes: 0,
            max_bytes,
            expects_continue,
            failed: false,
        })))
    }

    /// The machine's end.
    pub(crate) fn stream(&self) -> Box<dyn BodyStream> {
        Box::new(Receiver(Arc::clone(&self.0)))
    }

    /// How much of the body has come in.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.0.lock().n_bytes
    }

    /// Whether it can still be read to its end, so that the next request is found behind it.
    pub(crate) fn is_in_step(&self) -> bool {
        let state = self.0.lock();
        !state.failed && (state.is_done() || !state.expects_continue)
    }

    /// What was read ahead, once the body has been read to its end; `None` if the connection must be closed.
    pub(crate) async fn finish(self) -> Option<Input> {
        let mut drained = 0;
        if !self.is_in_step() {
            // Malformed; or never asked for, and whether the client sends it all the same cannot be known.
            return None;
        }
        loop {
            if self.0.lock().is_done() {
                let mut state = self.0.lock();
                return (!state.failed).then(|| std::mem::take(&mut state.input));
            }
            let piece = std::future::poll_fn(|context| self.0.lock().poll_piece(context)).await;
            match piece {
                Some(Ok(piece)) => {
                    drained += piece.len() as u64;
                    if drained > DRAIN_BYTES {
                        return None;
                    }
                }
                Some(Err(_)) => return None,
                None => {}
            }
        }
    }
}

struct Receiver(Arc<Mutex<State>>);

impl BodyStream for Receiver {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        self.0.lock().poll_piece(context)
    }
}

impl State {
    fn is_done(&self) -> bool {
        match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(decoder) => decoder.is_done(),
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        loop {
            if self.is_done() {
                return Poll::Ready(None);
            }
            if self.failed {
                return Poll::Ready(Some(Err(FetchError::new(Reason::ClientGone, "the request's body broke off"))));
            }
            match self.take_piece() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.is_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
            }
            match self.poll_read(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(self.fail(error)))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn fail(&mut self, error: FetchError) -> FetchError {
        self.failed = true;
        error
    }

    /// What can be taken from the input.
    fn take_piece(&mut self) -> Result<Option<Bytes>, FetchError> {
        while !self.input.is_empty() {
            let filled = self.input.filled();
            let (consumed, data) = match &mut self.framing {
                Framing::Length(left) => {
                    let n_bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(filled.len()).min(PIECE_BYTES);
                    *left -= n_bytes as u64;
                    (n_bytes, 0..n_bytes)
                }
                Framing::Chunked(decoder) => {
                    let step =
                        decoder.decode(filled).map_err(|error| FetchError::new(Reason::Malformed, error.message()))?;
                    (step.consumed, step.data)
                }
            };
            let piece = Bytes::copy_from_slice(&filled[data]);
            self.input.consume(consumed);
            self.n_bytes += piece.len() as u64;
            if self.n_bytes > self.max_bytes {
                return Err(FetchError::new(Reason::Limit, "the request's body is over the limit"));
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            if self.is_done() || consumed == 0 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), FetchError>> {
        if std::mem::take(&mut self.expects_continue) {
            // Few bytes on an empty send buffer: they fit, or the client is gone.
            let _ = self.connection.stream.try_write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.input.take_memory(&mut self.thread.spare.lock());
        loop {
            match self.input.read(&self.connection.stream, PIECE_BYTES) {
                Ok(0) => {
                    return Poll::Ready(Err(FetchError::new(Reason::ClientGone, "the request's body broke off")));
                }
                Ok(_) => {
                    self.connection.enter(Phase::Work, self.thread.connections.tick());
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.connection.enter(Phase::Body, self.thread.connections.tick());
                    match self.connection.stream.poll_read_ready(context) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => {
                            return Poll::Ready(Err(FetchError::new(Reason::ClientGone, "the client is gone")));
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Err(_) => return Poll::Ready(Err(FetchError::new(Reason::ClientGone, "the client is gone"))),
            }
        }
    }
}
