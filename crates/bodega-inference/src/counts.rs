//! What is counted of a model while it runs, and how all models do at one moment: for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bodega_telemetry::names::MODEL_RUN_BOUNDS;

use crate::batch::{Failed, Outputs};

use crate::model::hex;
use crate::models::Models;
use crate::worker::WorkerWatch;

const N_BUCKETS: usize = MODEL_RUN_BOUNDS.len() + 1;

/// Counts since the model was loaded. A run is counted before any of its rows is answered.
#[derive(Default)]
pub(crate) struct Counts {
    n_rows: AtomicU64,
    /// Runs by how long they took.
    buckets: [AtomicU64; N_BUCKETS],
    run_nanoseconds: AtomicU64,
    n_full: AtomicU64,
    n_late: AtomicU64,
    n_failed: AtomicU64,
    n_gone: AtomicU64,
}

/// How a model does that is loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelCounts {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its file.
    pub digest: String,
    /// The length of its file.
    pub file_bytes: u64,
    /// How long it took to load.
    pub load_seconds: f64,
    /// Rows that wait.
    pub n_waiting: u64,
    /// Rows that it has computed.
    pub n_rows: u64,
    /// Runs by how long they took: by `MODEL_RUN_BOUNDS`, and those that took longer.
    pub runs: Vec<u64>,
    /// How long they took together.
    pub run_seconds: f64,
    /// Rows that found the queue full.
    pub n_full: u64,
    /// Rows whose time was over.
    pub n_late: u64,
    /// Rows that the model failed for.
    pub n_failed: u64,
    /// Rows that were under way when what runs it was gone.
    pub n_gone: u64,
    /// How often its process was started again; `None`: it has none.
    pub n_restarts: Option<u64>,
    /// What that process has in memory, while it is there.
    pub memory_bytes: Option<u64>,
    /// Of one without: the most memory of the process in which it was tried.
    pub trial_bytes: Option<u64>,
}

impl ModelCounts {
    /// How often it has run.
    #[must_use]
    pub fn n_runs(&self) -> u64 {
        self.runs.iter().sum()
    }
}

impl Counts {
    /// Rows have run together.
    pub(crate) fn ran(&self, outputs: &[Outputs], took: Duration) {
        self.n_rows.fetch_add(outputs.len() as u64, Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        self.buckets[MODEL_RUN_BOUNDS.partition_point(|bound| *bound < seconds)].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.run_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        for outcome in outputs {
            match outcome {
                // Those that were late are counted where they are told.
                Ok(_) | Err(Failed::Late) => {}
                Err(Failed::Said(_)) => _ = self.n_failed.fetch_add(1, Ordering::Relaxed),
                Err(Failed::Gone(_)) => _ = self.n_gone.fetch_add(1, Ordering::Relaxed),
            }
        }
    }

    /// A row found the queue full.
    pub(crate) fn full(&self) {
        self.n_full.fetch_add(1, Ordering::Relaxed);
    }

    /// A row's time was over before it was answered.
    pub(crate) fn late(&self) {
        self.n_late.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has run.
    pub(crate) fn n_runs(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// How many rows it has computed.
    pub(crate) fn n_rows(&self) -> u64 {
        self.n_rows.load(Ordering::Relaxed)
    }

    /// How long it has run.
    pub(crate) fn run_nanoseconds(&self) -> u64 {
        self.run_nanoseconds.load(Ordering::Relaxed)
    }

    /// All of it.
    pub(crate) fn read(&self) -> ModelCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ModelCounts {
            n_rows: read(&self.n_rows),
            runs: self.buckets.iter().map(read).collect(),
            run_seconds: Duration::from_nanos(read(&self.run_nanoseconds)).as_secs_f64(),
            n_full: read(&self.n_full),
            n_late: read(&self.n_late),
            n_failed: read(&self.n_failed),
            n_gone: read(&self.n_gone),
            ..ModelCounts::default()
        }
    }
}

impl Models {
    /// How the models do that are loaded, by name and version. What was unloaded is not among them.
    #[must_use]
    pub fn counts(&self) -> Vec<ModelCounts> {
        let table = self.table.load();
        let mut found: Vec<ModelCounts> = table
            .slots
            .values()
            .filter_map(|slot| slot.model.as_ref())
            .map(|model| ModelCounts {
                name: model.name().to_owned(),
                version: model.version().to_owned(),
                digest: hex(&model.digest),
                file_bytes: model.n_bytes,
                load_seconds: model.load_time.as_secs_f64(),
                n_restarts: model.worker.as_ref().map(WorkerWatch::n_restarts),
                memory_bytes: model.worker.as_ref().and_then(WorkerWatch::memory_bytes),
                trial_bytes: model.trial_bytes,
                n_waiting: model.batcher.n_waiting() as u64,
                ..model.batcher.counts().read()
            })
            .collect();
        found.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_once_and_its_rows_each() {
        let counts = Counts::default();
        let outputs = [Ok(vec![1]), Err(Failed::Said("no".to_owned())), Err(Failed::Gone("killed".to_owned()))];
        counts.ran(&outputs, Duration::from_micros(10));
        counts.ran(&outputs[..1], Duration::from_micros(11));
        counts.ran(&[], Duration::from_secs(31));
        counts.full();
        counts.late();
        let read = counts.read();
        assert_eq!((read.n_rows, read.n_runs(), counts.n_rows(), counts.n_runs()), (4, 3, 4, 3));
        assert_eq!((read.n_failed, read.n_gone, read.n_full, read.n_late), (1, 1, 1, 1));
        assert_eq!((read.runs[0], read.runs[1], read.runs[N_BUCKETS - 1]), (1, 1, 1), "{:?}", read.runs);
        assert!((read.run_seconds - 31.000_021).abs() < 1e-9, "{}", read.run_seconds);
    }
}
