//! The disk tier of an edge: opened before anybody is served, fed by a thread of its own, and left in good order.

use std::sync::Arc;
use std::time::Duration;

use bodega_edge::{Clock, Edge};
use bodega_eviction::by_name;
use bodega_semantics::Reason;
use bodega_semantics::key::KeySecret;
use bodega_snapshot::options::{Admission as Admit, DiskTier};
use bodega_store::Invalidations;
use bodega_store::disk::{Admission, Disk, DiskOptions, DiskUsage, FLUSH_WAIT};

use crate::background::Background;
use crate::clock::SystemClock;
use crate::events::{Event, Events};
use crate::server::StartError;

/// What a miss costs on disk: mostly by byte.
const WEIGHT: f64 = 0.1;
/// How often the keeper looks at a few more entries.
const STEP_WAIT: Duration = Duration::from_millis(100);

/// The disk as it was found at the start.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) disk: Option<Arc<Disk>>,
    /// What is said of one that was too unwell to be opened: this life of the edge does without it.
    pub(crate) unwell: Option<DiskUsage>,
}

/// Opens the tier. A disk that fails keeps nobody from serving with memory; a directory that cannot be right does.
pub(crate) fn open(tier: &DiskTier, events: &Events) -> Result<Found, StartError> {
    // Asked once with any capacity, so that a name nobody knows is refused here.
    by_name(&tier.policy, 1, WEIGHT).map_err(|error| StartError::Setting(format!("disk.policy: {error}")))?;
    let policy = tier.policy.clone();
    let make = move |capacity_bytes| {
        by_name(&policy, capacity_bytes, WEIGHT)
            .unwrap_or_else(|_| Box::new(bodega_eviction::shelf::Shelf::new(capacity_bytes, WEIGHT)))
    };
    let options = DiskOptions {
        reserve_bytes: tier.reserve_bytes,
        admission: match tier.admission {
            Admit::Second => Admission::SecondRequest,
            Admit::Always => Admission::Always,
        },
        rebuild: tier.rebuild,
        ..DiskOptions::new(&tier.path, tier.size_bytes, Box::new(make))
    };
    let event_log = events.clone();
    let events = events.clone();
    let tell = move |event: bodega_store::disk::DiskEvent| {
        let reason = event.is_problem.then_some(Reason::Internal);
        events.push(Event { id: String::new(), reason, message: event.message });
    };
    let error = match Disk::open(options, SystemClock.now(), Box::new(tell)) {
        Ok(disk) => return Ok(Found { disk: Some(disk), unwell: None }),
        Err(error) => error,
    };
    let cause = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
    if !error.is_of_the_disk() {
        return Err(StartError::Setting(format!("disk: {error}{cause}")));
    }
    let reason = format!("it could not be opened at the start{cause}");
    let message = format!(
        "{}: the disk tier is off, memory goes on alone: {reason}; start anew once the disk is well",
        tier.path
    );
    event_log.push(Event { id: String::new(), reason: Some(Reason::Internal), message });
    let usage = DiskUsage { reason: Some(reason), capacity_bytes: tier.size_bytes, ..DiskUsage::default() };
    Ok(Found { disk: None, unwell: Some(usage) })
}

/// Whether nothing was ever stored there. To be asked before it is opened.
pub(crate) fn is_new(tier: &DiskTier) -> bool {
    std::fs::read_dir(&tier.path).map_or(true, |mut files| files.next().is_none())
}

/// What has been invalidated: with a disk, what its log says.
pub(crate) fn invalidations(
    disk: Option<&Disk>,
    secret: KeySecret,
    is_new: bool,
    events: &Events,
) -> Result<Invalidations, StartError> {
    let Some(disk) = disk else { return Ok(Invalidations::new(secret)) };
    let events = events.clone();
    let tell = move |is_problem: bool, what: &str| {
        let reason = is_problem.then_some(Reason::Internal);
        events.push(Event { id: String::new(), reason, message: what.to_owned() });
    };
    let now = SystemClock.now();
    Invalidations::open(disk.path(), secret, is_new, now, Box::new(tell)).map_err(StartError::System)
}

/// The thread that brings to disk what memory alone holds.
pub(crate) struct Keeper {
    thread: Option<Background>,
    edge: Arc<Edge>,
}

impl Keeper {
    /// Starts it, where there is a disk.
    pub(crate) fn start(edge: &Arc<Edge>) -> Result<Option<Self>, StartError> {
        if edge.disk().is_none() {
            return Ok(None);
        }
        let worker = Arc::clone(edge);
        let mut place = 0;
        let thread = Background::start("bodega-keeper", move || {
            place = worker.keep_some(place);
            STEP_WAIT
        })?;
        Ok(Some(Self { thread: Some(thread), edge: Arc::clone(edge) }))
    }
}

impl Drop for Keeper {
    /// Ends it, with everything on disk that is worth it.
    fn drop(&mut self) {
        drop(self.thread.take());
        self.edge.keep_all(FLUSH_WAIT);
    }
}
