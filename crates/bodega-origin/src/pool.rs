//! Idle connections to one origin, for one worker: a socket belongs to the runtime that made it.
//! Bounded in number and in age; the one used last is used first, so that the others can grow old.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::origins::Origin;

/// A worker's way to one origin. A clone is the same lane.
#[derive(Clone)]
pub(crate) struct Lane(Arc<Shared>);

struct Shared {
    origin: Arc<Origin>,
    #[expect(clippy::vec_box, reason = "a connection goes from hand to hand as one pointer")]
    idle: Mutex<Vec<Box<Connection>>>,
}

impl Lane {
    pub(crate) fn new(origin: Arc<Origin>) -> Self {
        Self(Arc::new(Shared { origin, idle: Mutex::new(Vec::new()) }))
    }

    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.0.origin
    }

    /// An idle connection that still seems good. For a request that cannot be sent twice it is made sure of.
    pub(crate) fn take(&self, is_repeatable: bool) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.0.idle.lock().pop()?;
            if connection.has_rested_enough(Instant::now()) {
                continue;
            }
            let is_usable = if is_repeatable { connection.is_usable() } else { connection.is_surely_usable() };
            if is_usable {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(crate) fn give_back(&self, mut connection: Box<Connection>) {
        if !connection.may_rest() {
            return;
        }
        connection.rest();
        let mut idle = self.0.idle.lock();
        if idle.len() >= self.0.origin.settings.limits.max_connections.min(MAX_IDLE_CONNECTIONS) {
            idle.remove(0);
        }
        idle.push(connection);
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        self.0.idle.lock().retain(|connection| !connection.has_rested_enough(now));
    }

    #[cfg(test)]
    pub(crate) fn n_idle(&self) -> usize {
        self.0.idle.lock().len()
    }
}

const MAX_IDLE_CONNECTIONS: usize = 64;
