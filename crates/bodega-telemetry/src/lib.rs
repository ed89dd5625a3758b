//! Metric names, counters, histograms, Prometheus text.
#![forbid(unsafe_code)]
