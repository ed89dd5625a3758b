//! The end of every request: counts it under its one outcome and its one reason.

use std::time::Duration;

use bodega_semantics::{Outcome, Reason};

use crate::edge::Worker;

/// What a front knows once the last byte is written, or could not be.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// What became of the request.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Bytes written to the client, heads included.
    pub sent_bytes: u64,
    /// Bytes of request bodies read.
    pub received_bytes: u64,
    /// From the last byte of the request's head to the last byte of the answer.
    pub took: Duration,
}

/// Counts.
pub fn run(worker: &Worker, finished: &Finished) {
    let metrics = &worker.metrics;
    metrics.count(finished.outcome, finished.reason, finished.took);
    metrics.sent_bytes.add(finished.sent_bytes);
    metrics.received_bytes.add(finished.received_bytes);
}
