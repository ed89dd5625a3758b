//! All origins of the serving snapshot, shared by all threads: their settings, limits, names and TLS.
//! A reload keeps what did not change, with its queue and its resolved names; connections are each worker's own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bodega_snapshot::{Endpoint, Origin as Settings, OriginKind, Snapshot};
use parking_lot::Mutex;
use rustls::ClientConfig;

use crate::gate::Gate;
use crate::resolve::Resolver;
use crate::s3::{Bucket, S3};
use crate::tls;
use crate::worker::WorkerOrigins;

/// The origins of one edge. Make one, give each worker thread its `worker`, and `apply` every new snapshot.
pub struct Origins {
    by_name: Mutex<Table>,
    /// Grows with every change of `by_name`, so that workers notice without the lock.
    generation: AtomicU64,
}

pub(crate) type Table = Arc<HashMap<String, Arc<Origin>>>;

/// One origin, as all threads share it.
pub(crate) struct Origin {
    pub(crate) settings: Arc<Settings>,
    /// Where it is reached: for a bucket named in the host, that host.
    pub(crate) endpoint: Endpoint,
    pub(crate) gate: Gate,
    pub(crate) resolver: Resolver,
    /// `None` for plain HTTP; an error in words if the certificates could not be read.
    pub(crate) tls: Option<Result<Arc<ClientConfig>, String>>,
    pub(crate) s3: Option<S3>,
}

impl Origins {
    /// The origins of `snapshot`. Nothing is connected to: an origin that is down, or has an unreadable `ca_file`,
    /// shows with the first request.
    #[must_use]
    pub fn new(snapshot: &Snapshot) -> Arc<Self> {
        Self::of(&snapshot.origins)
    }

    /// Takes over the origins of a new snapshot. Requests under way end on the old ones.
    pub fn apply(&self, snapshot: &Snapshot) {
        self.change(&snapshot.origins);
    }

    /// The face for one worker thread; to be used within that thread's runtime.
    #[must_use]
    pub fn worker(self: &Arc<Self>) -> WorkerOrigins {
        WorkerOrigins::new(Arc::clone(self))
    }

    pub(crate) fn of(settings: &[Arc<Settings>]) -> Arc<Self> {
        let origins = Self { by_name: Mutex::new(Arc::default()), generation: AtomicU64::new(0) };
        origins.change(settings);
        Arc::new(origins)
    }

    pub(crate) fn change(&self, settings: &[Arc<Settings>]) {
        let mut by_name = self.by_name.lock();
        let changed = settings.iter().map(|settings| {
            let kept = by_name.get(&settings.name).filter(|origin| origin.settings == *settings);
            let origin = kept.map_or_else(|| Arc::new(Origin::new(Arc::clone(settings))), Arc::clone);
            (origin.settings.name.clone(), origin)
        });
        *by_name = Arc::new(changed.collect());
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn table(&self) -> Table {
        Arc::clone(&self.by_name.lock())
    }
}

impl Origin {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
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
            gate: Gate::new(limits.max_connections, limits.max_queue, limits.queue_timeout),
            resolver: Resolver::new(&endpoint.host, endpoint.port),
            tls: endpoint.https.then(|| tls::client_config(settings.ca_file.as_deref().map(Path::new))),
            s3,
            endpoint,
            settings,
        }
    }
}
