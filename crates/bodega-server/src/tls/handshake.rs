//! The beginning of a TLS connection.
//!
//! A handshake costs a hundred times what a hit costs. So a thread computes one at a time and lets its loop turn before
//! the next, however many clients knock: whoever has a connection already waits for one signature at most.

use std::io;
use std::sync::Arc;

use rustls::{HandshakeKind, ProtocolVersion};

use crate::connection::{Connection, Phase};
use crate::stream::Stream;
use crate::tls::config::HTTP2;
use crate::tls::session::Session;
use crate::worker::Thread;

/// What client and edge agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Runs the handshake of `session` to its end. `None`: there is nobody to talk to.
pub(crate) async fn run(thread: &Arc<Thread>, connection: &Arc<Connection>, session: &Session) -> Option<Protocol> {
    connection.enter_anew(Phase::Handshake, thread.connections.tick());
    let unfinished = thread.handshakes.begin(connection);
    match shake(thread, &connection.stream, session).await {
        Ok(()) => {
            let tls = session.lock();
            thread.front_metrics.handshake_done(
                tls.protocol_version() == Some(ProtocolVersion::TLSv1_3),
                tls.handshake_kind() == Some(HandshakeKind::Resumed),
            );
            Some(if tls.alpn_protocol() == Some(HTTP2) { Protocol::Http2 } else { Protocol::Http1 })
        }
        Err(error) => {
            thread.front_metrics.handshake_failed(match error.kind() {
                _ if unfinished.was_pushed_out() => Failed::Limit,
                _ if connection.has_expired() => Failed::Timeout,
                io::ErrorKind::InvalidData => Failed::Refused,
                _ => Failed::ClientGone,
            });
            None
        }
    }
}

async fn shake(thread: &Thread, stream: &Stream, session: &Session) -> io::Result<()> {
    loop {
        match session.try_flush(stream.socket()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stream.writable().await?;
                continue;
            }
            flushed => flushed?,
        }
        if !session.lock().is_handshaking() {
            return Ok(());
        }
        stream.readable().await?;
        // The permit is kept for a turn of the loop.
        let _turn = thread.handshakes.turn().await;
        let received = session.receive(stream.socket());
        match received {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => {
                received?;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Too many at once.
    Limit,
    /// It took too long.
    Timeout,
    /// Client and edge have nothing in common, or the client spoke something else.
    Refused,
    /// The client left.
    ClientGone,
    /// A proxy whose header is none.
    Proxy,
}

impl Failed {
    pub(crate) const ALL: [Self; 5] = [Self::Limit, Self::Timeout, Self::Refused, Self::ClientGone, Self::Proxy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::ClientGone => "client_gone",
            Self::Proxy => "proxy_header",
        }
    }
}
