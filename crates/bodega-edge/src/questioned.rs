//! The body of a question to a model on its way in, and how it is told that there is none to read: in the form of the
//! interface that is asked. What the head alone tells is not waited for: a stream of gRPC has no end.

use std::future::poll_fn;
use std::task::Poll;

use bodega_semantics::Head;
use bodega_semantics::Reason;
use serde_json::json;

use crate::fetch::{FetchError, RequestBody};
use crate::grpc;
use crate::held::Room;
use crate::predict::{Refused, Rendered};

/// Why no question was read.
pub(crate) enum Unread {
    /// Whatever the body is: it was not waited for.
    Refused(Refused),
    /// It is too long, did not come, or has no room.
    Failed(FetchError),
}

impl From<FetchError> for Unread {
    fn from(error: FetchError) -> Self {
        Self::Failed(error)
    }
}

/// Reads a body, or as much as shows that it is too long. Where it has to be waited for, `look` says first whether the head
/// alone is refused.
pub(crate) async fn read(
    body: Option<RequestBody>,
    longest: u64,
    room: &mut Room,
    look: impl FnOnce() -> Option<Refused>,
) -> Result<Vec<u8>, Unread> {
    let mut whole = Vec::new();
    let Some(mut body) = body else { return Ok(whole) };
    let mut look = Some(look);
    // Before a piece is asked for: who waits to be told to go on (RFC 9110 section 10.1.1) is told then. Without a limit
    // there is no model to ask, which is told instead.
    if let Some(n_bytes) = body.content_length.filter(|n_bytes| longest > 0 && *n_bytes > longest) {
        let over = || FetchError::new(Reason::Limit, format!("a body of {n_bytes} bytes is over the limit"));
        return Err(look.take().and_then(|look| look()).map_or_else(|| over().into(), Unread::Refused));
    }
    loop {
        let next = poll_fn(|context| match body.stream.poll_chunk(context) {
            Poll::Ready(next) => Poll::Ready(Ok(next)),
            Poll::Pending => match look.take().and_then(|look| look()) {
                Some(refused) => Poll::Ready(Err(Unread::Refused(refused))),
                None => Poll::Pending,
            },
        });
        let Some(chunk) = next.await? else { return Ok(whole) };
        let chunk = chunk?;
        if !room.grow(chunk.len() as u64) {
            return Err(busy().into());
        }
        let rest = usize::try_from(longest.saturating_add(1)).unwrap_or(usize::MAX) - whole.len();
        whole.extend_from_slice(&chunk[..chunk.len().min(rest)]);
        if whole.len() as u64 > longest {
            return Ok(whole);
        }
    }
}

fn busy() -> FetchError {
    let mut error = FetchError::new(Reason::OriginBusy, "too much of other requests for models is under way");
    error.retry_after_seconds = Some(1);
    error
}

/// Whether a refusal is of the head alone: a body that has not come changes nothing about it.
pub(crate) const fn is_of_head(status: u16) -> bool {
    matches!(status, 403 | 404 | 405 | 415 | 501 | 505)
}

/// The status of a question that was not read, and what the client reads.
pub(crate) fn told<H: Head + ?Sized>(head: &H, error: &FetchError) -> (u16, Rendered) {
    let (status, what) = match error.reason {
        Reason::OriginBusy => (503, error.message.as_str()),
        Reason::Limit => (413, error.message.as_str()),
        Reason::Malformed => (400, "the request is malformed"),
        // By HTTP/2 who has gone reads nothing: it has not come in time.
        Reason::ClientGone if grpc::is_call(head) => (408, "the request did not come in time"),
        Reason::ClientGone => (400, "the request was not sent whole"),
        _ => (500, "the edge failed"),
    };
    let told = if grpc::is_call(head) {
        grpc::alone(status, what)
    } else {
        Rendered::json(json!({ "error": what }).to_string().into())
    };
    (status, told)
}
