//! What went wrong with origins, for whoever runs the edge: a bounded list that Python reads and logs.

use std::collections::VecDeque;
use std::sync::Arc;

use bodega_semantics::Reason;
use parking_lot::Mutex;

const MAX_EVENTS: usize = 256;

/// One failure, or its end.
#[derive(Clone, Debug)]
pub struct Event {
    /// The request's id, as the client was told; empty for what is no single request's.
    pub id: String,
    /// The reason, in the shared vocabulary; `None` for good news.
    pub reason: Option<Reason>,
    /// What happened. Holds no secrets.
    pub message: String,
}

/// The list; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<(VecDeque<Event>, u64)>>);

impl Events {
    pub(crate) fn push(&self, event: Event) {
        let mut held = self.0.lock();
        if held.0.len() == MAX_EVENTS {
            held.1 += 1;
            held.0.pop_front();
        }
        held.0.push_back(event);
    }

    /// All events since the last call, and how many had to be dropped.
    pub(crate) fn take(&self) -> (Vec<Event>, u64) {
        let mut held = self.0.lock();
        (held.0.drain(..).collect(), std::mem::take(&mut held.1))
    }
}
