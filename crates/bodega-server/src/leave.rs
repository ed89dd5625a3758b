//! The end of a connection on which everything has been said: what the client still sends is read away, so that it gets
//! the last answer before the connection is reset (RFC 9112 section 9.6), and one that reads slowly gets it whole.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::connection::{Connection, Phase};
use crate::worker::Thread;

/// Says that nothing more will come, and waits for the client to leave: while it takes what was sent, and a moment more.
pub(crate) async fn run(thread: &Thread, connection: &Connection) {
    let stream = &connection.stream;
    connection.enter(Phase::Work, thread.connections.tick());
    stream.finish();
    let mut scrap = [0; 4096];
    let mut left_bytes = MAX_BYTES;
    let mut unsent_bytes = stream.socket().unsent_bytes();
    let mut taken = Instant::now();
    let mut deadline = taken + MOMENT;
    while left_bytes > 0 {
        match stream.try_read(&mut scrap) {
            Ok(0) => return,
            Ok(n_bytes) => left_bytes = left_bytes.saturating_sub(n_bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match timeout_at(deadline, stream.readable()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        let now = Instant::now();
                        let unsent_now = stream.socket().unsent_bytes();
                        if unsent_now < unsent_bytes {
                            (unsent_bytes, taken) = (unsent_now, now);
                        } else if unsent_now == 0 || now - taken > thread.timeouts.write {
                            return;
                        }
                        deadline = now + MOMENT;
                    }
                }
            }
            Err(_) => return,
        }
    }
}

/// How much is read away.
const MAX_BYTES: usize = 512 * 1024;
/// How long a client that has everything may take to leave.
const MOMENT: Duration = Duration::from_secs(2);
