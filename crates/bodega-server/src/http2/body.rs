//! A request's body on its way in: as fast as the origin takes it, within limits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bodega_edge::fetch::{BodyStream, FetchError};
use bodega_semantics::Reason;
use bytes::Bytes;
use h2::RecvStream;
use tokio::time::Sleep;

use crate::http2::unread::read_away;

/// A body that is being received.
pub(crate) struct Incoming {
    /// `None` once it has ended, in whatever way.
    stream: Option<RecvStream>,
    received_bytes: Arc<AtomicU64>,
    max_bytes: u64,
    timeout: Duration,
    /// Runs while the client pauses.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// A body; how much of it has come in is counted in `received_bytes`.
    pub(crate) fn new(stream: RecvStream, max_bytes: u64, timeout: Duration, received_bytes: Arc<AtomicU64>) -> Self {
        Self { stream: Some(stream), received_bytes, max_bytes, timeout, pause: None }
    }
}

impl BodyStream for Incoming {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        loop {
            let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
            match stream.poll_data(context) {
                Poll::Ready(Some(Ok(piece))) => {
                    self.pause = None;
                    // The window opens as the origin takes what came. An error means that the stream has ended.
                    let _ = stream.flow_control().release_capacity(piece.len());
                    let before = self.received_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    if before + piece.len() as u64 > self.max_bytes {
                        let error = FetchError::new(Reason::Limit, "the request's body is over the limit");
                        return Poll::Ready(Some(Err(error)));
                    }
                    if !piece.is_empty() {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    self.stream = None;
                    return Poll::Ready(Some(Err(broken("the request's body broke off"))));
                }
                Poll::Ready(None) => {
                    self.stream = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.timeout)));
                    std::task::ready!(pause.as_mut().poll(context));
                    return Poll::Ready(Some(Err(broken("the request's body did not go on"))));
                }
            }
        }
    }
}

/// Whoever read it reads no more: an origin that has answered already, say.
impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            read_away(stream);
        }
    }
}

fn broken(message: &str) -> FetchError {
    FetchError::new(Reason::ClientGone, message)
}
