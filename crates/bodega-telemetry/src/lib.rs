//! Metric names, counters, histograms, Prometheus text.
//!
//! Pure: counting is adding to memory of one's own thread; whoever is asked for metrics adds the threads up.
//! `names` is the one list of metrics; the reference page and the dashboards are compared with it.
#![forbid(unsafe_code)]

pub mod counter;
pub mod histogram;
pub mod names;
pub mod text;

pub use counter::Counter;
pub use histogram::Histogram;
