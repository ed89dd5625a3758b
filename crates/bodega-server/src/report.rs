//! What the edge says of itself: the threads' counters added up, as Prometheus text and as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bodega_edge::Edge;
use bodega_edge::follow::place_to_value;
use bodega_edge::invalidate::{Committed, Force, InvalidateError};
use bodega_edge::link::Following;
use bodega_inference::{ModelCounts, Models};
use bodega_origin::Origins;
use bodega_semantics::{Level, Outcome, Reason};
use bodega_snapshot::options::EdgeOptions;
use bodega_store::disk::{Disk, DiskUsage};
use bodega_store::invalidate::Place;
use bodega_telemetry::histogram::Recorded;
use bodega_telemetry::names;
use bodega_telemetry::text::Text;
use serde_json::json;

use crate::access_log::AccessLog;
use crate::admission::Admission;
use crate::counted_fetch::OriginCounts;
use crate::http2::Misuse;
use crate::inspect::Inspector;
use crate::model_report;
use crate::tls::handshake::Failed;
use crate::worker::Thread;

/// Reads all that is counted.
pub(crate) struct Reporter {
    name: String,
    region: String,
    edge: Arc<Edge>,
    origins: Arc<Origins>,
    models: Option<Arc<Models>>,
    counts: Arc<OriginCounts>,
    threads: Vec<Arc<Thread>>,
    admission: Arc<Admission>,
    log: Option<AccessLog>,
    started: Instant,
    draining: AtomicBool,
    inspector: Inspector,
    /// A disk that could not be opened at the start.
    unwell_disk: Option<DiskUsage>,
}

impl Reporter {
    pub(crate) fn new(
        options: &EdgeOptions,
        edge: Arc<Edge>,
        origins: Arc<Origins>,
        counts: Arc<OriginCounts>,
        threads: Vec<Arc<Thread>>,
        admission: Arc<Admission>,
        log: Option<AccessLog>,
    ) -> Self {
        Self {
            name: options.name.clone(),
            region: options.region.clone(),
            inspector: Inspector::new(Arc::clone(&edge)),
            edge,
            origins,
            models: None,
            counts,
            threads,
            admission,
            log,
            started: Instant::now(),
            draining: AtomicBool::new(false),
            unwell_disk: None,
        }
    }

    /// Says this of a disk that could not be opened.
    pub(crate) fn with_unwell_disk(self, unwell_disk: Option<DiskUsage>) -> Self {
        Self { unwell_disk, ..self }
    }

    /// Tells of these models, too.
    pub(crate) fn with_models(self, models: Arc<Models>) -> Self {
        Self { models: Some(models), ..self }
    }

    fn models(&self) -> Vec<ModelCounts> {
        self.models.as_ref().map_or_else(Vec::new, |models| models.counts())
    }

    /// How the disk is, where there is to be one.
    fn disk(&self) -> Option<DiskUsage> {
        self.edge.disk().map(Disk::usage).or_else(|| self.unwell_disk.clone())
    }

    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether clients still wait in the system's queue, as `hold` says.
    pub(crate) fn is_held(&self) -> bool {
        self.threads.iter().any(|thread| thread.is_held())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.admission.n_connections()
    }

    /// Waits until the access log has been written.
    pub(crate) fn flush_log(&self) {
        if let Some(log) = &self.log {
            log.flush();
        }
    }

    /// Waits until no client is left. False if that took longer than `timeout`.
    pub(crate) fn wait_until_empty(&self, timeout: Duration) -> bool {
        self.admission.wait_until_empty(timeout)
    }

    /// Looks into the store.
    pub(crate) fn inspector(&self) -> &Inspector {
        &self.inspector
    }

    /// Forgets what `selectors` name.
    pub(crate) async fn invalidate(&self, selectors: &[String], force: Force) -> Result<Committed, InvalidateError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.edge.invalidate_then(
            selectors,
            force,
            Box::new(move |committed| {
                // Who asked may have gone away.
                let _ = sender.send(committed);
            }),
        )?;
        match receiver.await {
            Ok(committed) => committed.map_err(InvalidateError::TooManyRules),
            // The writing thread has ended: at the end of the process there is nothing left to forget.
            Err(_) => Ok(Committed { number: self.edge.invalidations.sequence(), is_durable: false }),
        }
    }

    /// JSON for people and programs; its form is in `docs/concepts/first-light.md`.
    pub(crate) fn stats(&self) -> String {
        let mut by_outcome = BTreeMap::new();
        let mut total = 0;
        for outcome in Outcome::ALL {
            let count: u64 = Reason::ALL.iter().map(|reason| self.requests(*outcome, *reason)).sum();
            by_outcome.insert(outcome.name(), count);
            total += count;
        }
        let latency: BTreeMap<_, _> = Level::ALL
            .iter()
            .map(|level| {
                let recorded = self.latency(*level);
                let figures = json!({
                    "count": recorded.count(),
                    "sum_seconds": recorded.sum_seconds(),
                    "p50_seconds": recorded.quantile(0.5),
                    "p99_seconds": recorded.quantile(0.99),
                });
                (level.name(), figures)
            })
            .collect();
        let origins = self.counts.all();
        let by_origin: BTreeMap<_, _> =
            origins.iter().map(|origin| (origin.name.clone(), origin.n_ok + origin.n_errors)).collect();
        let failing: BTreeMap<_, _> = self
            .origins
            .states()
            .into_iter()
            .filter_map(|origin| Some((origin.name, origin.trial_in?.as_secs_f64())))
            .collect();
        let failovers: BTreeMap<_, _> = self.origins.failovers().into_iter().collect();
        let usage = self.edge.memory.usage();
        json!({
            "name": self.name,
            "region": self.region,
            "revision": self.edge.snapshot.load().revision,
            "uptime_seconds": self.started.elapsed().as_secs_f64(),
            "draining": self.is_draining(),
            "connections": self.n_connections(),
            "requests": { "total": total, "by_outcome": by_outcome },
            "latency": latency,
            "bytes": {
                "sent": self.sum(|thread| thread.worker.metrics.sent_bytes.get()),
                "received": self.sum(|thread| thread.worker.metrics.received_bytes.get()),
                "from_origin": origins.iter().map(|origin| origin.received_bytes).sum::<u64>(),
            },
            "origin": {
                "requests": origins.iter().map(|origin| origin.n_ok + origin.n_errors).sum::<u64>(),
                "errors": origins.iter().map(|origin| origin.n_errors).sum::<u64>(),
                "by_origin": by_origin,
                "failing": failing,
                "failovers": failovers,
            },
            "store": {
                "entries": usage.n_entries,
                "used_bytes": usage.used_bytes,
                "reserved_bytes": usage.reserved_bytes,
                "capacity_bytes": usage.capacity_bytes,
                "evictions": usage.n_evictions,
            },
            "disk": self.disk().as_ref().map(disk_stats),
            "models": model_report::stats(&self.models()),
            "log_dropped": self.log.as_ref().map_or(0, AccessLog::n_dropped),
            "sequence": self.edge.invalidations.sequence(),
            "following": self.edge.link().map(|following| following_stats(&following, self.edge.place())),
        })
        .to_string()
    }

    /// Prometheus text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = Text::default();
        let region = self.region.as_str();
        text.begin(&names::REQUESTS);
        for outcome in Outcome::ALL {
            let count = Reason::ALL.iter().map(|reason| self.requests(*outcome, *reason)).sum();
            text.sample(&names::REQUESTS, &[region, outcome.name()], count);
        }
        text.begin(&names::REQUEST_REASONS);
        for outcome in Outcome::ALL {
            for reason in Reason::ALL {
                let count = self.requests(*outcome, *reason);
                if count > 0 {
                    text.sample(&names::REQUEST_REASONS, &[region, outcome.name(), reason.name()], count);
                }
            }
        }
        text.begin(&names::REQUEST_LATENCY);
        for level in Level::ALL {
            text.histogram(&names::REQUEST_LATENCY, &[region, level.name()], &self.latency(*level));
        }
        let mut one = |metric: &names::Metric, values: &[&str], value: u64| {
            text.begin(metric);
            text.sample(metric, values, value);
        };
        one(&names::SENT_BYTES, &[region], self.sum(|thread| thread.worker.metrics.sent_bytes.get()));
        one(&names::RECEIVED_BYTES, &[region], self.sum(|thread| thread.worker.metrics.received_bytes.get()));
        one(&names::CONNECTIONS, &[region], self.n_connections() as u64);
        one(&names::LOG_DROPPED, &[region], self.log.as_ref().map_or(0, AccessLog::n_dropped));
        one(&names::INVALIDATION_SEQUENCE, &[region], self.edge.invalidations.sequence());
        one(&names::SNAPSHOT_REVISION, &[region], self.edge.snapshot.load().revision);
        one(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
        self.store_metrics(&mut text);
        self.link_metrics(&mut text);
        model_report::metrics(&mut text, region, &self.models());
        let (refused_total, refused_client) = self.admission.n_refused();
        text.begin(&names::CONNECTIONS_REFUSED);
        text.sample(&names::CONNECTIONS_REFUSED, &[region, "total"], refused_total);
        text.sample(&names::CONNECTIONS_REFUSED, &[region, "client"], refused_client);
        text.begin(&names::TLS_HANDSHAKES);
        for (version, is_tls13) in [("1.2", false), ("1.3", true)] {
            for (label, resumed) in [("false", false), ("true", true)] {
                let count = self.sum(|thread| thread.front_metrics.handshakes(is_tls13, resumed));
                text.sample(&names::TLS_HANDSHAKES, &[region, version, label], count);
            }
        }
        text.begin(&names::TLS_HANDSHAKE_FAILURES);
        for failed in Failed::ALL {
            let count = self.sum(|thread| thread.front_metrics.handshake_failures(failed));
            text.sample(&names::TLS_HANDSHAKE_FAILURES, &[region, failed.name()], count);
        }
        text.begin(&names::HTTP2_MISUSES);
        for misuse in Misuse::ALL {
            let count = self.sum(|thread| thread.front_metrics.misuses(misuse));
            text.sample(&names::HTTP2_MISUSES, &[region, misuse.name()], count);
        }
        let origins = self.counts.all();
        text.begin(&names::ORIGIN_REQUESTS);
        for origin in &origins {
            text.sample(&names::ORIGIN_REQUESTS, &[region, &origin.name, "ok"], origin.n_ok);
            text.sample(&names::ORIGIN_REQUESTS, &[region, &origin.name, "error"], origin.n_errors);
        }
        text.begin(&names::ORIGIN_BYTES);
        for origin in &origins {
            text.sample(&names::ORIGIN_BYTES, &[region, &origin.name], origin.received_bytes);
        }
        text.begin(&names::ORIGIN_UP);
        for origin in self.origins.states() {
            text.sample(&names::ORIGIN_UP, &[region, &origin.name], u64::from(origin.trial_in.is_none()));
        }
        text.begin(&names::ORIGIN_FAILOVERS);
        for (group, n_failovers) in self.origins.failovers() {
            text.sample(&names::ORIGIN_FAILOVERS, &[region, &group], n_failovers);
        }
        text.finish()
    }

    fn store_metrics(&self, text: &mut Text) {
        let region = self.region.as_str();
        let usage = self.edge.memory.usage();
        let disk = self.disk();
        for (metric, in_memory, on_disk) in [
            (&names::STORE_USED_BYTES, usage.used_bytes, disk.as_ref().map(|disk| disk.used_bytes)),
            (&names::STORE_RESERVED_BYTES, usage.reserved_bytes, None),
            (&names::STORE_CAPACITY_BYTES, usage.capacity_bytes, disk.as_ref().map(|disk| disk.capacity_bytes)),
            (&names::STORE_ENTRIES, usage.n_entries, disk.as_ref().map(|disk| disk.n_entries)),
            (&names::STORE_EVICTIONS, usage.n_evictions, disk.as_ref().map(|disk| disk.n_evictions)),
        ] {
            text.begin(metric);
            text.sample(metric, &[region, "l1"], in_memory);
            if let Some(on_disk) = on_disk {
                text.sample(metric, &[region, "l2"], on_disk);
            }
        }
        let Some(disk) = disk else { return };
        for (metric, value) in [
            (&names::DISK_UP, u64::from(disk.is_up)),
            (&names::DISK_READ_BYTES, disk.bytes_read),
            (&names::DISK_WAITS, disk.n_waits),
            (&names::DISK_QUEUE_BYTES, disk.queue_bytes),
            (&names::DISK_DROPPED, disk.n_dropped),
            (&names::DISK_CHECKSUM_FAILURES, disk.n_checksum_failures),
            (&names::DISK_ERRORS, disk.n_errors),
        ] {
            text.begin(metric);
            text.sample(metric, &[region], value);
        }
        text.begin(&names::DISK_WRITTEN_BYTES);
        text.sample(&names::DISK_WRITTEN_BYTES, &[region, "segments"], disk.record_bytes_written);
        text.sample(&names::DISK_WRITTEN_BYTES, &[region, "slots"], disk.slice_bytes_written);
    }

    /// Of an edge that follows a control process; what is not known has no sample.
    fn link_metrics(&self, text: &mut Text) {
        let Some(following) = self.edge.link() else { return };
        let level_age = following.level_age.map(|age| age.as_secs() + u64::from(age.subsec_nanos() > 0));
        for (metric, value) in [
            (&names::CONTROL_UP, Some(u64::from(!following.is_cut))),
            (&names::CONTROL_LEVEL_AGE, level_age),
            (&names::JOURNAL_POSITION, self.edge.place().map(|place| place.position)),
            (&names::JOURNAL_BEHIND, following.behind),
        ] {
            if let Some(value) = value {
                text.begin(metric);
                text.sample(metric, &[&self.region], value);
            }
        }
    }

    fn requests(&self, outcome: Outcome, reason: Reason) -> u64 {
        self.sum(|thread| thread.worker.metrics.requests(outcome, reason))
    }

    fn latency(&self, level: Level) -> Recorded {
        let mut recorded = Recorded::default();
        for thread in &self.threads {
            thread.worker.metrics.latency(level).add_to(&mut recorded);
        }
        recorded
    }

    fn sum(&self, of: impl Fn(&Thread) -> u64) -> u64 {
        self.threads.iter().map(|thread| of(thread)).sum()
    }
}

fn following_stats(following: &Following, place: Option<Place>) -> serde_json::Value {
    let place = place.map_or(serde_json::Value::Null, place_to_value);
    json!({
        "control": following.control,
        "journal": place["journal"],
        "epoch": place["epoch"],
        "position": place["position"],
        "is_cut": following.is_cut,
        "level_age_seconds": following.level_age.map(|age| age.as_secs_f64()),
        "behind": following.behind,
        "revision": following.revision,
        "problem": following.problem,
    })
}

fn disk_stats(disk: &DiskUsage) -> serde_json::Value {
    json!({
        "up": disk.is_up,
        "reason": disk.reason,
        "recovered": disk.is_recovered,
        "entries": disk.n_entries,
        "bodies": disk.n_bodies,
        "used_bytes": disk.used_bytes,
        "capacity_bytes": disk.capacity_bytes,
        "slices": disk.n_slots_used,
        "index_bytes": disk.index_bytes,
        "queue_bytes": disk.queue_bytes,
        "read_bytes": disk.bytes_read,
        "waits": disk.n_waits,
        "written_bytes": disk.record_bytes_written + disk.slice_bytes_written,
        "admitted_bytes": disk.record_bytes_admitted + disk.slice_bytes_admitted,
        "dropped": disk.n_dropped,
        "evictions": disk.n_evictions,
        "checksum_failures": disk.n_checksum_failures,
        "errors": disk.n_errors,
    })
}
