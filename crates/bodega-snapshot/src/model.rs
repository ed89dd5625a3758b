//! Models as `bodega-inference` runs them.

use std::time::Duration;

/// A model that stands where an origin does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The origin's name in the configuration.
    pub origin: String,
    /// The file, in the ONNX format.
    pub path: String,
    /// What clients and invalidations call it.
    pub name: String,
    /// The version; `None`: made of the file's contents.
    pub version: Option<String>,
    /// How long a row may take, waiting included.
    pub timeout: Duration,
    /// The most rows of one run.
    pub max_batch: usize,
    /// The most rows that wait.
    pub max_queue: usize,
    /// The longest body of a request.
    pub max_body_bytes: u64,
}
