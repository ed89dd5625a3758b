//! The tasks that run fills: kept and used again, one at a time each, on the thread they belong to.
//!
//! A task of its own for every fill would take and give back a few kilobytes between entries that stay; entries would
//! be put into what was given back, and the store would end up among holes.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::fetch::FetchRequest;
use crate::lead::{self, EndGuard, Lead};

/// How many tasks wait for work; more end with their fill.
const MAX_IDLE: usize = 256;

/// The idle tasks of one thread.
#[derive(Clone, Default)]
pub struct Fillers {
    idle: Arc<Mutex<Vec<Arc<Filler>>>>,
}

/// A task's letter box.
#[derive(Default)]
struct Filler {
    job: Mutex<Option<Job>>,
    wake: Notify,
}

type Job = (Lead, FetchRequest, EndGuard);

impl Fillers {
    /// Gives the fill to an idle task, or to a new one on this thread's runtime.
    pub(crate) fn run(&self, lead: Lead, fetch: FetchRequest) {
        let waiting = self.idle.lock().pop();
        let filler = waiting.unwrap_or_else(|| {
            let filler = Arc::new(Filler::default());
            tokio::spawn(work(self.clone(), Arc::clone(&filler)));
            filler
        });
        let guard = EndGuard::of(&lead);
        *filler.job.lock() = Some((lead, fetch, guard));
        filler.wake.notify_one();
    }
}

async fn work(fillers: Fillers, filler: Arc<Filler>) {
    let mut last = None;
    loop {
        filler.wake.notified().await;
        let job = filler.job.lock().take();
        if let Some((lead, fetch, _guard)) = job {
            lead::run(lead, fetch, &mut last).await;
        }
        let mut idle = fillers.idle.lock();
        if idle.len() >= MAX_IDLE {
            return;
        }
        idle.push(Arc::clone(&filler));
    }
}
