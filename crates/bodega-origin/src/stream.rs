//! A byte stream to an origin, plain or TLS, with the three calls the client needs of it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Not generic over the two: one copy of the client's code is worth more than one branch a call.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Reads into the spare room of `buffer`; 0 means the end (or no room).
    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        // The future keeps no state of its own, so making it anew for each poll loses nothing.
        match self {
            Self::Plain(stream) => pin!(stream.read_buf(buffer)).poll(context),
            Self::Tls(stream) => pin!(stream.read_buf(buffer)).poll(context),
        }
    }

    /// Writes `pieces` with one call, which for a single one need not be a gathering one.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match (self, pieces) {
            (Self::Plain(stream), [piece]) => Pin::new(stream).poll_write(context, piece),
            (Self::Plain(stream), _) => Pin::new(stream).poll_write_vectored(context, pieces),
            (Self::Tls(stream), _) => Pin::new(stream.as_mut()).poll_write_vectored(context, pieces),
        }
    }

    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // Nothing is held back in a plain socket.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    /// Asks the kernel whether the other side has sent anything or closed. One system call, no waiting.
    pub(crate) fn is_silent(&self) -> bool {
        let tcp = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let mut byte = [MaybeUninit::uninit()];
        match socket2::SockRef::from(tcp).peek(&mut byte) {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => false,
        }
    }
}
