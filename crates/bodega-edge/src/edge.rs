//! What one edge shares between its threads (`Edge`), and what each thread has of its own (`Worker`).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bodega_semantics::forwarding::{self, Scheme};
use bodega_semantics::key::KeySecret;
use bodega_semantics::{Head, Reason, Timestamp};
use bodega_snapshot::Snapshot;
use bodega_store::disk::Disk;
use bodega_store::{Invalidations, Memory};
use parking_lot::Mutex;

use crate::collapse::Collapse;
use crate::early::EarlyRefreshes;
use crate::fetch::Fetch;
use crate::fillers::Fillers;
use crate::flights::Flights;
use crate::held::Held;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::pace::Pace;

/// Tells the time. The data plane never asks the system itself, so that tests can move the clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// How long some moment is ago, the same one for as long as the process runs, by a clock that nobody sets and that
    /// goes on while the machine sleeps.
    fn steady(&self) -> Duration;
}

/// Takes a request's id, a reason, and what happened.
pub type Report = Box<dyn Fn(&str, Reason, &str) + Send + Sync>;

/// What does not change while an edge runs.
pub struct EdgeSettings {
    /// The name in `Cache-Status` and `Via`.
    pub name: String,
    /// Tells this process from all others in `CDN-Loop` (RFC 8586).
    pub instance: String,
    /// The proxies whose `X-Forwarded-*` and `Forwarded` are believed.
    pub is_trusted_proxy: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The port of the edge's own TLS, for redirects to it from another unusual port. `None`: 443.
    pub https_port: Option<u16>,
    /// The clients that may ask for the key of a request.
    pub may_debug: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The clients whose `PURGE` forgets a URL.
    pub may_purge: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// How much of a body that is not kept may be in memory at once.
    pub fill_window_bytes: u64,
    /// How many questions a second an origin gets about what is stored and has to be confirmed.
    pub confirm_rate: u32,
    /// The secret of all keys.
    pub secret: KeySecret,
    /// Where failures of origins are told: the request's id, the reason, and what happened.
    pub report: Report,
}

impl EdgeSettings {
    /// The scheme by which the client came, who may be behind a proxy.
    pub(crate) fn scheme<H: Head + ?Sized>(&self, head: &H, peer: IpAddr, connection_is_https: bool) -> Scheme {
        forwarding::scheme(head, connection_is_https, (self.is_trusted_proxy)(peer))
    }
}

/// One edge: store, generations, fills under way, configuration.
pub struct Edge {
    /// What does not change.
    pub settings: EdgeSettings,
    /// The memory tier.
    pub memory: Arc<Memory>,
    pub(crate) disk: Option<Arc<Disk>>,
    /// What has been invalidated.
    pub invalidations: Arc<Invalidations>,
    /// The control process that is followed, if any.
    pub(crate) link: Link,
    /// The configuration in force. Requests under way keep the one they began with.
    pub snapshot: ArcSwap<Snapshot>,
    pub(crate) collapse: Collapse,
    pub(crate) flights: Arc<Flights>,
    pub(crate) early: EarlyRefreshes,
    pub(crate) pace: Pace,
    /// The content of requests that is being read or sent on.
    pub(crate) held_content: Held,
    /// What has come of bodies for models.
    pub(crate) held_questions: Held,
    /// Large answers of models that are being written and sent.
    pub(crate) held_answers: Held,
    /// Held while the list of a URL's variants is rewritten.
    pub(crate) variants: Mutex<()>,
    /// Held while a journal's events are applied.
    pub(crate) following: Mutex<()>,
    clock: Arc<dyn Clock>,
    via: String,
    n_requests: AtomicU64,
}

impl Edge {
    /// An edge with nothing in memory. `invalidations` are those of what is on disk, under the secret of `settings`.
    #[must_use]
    pub fn new(
        settings: EdgeSettings,
        memory: Memory,
        disk: Option<Arc<Disk>>,
        invalidations: Invalidations,
        snapshot: Snapshot,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let via = format!("1.1 {}", settings.name);
        let pace = Pace::new(settings.confirm_rate);
        let edge = Self {
            settings,
            memory: Arc::new(memory),
            disk,
            invalidations: Arc::new(invalidations),
            link: Link::new(),
            snapshot: ArcSwap::from_pointee(snapshot),
            collapse: Collapse::new(),
            flights: Arc::default(),
            early: EarlyRefreshes::new(),
            pace,
            held_content: Held::default(),
            held_questions: Held::default(),
            held_answers: Held::default(),
            variants: Mutex::new(()),
            following: Mutex::new(()),
            clock,
            via,
            n_requests: AtomicU64::new(0),
        };
        edge.keep_what_is_let_go();
        edge
    }

    /// The `Via` member this edge adds to answers.
    #[must_use]
    pub fn via(&self) -> &str {
        &self.via
    }

    /// An id for an answer of the edge's own: the instance and a number.
    pub(crate) fn next_request_id(&self) -> String {
        let number = self.n_requests.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number:x}", self.settings.instance)
    }

    /// Tells what went wrong with an origin.
    pub(crate) fn report_failure(&self, id: &str, reason: Reason, detail: &str) {
        (self.settings.report)(id, reason, detail);
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time by the clock that nobody sets.
    #[must_use]
    pub fn steady(&self) -> Duration {
        self.clock.steady()
    }
}

/// One thread's share: the edge, and its own way to origins.
pub struct Worker {
    /// The edge.
    pub edge: Arc<Edge>,
    /// This thread's connections to origins.
    pub fetch: Arc<dyn Fetch>,
    /// This thread's counters.
    pub metrics: Metrics,
    /// This thread's tasks for fills.
    pub fillers: Fillers,
}

impl Worker {
    pub(crate) fn now(&self) -> Timestamp {
        self.edge.now()
    }
}
