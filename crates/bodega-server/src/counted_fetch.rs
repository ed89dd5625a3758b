//! Counts what is asked of origins and what comes from them, around any `Fetch`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bodega_edge::fetch::{BodyStream, Fetch, FetchAnswer, FetchError, FetchFuture, FetchRequest};
use bodega_edge::predict::{Asked, Question, Refused};
use bodega_semantics::Fields;
use bytes::Bytes;
use parking_lot::RwLock;

/// The counts of all origins, shared by the threads.
#[derive(Default)]
pub(crate) struct OriginCounts(RwLock<BTreeMap<String, Arc<Count>>>);

#[derive(Default)]
struct Count {
    n_ok: AtomicU64,
    n_errors: AtomicU64,
    received_bytes: AtomicU64,
}

/// One origin's counts.
pub(crate) struct Counted {
    pub(crate) name: String,
    pub(crate) n_ok: u64,
    pub(crate) n_errors: u64,
    pub(crate) received_bytes: u64,
}

impl OriginCounts {
    pub(crate) fn all(&self) -> Vec<Counted> {
        let counted = |(name, count): (&String, &Arc<Count>)| Counted {
            name: name.clone(),
            n_ok: count.n_ok.load(Ordering::Relaxed),
            n_errors: count.n_errors.load(Ordering::Relaxed),
            received_bytes: count.received_bytes.load(Ordering::Relaxed),
        };
        self.0.read().iter().map(counted).collect()
    }

    fn of(&self, origin: &str) -> Arc<Count> {
        if let Some(count) = self.0.read().get(origin) {
            return Arc::clone(count);
        }
        Arc::clone(self.0.write().entry(origin.to_owned()).or_default())
    }
}

/// A `Fetch` that is counted.
pub(crate) struct CountedFetch<F> {
    inner: F,
    counts: Arc<OriginCounts>,
}

impl<F> CountedFetch<F> {
    pub(crate) fn new(inner: F, counts: Arc<OriginCounts>) -> Self {
        Self { inner, counts }
    }
}

impl<F: Fetch> Fetch for CountedFetch<F> {
    fn fetch(&self, origin: &str, request: FetchRequest) -> FetchFuture {
        Box::pin(Counting { inner: self.inner.fetch(origin, request), count: self.counts.of(origin) })
    }

    fn question(&self, origin: &str, asked: &Asked<'_>) -> Option<Result<Box<dyn Question>, Refused>> {
        self.inner.question(origin, asked)
    }

    fn max_question_bytes(&self, origin: &str) -> u64 {
        self.inner.max_question_bytes(origin)
    }

    fn predicted(&self, origin: &str, n_bytes: Option<u64>) {
        let count = self.counts.of(origin);
        match n_bytes {
            Some(n_bytes) => {
                count.n_ok.fetch_add(1, Ordering::Relaxed);
                count.received_bytes.fetch_add(n_bytes, Ordering::Relaxed);
            }
            None => drop(count.n_errors.fetch_add(1, Ordering::Relaxed)),
        }
    }

    fn close_idle(&self) {
        self.inner.close_idle();
    }
}

/// A fetch under way. It keeps the inner future to its own end: see `bodega_edge`'s `lead`.
struct Counting {
    inner: FetchFuture,
    count: Arc<Count>,
}

impl Future for Counting {
    type Output = Result<FetchAnswer, FetchError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match std::task::ready!(self.inner.as_mut().poll(context)) {
            Ok(mut answer) => {
                self.count.n_ok.fetch_add(1, Ordering::Relaxed);
                answer.body = Box::new(CountedBody { inner: answer.body, count: Arc::clone(&self.count) });
                Poll::Ready(Ok(answer))
            }
            Err(error) => {
                self.count.n_errors.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Err(error))
            }
        }
    }
}

struct CountedBody {
    inner: Box<dyn BodyStream>,
    count: Arc<Count>,
}

impl BodyStream for CountedBody {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        let polled = self.inner.poll_chunk(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.count.received_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        polled
    }

    fn trailers(&mut self) -> Option<Fields> {
        self.inner.trailers()
    }

    fn announced_trailers(&self) -> Option<&[u8]> {
        self.inner.announced_trailers()
    }
}
