//! What one worker thread holds: a lane to each origin, and the trait through which the machine fetches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bodega_edge::fetch::{Fetch, FetchAnswer, FetchError, FetchFuture, FetchRequest};
use bodega_semantics::Reason;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::origins::Origins;
use crate::pool::Lane;
use crate::{request, s3};

/// The origins as one worker thread reaches them, over connections of its own.
pub struct WorkerOrigins {
    origins: Arc<Origins>,
    /// A lock without contention: the machine wants `Sync`, the thread is one.
    lanes: Mutex<Lanes>,
}

#[derive(Default)]
struct Lanes {
    by_name: HashMap<String, Lane>,
    /// Of the table that `by_name` was made from.
    generation: u64,
    swept_at: Option<Instant>,
}

impl Fetch for WorkerOrigins {
    fn fetch(&self, origin: &str, request: FetchRequest) -> FetchFuture {
        match self.lane(origin) {
            Some(lane) => Box::pin(fetch_from(lane, request)),
            None => {
                let error = FetchError::internal(format!("the configuration has no origin \"{origin}\""));
                Box::pin(std::future::ready(Err(error)))
            }
        }
    }

    /// Every fetch sees to it too; this is for a worker that has nothing to fetch.
    fn close_idle(&self) {
        let now = Instant::now();
        self.lanes.lock().by_name.values().for_each(|lane| lane.sweep(now));
    }
}

impl WorkerOrigins {
    pub(crate) fn new(origins: Arc<Origins>) -> Self {
        Self { origins, lanes: Mutex::default() }
    }

    pub(crate) fn lane(&self, name: &str) -> Option<Lane> {
        let mut lanes = self.lanes.lock();
        if lanes.generation != self.origins.generation() {
            self.follow(&mut lanes);
        }
        let now = Instant::now();
        if lanes.swept_at.is_none_or(|swept_at| now.duration_since(swept_at) > BETWEEN_SWEEPS) {
            lanes.swept_at = Some(now);
            lanes.by_name.values().for_each(|lane| lane.sweep(now));
        }
        lanes.by_name.get(name).cloned()
    }

    /// Makes the lanes those of the current table; a lane whose origin did not change keeps its connections.
    fn follow(&self, lanes: &mut Lanes) {
        // Read first: a change meanwhile makes the next request follow again.
        lanes.generation = self.origins.generation();
        let mut by_name = HashMap::new();
        for (name, origin) in self.origins.table().iter() {
            let kept = lanes.by_name.remove(name).filter(|lane| Arc::ptr_eq(lane.origin(), origin));
            by_name.insert(name.clone(), kept.unwrap_or_else(|| Lane::new(Arc::clone(origin))));
        }
        lanes.by_name = by_name;
    }
}

/// Waits for its turn and asks.
async fn fetch_from(lane: Lane, request: FetchRequest) -> Result<FetchAnswer, FetchError> {
    let origin = lane.origin();
    let turn = match origin.gate.enter().await {
        Ok(turn) => turn,
        Err(what) => {
            return Err(FetchError {
                retry_after_seconds: Some(origin.gate.retry_after_seconds()),
                ..FetchError::new(Reason::OriginBusy, format!("origin \"{}\" {what}", origin.settings.name))
            });
        }
    };
    match &origin.s3 {
        None => request::fetch(&lane, turn, request).await,
        Some(bucket) => s3::fetch(bucket, &lane, turn, request).await,
    }
}

const BETWEEN_SWEEPS: Duration = Duration::from_secs(5);
