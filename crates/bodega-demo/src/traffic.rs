//! Counts what a server was asked and what it sent, so that the bytes an edge saved its origin can be computed.
//! Bytes are those of bodies that were handed to the connection; heads are not counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// What a server or relay has carried since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests answered; for a relay, connections accepted.
    pub requests: u64,
    /// Body bytes sent; for a relay, all bytes from the target to clients.
    pub bytes_sent: u64,
}

impl Stats {
    /// `{"requests": n, "bytes_sent": n}`.
    #[must_use]
    pub fn to_json(self) -> String {
        serde_json::json!({ "requests": self.requests, "bytes_sent": self.bytes_sent }).to_string()
    }
}

/// The counters behind `Stats`, shared by everything that serves.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    requests: AtomicU64,
    bytes_sent: AtomicU64,
}

impl Traffic {
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_bytes(&self, n_bytes: usize) {
        self.bytes_sent.fetch_add(n_bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { requests: self.requests.load(Ordering::Relaxed), bytes_sent: self.bytes_sent.load(Ordering::Relaxed) }
    }
}

/// A body that counts its bytes as they leave.
pub(crate) struct Counted<B> {
    inner: B,
    traffic: Arc<Traffic>,
}

impl<B> Counted<B> {
    pub(crate) fn new(inner: B, traffic: Arc<Traffic>) -> Self {
        Self { inner, traffic }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.traffic.count_bytes(data.len());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
