//! What the `h2` crate reads and writes through. What it writes is gathered and leaves at the end of a turn: the frames
//! of all streams that were answered share records and system calls.
//!
//! Under TLS whole records are encrypted from where the bytes lie; less than a record is copied and waits for more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::Connection;
use crate::http2::guard::{Guard, Misuse};

/// One connection's bytes in both directions.
pub(crate) struct Wire {
    connection: Arc<Connection>,
    state: Mutex<State>,
    /// Whether the socket took something since it was last asked.
    moved: AtomicBool,
}

struct State {
    /// What has not been encrypted or sent.
    gathered: Vec<u8>,
    /// What was read before it was known that it is HTTP/2.
    ahead: Vec<u8>,
    /// How much may still be read in this turn.
    readable_bytes: usize,
    /// How much may still be written in this turn.
    writable_bytes: usize,
    /// How much is asked of the socket at once: more while a client sends much, so that others take little memory.
    read_bytes: usize,
    guard: Guard,
}

/// The end of the wire that the `h2` crate holds.
pub(crate) struct Io(pub(crate) Arc<Wire>);

impl Wire {
    /// The wire of a connection of which `ahead` has been read already.
    pub(crate) fn new(connection: Arc<Connection>, ahead: Vec<u8>) -> Self {
        let guard = Guard::default();
        let state = State {
            gathered: Vec::new(),
            ahead,
            readable_bytes: READ_BYTES_A_TURN,
            writable_bytes: WRITE_BYTES_A_TURN,
            read_bytes: FEW_BYTES,
            guard,
        };
        Self { connection, state: Mutex::new(state), moved: AtomicBool::new(false) }
    }

    /// Sends all that was gathered. Pending: the socket takes no more for now.
    pub(crate) fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        loop {
            match self.send(&mut state.gathered) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.connection.stream.poll_write_ready(context))?;
                }
                sent => {
                    if state.gathered.capacity() > KEPT_BYTES {
                        state.gathered = Vec::new();
                    }
                    return Poll::Ready(sent);
                }
            }
        }
    }

    /// Whether the socket has taken something since this was asked last.
    pub(crate) fn has_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// Another turn: as much may be read and written again.
    pub(crate) fn begin_turn(&self) {
        let mut state = self.state.lock();
        state.readable_bytes = READ_BYTES_A_TURN;
        state.writable_bytes = WRITE_BYTES_A_TURN;
    }

    /// What the client does too much of.
    pub(crate) fn misuse(&self) -> Option<Misuse> {
        self.state.lock().guard.misuse()
    }

    /// What the `h2` crate had too much of.
    pub(crate) fn excess(&self) -> Misuse {
        self.state.lock().guard.excess()
    }

    /// Work that was done for the client allows it more of what asks for none.
    pub(crate) fn earn(&self, n_bytes: usize) {
        self.state.lock().guard.earn(n_bytes);
    }

    fn send(&self, gathered: &mut Vec<u8>) -> io::Result<()> {
        let stream = &self.connection.stream;
        if let Some(session) = stream.tls() {
            if !gathered.is_empty() {
                session.encrypt(&[IoSlice::new(gathered)])?;
                gathered.clear();
            }
            let unsent_before = session.unsent_bytes();
            let flushed = session.try_flush(stream.socket());
            if session.unsent_bytes() < unsent_before {
                self.moved.store(true, Ordering::Relaxed);
            }
            return flushed;
        }
        let mut done = 0;
        let sent = loop {
            if done == gathered.len() {
                break Ok(());
            }
            match stream.try_write(&gathered[done..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n_bytes) => done += n_bytes,
                Err(error) => break Err(error),
            }
        };
        if done > 0 {
            self.moved.store(true, Ordering::Relaxed);
            gathered.drain(..done);
        }
        sent
    }

    fn poll_gather(&self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        if state.writable_bytes == 0 {
            // Others on this thread have their turn, and this connection comes back.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let state = &mut *state;
        let gathered = &mut state.gathered;
        let total = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        state.writable_bytes = state.writable_bytes.saturating_sub(total);
        let held = gathered.len() + total;
        let Some(session) = self.connection.stream.tls() else {
            while gathered.len() >= UNSENT_BYTES {
                match self.send(gathered) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(self.connection.stream.poll_write_ready(context))?;
                    }
                    sent => sent?,
                }
            }
            pieces.iter().for_each(|piece| gathered.extend_from_slice(piece));
            return Poll::Ready(Ok(total));
        };
        if held < RECORD_BYTES {
            pieces.iter().for_each(|piece| gathered.extend_from_slice(piece));
            return Poll::Ready(Ok(total));
        }
        if session.unsent_bytes() >= SEND_BYTES {
            // What is left is seen below, or at the end of the turn.
            let _ = session.try_flush(self.connection.stream.socket());
            if session.unsent_bytes() < SEND_BYTES {
                self.moved.store(true, Ordering::Relaxed);
            }
        }
        while session.unsent_bytes() >= UNSENT_BYTES {
            match session.try_flush(self.connection.stream.socket()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.connection.stream.poll_write_ready(context))?;
                }
                flushed => flushed?,
            }
        }
        // Whole records from where the bytes lie; the rest waits for what comes next.
        let mut left = held / RECORD_BYTES * RECORD_BYTES - gathered.len();
        let mut slices = [IoSlice::new(&[]); MAX_PIECES];
        slices[0] = IoSlice::new(gathered);
        let mut n_slices = 1;
        let mut rest = 0;
        for (index, piece) in pieces.iter().enumerate() {
            if left == 0 || n_slices == MAX_PIECES {
                break;
            }
            let taken = piece.len().min(left);
            slices[n_slices] = IoSlice::new(&piece[..taken]);
            n_slices += 1;
            left -= taken;
            rest = index + usize::from(taken == piece.len());
        }
        session.encrypt(&slices[..n_slices])?;
        let encrypted = slices[1..n_slices].iter().map(|slice| slice.len()).sum::<usize>();
        let whole_before = pieces[..rest].iter().map(|piece| piece.len()).sum::<usize>();
        gathered.clear();
        let mut skip = encrypted - whole_before;
        for piece in &pieces[rest..] {
            gathered.extend_from_slice(&piece[skip..]);
            skip = 0;
        }
        Poll::Ready(Ok(total))
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &*self.0;
        let mut state = wire.state.lock();
        if state.readable_bytes == 0 || state.guard.misuse().is_some() {
            // The connection's task looks at what it is, before more is read.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n_wanted = state.read_bytes.min(buffer.remaining());
        let unfilled = buffer.initialize_unfilled_to(n_wanted);
        if !state.ahead.is_empty() {
            let n_bytes = state.ahead.len().min(unfilled.len());
            unfilled[..n_bytes].copy_from_slice(&state.ahead[..n_bytes]);
            state.ahead.drain(..n_bytes);
            state.guard.watch(&unfilled[..n_bytes]);
            buffer.advance(n_bytes);
            return Poll::Ready(Ok(()));
        }
        loop {
            match wire.connection.stream.try_read(unfilled) {
                Ok(n_bytes) => {
                    state.guard.watch(&unfilled[..n_bytes]);
                    state.readable_bytes = state.readable_bytes.saturating_sub(n_bytes);
                    state.read_bytes = if n_bytes == n_wanted { state.read_bytes * 2 } else { n_bytes };
                    state.read_bytes = state.read_bytes.clamp(FEW_BYTES, MANY_BYTES);
                    buffer.advance(n_bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(wire.connection.stream.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_gather(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_gather(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the connection's task sends at the end of its turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_send(context))?;
        self.0.connection.stream.finish();
        Poll::Ready(Ok(()))
    }
}

/// RFC 8446 section 5.1.
const RECORD_BYTES: usize = 16 * 1024;
/// As much goes out before the turn is over.
const SEND_BYTES: usize = 64 * 1024;
/// As much may wait for the socket; then nothing more is written, and nothing more read.
const UNSENT_BYTES: usize = 128 * 1024;
/// The least and the most that is asked of the socket at once.
const FEW_BYTES: usize = 1024;
const MANY_BYTES: usize = 64 * 1024;
/// How much is read before others on the thread have their turn.
const READ_BYTES_A_TURN: usize = 256 * 1024;
/// The same for what is written: bursts of one connection stay small beside what the network takes at once.
const WRITE_BYTES_A_TURN: usize = 64 * 1024;
/// What an idle connection may keep for gathering.
const KEPT_BYTES: usize = 2 * 1024;
const MAX_PIECES: usize = 8;
