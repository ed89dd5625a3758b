//! Handshakes that are under way on one thread: how many there may be, and that one at a time is computed.
//!
//! Where there are too many the oldest goes. A client that means it is done within a few round trips; one that holds
//! places open is always among the oldest, so that it takes nothing from who comes next.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::connection::Connection;

/// The handshakes of one thread.
pub(crate) struct Handshakes {
    max: usize,
    /// One is computed in a turn of the loop.
    turn: Semaphore,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    n_begun: u64,
    /// By age, the oldest first.
    by_age: BTreeMap<u64, Arc<Connection>>,
}

/// A handshake that is not finished; given up when dropped.
pub(crate) struct Unfinished<'a> {
    handshakes: &'a Handshakes,
    number: u64,
}

impl Handshakes {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, turn: Semaphore::new(1), open: Mutex::default() }
    }

    /// Counts a handshake in. If it is one too many the oldest is ended.
    pub(crate) fn begin(&self, connection: &Arc<Connection>) -> Unfinished<'_> {
        let mut open = self.open.lock();
        if open.by_age.len() >= self.max
            && let Some((_, oldest)) = open.by_age.pop_first()
        {
            oldest.stream.shutdown(Shutdown::Both);
        }
        let number = open.n_begun;
        open.n_begun += 1;
        open.by_age.insert(number, Arc::clone(connection));
        Unfinished { handshakes: self, number }
    }

    /// Waits for the turn to compute; it ends with the permit.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // An error would mean that the semaphore was closed, which nobody does.
        self.turn.acquire().await.ok()
    }
}

impl Unfinished<'_> {
    /// Whether it had to go for another.
    pub(crate) fn was_pushed_out(&self) -> bool {
        !self.handshakes.open.lock().by_age.contains_key(&self.number)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.handshakes.open.lock().by_age.remove(&self.number);
    }
}
