//! A client's connection, TCP or Unix, with the few operations the front needs.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! on_both {
    ($self:expr, $stream:ident => $body:expr) => {
        match $self {
            Stream::Tcp($stream) => $body,
            Stream::Unix($stream) => $body,
        }
    };
}

impl Stream {
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
        on_both!(self, stream => stream.try_read(buffer))
    }

    /// Writes what fits.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        on_both!(self, stream => stream.try_write(bytes))
    }

    /// Writes what fits of several pieces.
    pub(crate) fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        on_both!(self, stream => stream.try_write_vectored(pieces))
    }

    /// As `readable`, for hand-written futures.
    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_both!(self, stream => stream.poll_read_ready(context))
    }

    /// Ends one or both directions, which wakes whoever waits for them.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        // An error means that the connection is gone already, which is what was wanted.
        let _ = on_both!(self, stream => SockRef::from(stream).shutdown(how));
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
