//! All origins of the serving snapshot, shared by all threads: their settings, limits, health, names and TLS.
//! A reload keeps what did not change, with its queue, its health and its resolved names; connections are each
//! worker's own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bodega_snapshot::{Endpoint, Origin as Settings, OriginGroup, OriginKind, Snapshot};
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::time::Instant;

use crate::gate::Gate;
use crate::group::Group;
use crate::health::Health;
use crate::resolve::Resolver;
use crate::s3::{Bucket, S3};
use crate::tls;
use crate::worker::WorkerOrigins;

/// The origins of one edge. Make one, give each worker thread its `worker`, and `apply` every new snapshot.
pub struct Origins {
    table: Mutex<Arc<Table>>,
    /// Grows with every change of `table`, so that workers notice without the lock.
    generation: AtomicU64,
    report: Report,
}

/// Is told when an origin begins to fail (false) or answers again (true), in a sentence that holds no secret.
pub type Report = Arc<dyn Fn(bool, &str) + Send + Sync>;

/// How an origin does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginState {
    /// Its name.
    pub name: String,
    /// Until it is tried again; `None` while it answers.
    pub trial_in: Option<Duration>,
}

/// What there is, by name.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) origins: HashMap<String, Arc<Origin>>,
    pub(crate) groups: HashMap<String, Arc<Group>>,
}

/// One origin, as all threads share it.
pub(crate) struct Origin {
    pub(crate) settings: Arc<Settings>,
    /// Where it is reached: for a bucket named in the host, that host.
    pub(crate) endpoint: Endpoint,
    pub(crate) gate: Gate,
    pub(crate) health: Arc<Health>,
    pub(crate) report: Report,
    pub(crate) resolver: Resolver,
    /// `None` for plain HTTP; an error in words if the certificates could not be read.
    pub(crate) tls: Option<Result<Arc<ClientConfig>, String>>,
    pub(crate) s3: Option<S3>,
}

impl Origins {
    /// The origins of `snapshot`. Nothing is connected to: an origin that is down, or has an unreadable `ca_file`,
    /// shows with the first request.
    #[must_use]
    pub fn new(snapshot: &Snapshot, report: Report) -> Arc<Self> {
        Self::of(&snapshot.origins, &snapshot.groups, report)
    }

    /// Takes over the origins of a new snapshot. Requests under way end on the old ones.
    pub fn apply(&self, snapshot: &Snapshot) {
        self.change(&snapshot.origins, &snapshot.groups);
    }

    /// The face for one worker thread; to be used within that thread's runtime.
    #[must_use]
    pub fn worker(self: &Arc<Self>) -> WorkerOrigins {
        WorkerOrigins::new(Arc::clone(self))
    }

    /// How each origin does, by name.
    #[must_use]
    pub fn states(&self) -> Vec<OriginState> {
        let now = Instant::now();
        let state = |(name, origin): (&String, &Arc<Origin>)| OriginState {
            name: name.clone(),
            trial_in: origin.health.failing(now).map(|failing| failing.trial_in),
        };
        let mut states: Vec<OriginState> = self.table().origins.iter().map(state).collect();
        states.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        states
    }

    /// For each group by name, for how many requests another member than the first was asked.
    #[must_use]
    pub fn failovers(&self) -> Vec<(String, u64)> {
        let counted = |(name, group): (&String, &Arc<Group>)| (name.clone(), group.n_failovers());
        let mut failovers: Vec<_> = self.table().groups.iter().map(counted).collect();
        failovers.sort_unstable();
        failovers
    }

    pub(crate) fn of(origins: &[Arc<Settings>], groups: &[Arc<OriginGroup>], report: Report) -> Arc<Self> {
        let made = Self { table: Mutex::default(), generation: AtomicU64::new(0), report };
        made.change(origins, groups);
        Arc::new(made)
    }

    pub(crate) fn change(&self, origins: &[Arc<Settings>], groups: &[Arc<OriginGroup>]) {
        let mut table = self.table.lock();
        let origin = |settings: &Arc<Settings>| {
            let kept = table.origins.get(&settings.name).filter(|origin| origin.settings == *settings);
            let made = || Arc::new(Origin::new(Arc::clone(settings), Arc::clone(&self.report)));
            (settings.name.clone(), kept.map_or_else(made, Arc::clone))
        };
        let group = |settings: &Arc<OriginGroup>| {
            let before = table.groups.get(&settings.name);
            let kept = before.filter(|group| group.settings == *settings);
            let made = || Arc::new(Group::new(Arc::clone(settings), before.map(Arc::as_ref)));
            (settings.name.clone(), kept.map_or_else(made, Arc::clone))
        };
        let (origins, groups) = (origins.iter().map(origin).collect(), groups.iter().map(group).collect());
        *table = Arc::new(Table { origins, groups });
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.lock())
    }
}

impl Origin {
    pub(crate) fn new(settings: Arc<Settings>, report: Report) -> Self {
        let limits = settings.limits;
        let (endpoint, s3) = match &settings.kind {
            OriginKind::Http { endpoint, .. } => (endpoint.clone(), None),
            OriginKind::S3 {
                endpoint,
                bucket,
                prefix,
                region,
                path_style,
                credentials,
                missing_as_404,
                index_document,
            } => {
                let bucket = Bucket {
                    name: bucket.clone(),
                    prefix: prefix.clone(),
                    path_style: *path_style,
                    missing_as_404: *missing_as_404,
                    index_document: index_document.clone(),
                };
                (bucket.endpoint(endpoint), Some(S3::new(bucket, region, credentials)))
            }
        };
        Self {
            health: Health::new(settings.health, Instant::now()),
            report,
            gate: Gate::new(limits.max_connections, limits.max_queue, limits.queue_timeout),
            resolver: Resolver::new(&endpoint.host, endpoint.port),
            tls: endpoint.https.then(|| tls::client_config(settings.ca_file.as_deref().map(Path::new))),
            s3,
            endpoint,
            settings,
        }
    }
}
