//! How many requests an origin is asked at once, over all threads, and how many may wait for their turn.
//! Beyond that the edge says "busy" at once: a queue that only grows helps nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::seconds;

pub(crate) struct Gate {
    turns: Arc<Semaphore>,
    n_waiting: AtomicUsize,
    max_waiting: usize,
    patience: Duration,
}

/// A request's turn; another's begins when it is dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Gate {
    pub(crate) fn new(max_at_once: usize, max_waiting: usize, patience: Duration) -> Self {
        let max_at_once = max_at_once.clamp(1, Semaphore::MAX_PERMITS);
        Self { turns: Arc::new(Semaphore::new(max_at_once)), n_waiting: AtomicUsize::new(0), max_waiting, patience }
    }

    /// Waits for a turn, in order of arrival.
    ///
    /// # Errors
    /// In words, when the queue is full or the wait too long.
    pub(crate) async fn enter(&self) -> Result<Turn, String> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
        let _waiting = Waiting::new(&self.n_waiting, self.max_waiting)
            .ok_or_else(|| format!("has all its connections in use and {} requests waiting", self.max_waiting))?;
        match tokio::time::timeout(self.patience, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(format!("had no connection free within {}", seconds(self.patience))),
        }
    }

    /// How long a client that was turned away should stay away: about as long as the queue is deep.
    pub(crate) fn retry_after_seconds(&self) -> u32 {
        u32::try_from(self.patience.as_secs()).unwrap_or(u32::MAX).clamp(1, 60)
    }
}

/// A place in the queue, given back when the request is served or its future dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(n_waiting: &'a AtomicUsize, max_waiting: usize) -> Option<Self> {
        let before = n_waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(n_waiting);
        (before < max_waiting).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
