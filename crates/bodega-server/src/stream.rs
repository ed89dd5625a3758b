//! A client's connection as a front sees it: a socket, and perhaps TLS around what goes through it.
//!
//! Everything is done through shared references: the sweeper ends what takes too long while the front waits.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown};
use std::task::{Context, Poll};

use bodega_store::disk::FileRange;

use crate::socket::Socket;
use crate::tls::session::Session;

/// A connection.
pub(crate) struct Stream {
    socket: Socket,
    tls: Option<Box<Session>>,
}

impl Stream {
    pub(crate) fn plain(socket: Socket) -> Self {
        Self { socket, tls: None }
    }

    /// TLS whose handshake is still to come.
    pub(crate) fn with_tls(socket: Socket, session: Session) -> Self {
        Self { socket, tls: Some(Box::new(session)) }
    }

    /// What lies below TLS.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// TLS, if there is any.
    pub(crate) fn tls(&self) -> Option<&Session> {
        self.tls.as_deref()
    }

    /// Waits until there is something to read, or the end. Under TLS that something may be no more than a part of a
    /// record.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        if self.has_more() {
            return Ok(());
        }
        self.socket.readable().await
    }

    /// Waits until something can be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Reads what is there. 0 is the end, whether the client said so or just left: a message that is cut short shows by
    /// its own length.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.socket.try_read(buffer),
            Some(session) => session.try_read(&self.socket, buffer),
        }
    }

    /// Writes what fits. What TLS has taken may still be on its way: see `try_flush`.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.socket.try_write(bytes),
            Some(session) => session.try_write_vectored(&self.socket, &[IoSlice::new(bytes)]),
        }
    }

    /// The same before a file (`try_send_file`), so that a head does not go out alone.
    pub(crate) fn try_write_ahead(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => self.socket.try_write_ahead(bytes),
            Some(_) => self.try_write(bytes),
        }
    }

    /// Writes what fits of several pieces.
    pub(crate) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.tls {
            None => self.socket.try_write_vectored(pieces),
            Some(session) => session.try_write_vectored(&self.socket, pieces),
        }
    }

    /// Sends at most `most` bytes of a file as they are: `None` where they have to be encrypted, and so to pass through
    /// memory.
    pub(crate) fn try_send_file(&self, range: &FileRange, most: usize) -> Option<io::Result<usize>> {
        match &self.tls {
            None => Some(self.socket.try_send_file(range, most)),
            Some(_) => None,
        }
    }

    /// Sends what has been encrypted and has not left yet; `WouldBlock` if some of it is still there.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match &self.tls {
            None => Ok(()),
            Some(session) => session.try_flush(&self.socket),
        }
    }

    /// As `readable`, for hand-written futures.
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_more() {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(context)
    }

    /// Whether TLS holds something that the socket does not tell of any more.
    fn has_more(&self) -> bool {
        self.tls.as_deref().is_some_and(Session::has_more)
    }

    /// As `writable`, for hand-written futures.
    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(context)
    }

    /// Ends one or both directions, which wakes whoever waits for them.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        self.socket.shutdown(how);
    }

    /// Ends what goes out, and says under TLS that this is its proper end (RFC 8446 section 6.1).
    pub(crate) fn finish(&self) {
        if let Some(session) = &self.tls {
            session.close(&self.socket);
        }
        self.socket.shutdown(Shutdown::Write);
    }

    /// Makes the end of the connection a reset, which nobody takes for the end of a message.
    pub(crate) fn reset_when_closed(&self) {
        self.socket.reset_when_closed();
    }

    /// The address of the other end; the loopback address for Unix sockets.
    pub(crate) fn peer(&self) -> IpAddr {
        self.socket.peer()
    }
}
