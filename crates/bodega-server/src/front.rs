//! What a connection goes through before it speaks HTTP: a PROXY header, TLS, and the choice of a protocol.

use std::sync::Arc;

use crate::admission::Admitted;
use crate::connection::{Connection, Phase, Proxied};
use crate::http1;
use crate::http2;
use crate::proxy_protocol::{self, Parsed};
use crate::tls::handshake::{self, Failed, Protocol};
use crate::worker::Thread;

/// Serves `connection` until it ends.
pub(crate) async fn run(thread: &Arc<Thread>, connection: &Arc<Connection>) {
    let protocol = match connection.stream.tls() {
        Some(session) => handshake::run(thread, connection, session).await,
        None => Some(Protocol::Http1),
    };
    match protocol {
        // Each in a box of its own, so that a connection takes no more memory than its protocol needs.
        Some(Protocol::Http2) => Box::pin(http2::serve::run(thread, connection, Vec::new())).await,
        Some(Protocol::Http1) => {
            if let Some(ahead) = Box::pin(http1::serve::run(thread, connection)).await {
                Box::pin(http2::serve::run(thread, connection, ahead)).await;
            }
        }
        None => {}
    }
}

/// Reads what a proxy says of its client. False: it says nothing that can be believed, or the client is one too many.
pub(crate) async fn read_proxy_header(thread: &Thread, connection: &Connection, admitted: &mut Admitted) -> bool {
    connection.enter(Phase::Handshake, thread.connections.tick());
    let socket = connection.stream.socket();
    // On the heap: a task that holds it across a wait would be as large for every connection.
    let mut seen = vec![0; proxy_protocol::MAX_V2_BYTES];
    let mut n_taken = 0;
    let header = loop {
        // What is left there is looked at, since only the header may be taken: what follows is TLS or HTTP.
        let Ok(n_new @ 1..) = socket.peek(&mut seen[n_taken..]).await else { return false };
        let parsed = proxy_protocol::parse(&seen[..n_taken + n_new]);
        let end = match &parsed {
            Ok(Parsed::Header(header)) => header.n_bytes,
            // All of it is the header's. With it taken, the next look waits for more, or sees the end.
            Ok(Parsed::Incomplete) => n_taken + n_new,
            Err(_) => {
                thread.front_metrics.handshake_failed(Failed::Proxy);
                return false;
            }
        };
        // The bytes are there: the read is whole.
        if !matches!(socket.try_read(&mut seen[n_taken..end]), Ok(n_read) if n_taken + n_read == end) {
            return false;
        }
        n_taken = end;
        if let Ok(Parsed::Header(header)) = parsed {
            break header;
        }
    };
    let client = header.client.map_or(connection.client(), |client| client.ip().to_canonical());
    connection.set_proxied(Proxied { client, https: header.https });
    if connection.stream.tls().is_none() {
        connection.enter(Phase::First, thread.connections.tick());
    }
    admitted.count_for(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_task<'a, F>(_: fn(&'a Arc<Thread>, &'a Arc<Connection>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_an_idle_connection_is_small() {
        // What waits for an origin lies in boxes of its own.
        let (task, http1) = (size_of_task(run), size_of_task(http1::serve::run));
        assert!(task <= 512 && http1 <= 3 * 1024, "{task} {http1}");
    }
}
