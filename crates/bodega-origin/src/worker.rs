//! What one worker thread holds: a lane to each origin, and the trait through which the machine fetches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bodega_edge::fetch::{Fetch, FetchError, FetchFuture, FetchRequest};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::ask;
use crate::group::{self, Group};
use crate::origins::Origins;
use crate::pool::Lane;

/// The origins as one worker thread reaches them, over connections of its own.
pub struct WorkerOrigins {
    origins: Arc<Origins>,
    /// A lock without contention: the machine wants `Sync`, the thread is one.
    lanes: Mutex<Lanes>,
}

#[derive(Default)]
struct Lanes {
    by_name: HashMap<String, Lane>,
    groups: HashMap<String, Arc<Group>>,
    /// Of the table that these were made from.
    generation: u64,
    swept_at: Option<Instant>,
}

/// What a name leads to.
enum Way {
    Alone(Lane),
    Group(Arc<Group>, Vec<Lane>),
}

impl Fetch for WorkerOrigins {
    fn fetch(&self, origin: &str, request: FetchRequest) -> FetchFuture {
        match self.way(origin) {
            Some(Way::Alone(lane)) => Box::pin(ask::alone(lane, request)),
            Some(Way::Group(group, lanes)) => Box::pin(group::fetch(group, lanes, request)),
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

    fn way(&self, name: &str) -> Option<Way> {
        let lanes = self.lanes();
        if let Some(lane) = lanes.by_name.get(name) {
            return Some(Way::Alone(lane.clone()));
        }
        let group = lanes.groups.get(name)?;
        let members = group.settings.members.iter().filter_map(|member| lanes.by_name.get(member).cloned());
        Some(Way::Group(Arc::clone(group), members.collect()))
    }

    #[cfg(test)]
    pub(crate) fn lane(&self, name: &str) -> Option<Lane> {
        self.lanes().by_name.get(name).cloned()
    }

    /// The lanes as the configuration in force has them, swept now and then.
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        let mut lanes = self.lanes.lock();
        if lanes.generation != self.origins.generation() {
            self.follow(&mut lanes);
        }
        let now = Instant::now();
        if lanes.swept_at.is_none_or(|swept_at| now.duration_since(swept_at) > BETWEEN_SWEEPS) {
            lanes.swept_at = Some(now);
            lanes.by_name.values().for_each(|lane| lane.sweep(now));
        }
        lanes
    }

    /// Makes the lanes those of the current table; a lane whose origin did not change keeps its connections.
    fn follow(&self, lanes: &mut Lanes) {
        // Read first: a change meanwhile makes the next request follow again.
        lanes.generation = self.origins.generation();
        let mut by_name = HashMap::new();
        let table = self.origins.table();
        for (name, origin) in &table.origins {
            let kept = lanes.by_name.remove(name).filter(|lane| Arc::ptr_eq(lane.origin(), origin));
            by_name.insert(name.clone(), kept.unwrap_or_else(|| Lane::new(Arc::clone(origin))));
        }
        lanes.by_name = by_name;
        lanes.groups.clone_from(&table.groups);
    }
}

const BETWEEN_SWEEPS: Duration = Duration::from_secs(5);
