//! One connection to an origin: its stream, what was read and not yet used, what is still to be written, its timer.
//! It knows nothing of requests and answers; `exchange` and `body` use it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Instant;

use crate::stream::Stream;
use crate::timer::Timer;

pub(crate) struct Connection {
    stream: Stream,
    pub(crate) peer: SocketAddr,
    /// Read and not yet used.
    pub(crate) input: BytesMut,
    /// Copied and not yet written: heads, and what frames chunks.
    pub(crate) output: Vec<u8>,
    n_written: usize,
    /// To be written after `output`, without a copy; and what follows it.
    piece: Bytes,
    tail: &'static [u8],
    pub(crate) timer: Timer,
    /// Whether an earlier request was answered on it, so that the origin may have closed it meanwhile.
    pub(crate) is_reused: bool,
    idle_since: Instant,
    /// How long it may rest until it is closed.
    max_idle: Duration,
}

impl Connection {
    pub(crate) fn new(stream: Stream, peer: SocketAddr, longest_wait: Duration) -> Self {
        let now = Instant::now();
        Self {
            stream,
            peer,
            input: BytesMut::new(),
            output: Vec::with_capacity(1024),
            n_written: 0,
            piece: Bytes::new(),
            tail: b"",
            timer: Timer::new(now + longest_wait),
            is_reused: false,
            idle_since: now,
            max_idle: MAX_IDLE,
        }
    }

    /// Makes room for a head, in the buffer of the last one if nobody holds it any more.
    pub(crate) fn prepare(&mut self) {
        self.output.clear();
        self.n_written = 0;
        self.input.clear();
        if !self.input.try_reclaim(HEAD_BYTES) {
            self.input = BytesMut::with_capacity(HEAD_BYTES);
        }
    }

    /// Reads more, into a buffer with about `room` to spare; 0 is the end of the stream.
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < room / 4 {
            if self.input.is_empty() && !self.input.try_reclaim(room) {
                self.input = BytesMut::with_capacity(room);
            }
            self.input.reserve(room);
        }
        self.stream.poll_read(context, &mut self.input)
    }

    /// Whether all that was given to be written is written.
    pub(crate) fn is_flushed(&self) -> bool {
        self.n_written == self.output.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    /// Whether a piece of a body is waiting to be written; until it is, no other may be given.
    pub(crate) fn holds_piece(&self) -> bool {
        !self.piece.is_empty() || !self.tail.is_empty()
    }

    /// Gives a piece of a body to be written: behind what `frame` writes before it, and before `tail`.
    pub(crate) fn give(&mut self, frame: impl FnOnce(&mut Vec<u8>), piece: Bytes, tail: &'static [u8]) {
        if self.n_written == self.output.len() {
            self.output.clear();
            self.n_written = 0;
        }
        frame(&mut self.output);
        self.piece = piece;
        self.tail = tail;
    }

    /// Writes what is waiting, as much as the socket takes; ready when all is written.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let pieces =
                [IoSlice::new(&self.output[self.n_written..]), IoSlice::new(&self.piece), IoSlice::new(self.tail)];
            let first = pieces.iter().position(|piece| !piece.is_empty()).unwrap_or_default();
            let last = pieces.iter().rposition(|piece| !piece.is_empty()).unwrap_or_default();
            let mut n = match self.stream.poll_write(context, &pieces[first..=last]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            };
            let of_output = n.min(self.output.len() - self.n_written);
            self.n_written += of_output;
            n -= of_output;
            let of_piece = n.min(self.piece.len());
            self.piece.advance(of_piece);
            n -= of_piece;
            self.tail = self.tail.get(n..).unwrap_or_default();
        }
        self.stream.poll_flush(context)
    }

    /// Whether an idle connection can carry another request, as far as this side has heard: an origin that closed it,
    /// or sent something that nobody asked for, has made it useless.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.prepare();
        self.stream.poll_read(&mut Context::from_waker(Waker::noop()), &mut self.input).is_pending()
    }

    /// The same, asking the kernel: for requests that cannot be sent a second time.
    pub(crate) fn is_surely_usable(&mut self) -> bool {
        self.is_usable() && self.stream.is_silent()
    }

    /// Notes how long the origin keeps the connection open after this answer, where it says so. This side closes first,
    /// or a request would now and then meet the origin's close.
    pub(crate) fn expect_close_after(&mut self, idle_timeout: Option<Duration>) {
        self.max_idle = idle_timeout.map_or(MAX_IDLE, |timeout| timeout.saturating_sub(AHEAD).min(MAX_IDLE));
    }

    /// Whether it is worth keeping for another request.
    pub(crate) fn may_rest(&self) -> bool {
        !self.max_idle.is_zero()
    }

    /// Whether it has been idle for too long.
    pub(crate) fn has_rested_enough(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.idle_since) > self.max_idle
    }

    /// Lets go of what an idle connection does not need.
    pub(crate) fn rest(&mut self) {
        self.is_reused = true;
        self.idle_since = Instant::now();
        self.piece = Bytes::new();
        if self.input.capacity() > HEAD_BYTES {
            self.input = BytesMut::new();
        }
        if self.output.capacity() > HEAD_BYTES {
            self.output = Vec::new();
        }
    }
}

/// Room for a usual head and a small body, read at once.
pub(crate) const HEAD_BYTES: usize = 16 * 1024;

/// Shorter than most servers' own limit, so that it is seldom they who close.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// How long before the origin an idle connection is closed.
const AHEAD: Duration = Duration::from_secs(1);
