//! Loads a model in a process of its own and runs it there, before it is loaded where a crash takes everything with it.

use std::time::{Duration, Instant};

use bodega_snapshot::Model as Settings;

use super::{WorkerRunner, Workers};
use crate::batch::{Failed, Runner};
use crate::golden;
use crate::probe::{self, Filled};

/// What a trial showed.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// How long starting, loading and running took.
    pub(crate) took: Duration,
    /// The most memory that it had.
    pub(crate) peak_memory_bytes: Option<u64>,
}

/// Loads a model and runs its examples, or a row of zeros.
///
/// # Errors
/// If it crashes, is not done in time, or its examples fail.
pub(crate) fn trial(workers: &Workers, settings: &Settings) -> Result<Trial, String> {
    let begun = Instant::now();
    let mut runner = WorkerRunner::start(workers, settings).map_err(|why| format!("on trial: {why}"))?;
    let signature = runner.signature().clone();
    if settings.golden.is_empty() {
        // It may well have something against zeros; what it may not is die of them.
        let zeros = probe::row(&signature, Filled::Zeros, 1);
        if let Some(Err(Failed::Gone(why))) = zeros.and_then(|zeros| runner.run(&[&zeros]).pop()) {
            return Err(format!("on trial, with a row of zeros: {why}"));
        }
    } else {
        golden::check(&mut runner, &signature, &settings.golden, settings.timeout)
            .map_err(|why| format!("on trial: {why}"))?;
    }
    let peak_memory_bytes = runner.watch().peak_memory_bytes();
    Ok(Trial { took: begun.elapsed(), peak_memory_bytes })
}
