//! A client's socket, TCP or Unix, with the few operations that a stream needs.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use bodega_store::disk::FileRange;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! on_both {
    ($self:expr, $stream:ident => $body:expr) => {
        match $self {
            Socket::Tcp($stream) => $body,
            Socket::Unix($stream) => $body,
        }
    };
}

impl Socket {
    /// Waits until there is something to read, or the end.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        // Cheaper than tokio's own `readable`, which queues any number of waiters: a connection has one reader.
        std::future::poll_fn(|context| self.poll_read_ready(context)).await
    }

    /// Waits until something can be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        on_both!(self, stream => stream.writable().await)
    }

    /// Reads what is there.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = on_both!(self, stream => stream.try_read(buffer))?;
        if 0 < n_bytes && n_bytes < buffer.len() {
            // The socket is empty: what comes next is a new event, so the next wait need not ask the system first. An
            // end that came along is remembered by the runtime.
            self.forget_readiness();
        }
        Ok(n_bytes)
    }

    /// Looks at what has come without taking it; a Unix socket shows nothing.
    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.peek(buffer).await,
            Self::Unix(_) => Ok(0),
        }
    }

    /// Waits for the next event before reading again, although something may be there.
    fn forget_readiness(&self) {
        let forget = || -> io::Result<()> { Err(io::ErrorKind::WouldBlock.into()) };
        // The error is ours.
        let _ = on_both!(self, stream => stream.try_io(Interest::READABLE, forget));
    }

    /// Writes what fits.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        on_both!(self, stream => stream.try_write(bytes))
    }

    /// The same where more follows at once: the system may wait for that, and send both in one packet.
    pub(crate) fn try_write_ahead(&self, bytes: &[u8]) -> io::Result<usize> {
        let send = || on_both!(self, stream => SockRef::from(stream).send_with_flags(bytes, libc::MSG_MORE | libc::MSG_NOSIGNAL));
        on_both!(self, stream => stream.try_io(Interest::WRITABLE, send))
    }

    /// Writes what fits of several pieces.
    pub(crate) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        on_both!(self, stream => stream.try_write_vectored(pieces))
    }

    /// Sends as much of the first `most` bytes of a file's range as fits, from the page cache, without a copy.
    pub(crate) fn try_send_file(&self, range: &FileRange, most: usize) -> io::Result<usize> {
        let send = || {
            let to = on_both!(self, stream => stream.as_raw_fd());
            let mut offset = libc::off_t::try_from(range.offset).map_err(io::Error::other)?;
            let n_bytes = usize::try_from(range.n_bytes).unwrap_or(usize::MAX).min(most);
            // SAFETY: both descriptors are open as long as `self` and `range` are, and `offset` is one that the call may
            // write to.
            let sent = unsafe { libc::sendfile(to, range.as_fd().as_raw_fd(), &raw mut offset, n_bytes) };
            usize::try_from(sent).map_err(|_| io::Error::last_os_error())
        };
        on_both!(self, stream => stream.try_io(Interest::WRITABLE, send))
    }

    /// As `readable`, for hand-written futures.
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_both!(self, stream => stream.poll_read_ready(context))
    }

    /// As `writable`, for hand-written futures.
    pub(crate) fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_both!(self, stream => stream.poll_write_ready(context))
    }

    /// Ends one or both directions, which wakes whoever waits for them.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        // An error means that the connection is gone already, which is what was wanted.
        let _ = on_both!(self, stream => SockRef::from(stream).shutdown(how));
    }

    /// How much the system has taken and the other end has not.
    pub(crate) fn unsent_bytes(&self) -> usize {
        let mut n_bytes: libc::c_int = 0;
        let descriptor = on_both!(self, stream => stream.as_raw_fd());
        // SAFETY: the descriptor is open as long as `self` is, and the request writes one integer, which `n_bytes` is.
        let done = unsafe { libc::ioctl(descriptor, libc::TIOCOUTQ, &raw mut n_bytes) };
        if done == 0 { usize::try_from(n_bytes).unwrap_or(0) } else { 0 }
    }

    /// Makes the end of the connection a reset, which nobody takes for the end of a message.
    /// What has not left yet is lost. Unix sockets have no such thing.
    pub(crate) fn reset_when_closed(&self) {
        // An error means that the connection is gone already.
        let _ = on_both!(self, stream => SockRef::from(stream).set_linger(Some(Duration::ZERO)));
    }

    /// The address of the other end; the loopback address for Unix sockets.
    pub(crate) fn peer(&self) -> IpAddr {
        match self {
            Self::Tcp(stream) => {
                stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical())
            }
            Self::Unix(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}
