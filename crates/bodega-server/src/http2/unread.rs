//! What a client still sends of a body that nobody reads, once there is an answer (RFC 9113 section 8.1).
//!
//! A stream may be reset without an error once the answer is out, and many clients take that for one all the same: some
//! lose the answer, some wait for ever. So what comes is read away for a while, within bounds; only then it is reset.

use std::future::poll_fn;
use std::time::Duration;

use h2::RecvStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Reads the rest of a body away, in a task of its own. The stream counts as open meanwhile, so that a client has no more
/// of them than it may have open.
pub(crate) fn read_away(stream: RecvStream) {
    if stream.is_end_stream() {
        return;
    }
    // Without a runtime the connection has ended, too.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(timeout(MOST_TIME, drain(stream)));
    }
}

async fn drain(mut stream: RecvStream) {
    let mut left_bytes = MAX_BYTES;
    while let Some(Ok(piece)) = poll_fn(|context| stream.poll_data(context)).await {
        let Some(left) = left_bytes.checked_sub(piece.len()) else { return };
        left_bytes = left;
        if stream.flow_control().release_capacity(piece.len()).is_err() {
            return;
        }
    }
}

/// How much is read away of one body; what is under way of a connection's is bounded by its window.
const MAX_BYTES: usize = 8 << 20;
/// How long that may take.
const MOST_TIME: Duration = Duration::from_secs(5);
