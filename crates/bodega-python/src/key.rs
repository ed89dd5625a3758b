//! What is the key of a request under a snapshot?

use std::time::Duration;

use bodega_snapshot::Snapshot;
use pyo3::prelude::*;

use crate::edge::in_process;
use crate::errors;

/// Explains the key of a request, as JSON.
#[pyfunction]
pub(crate) fn explain_key(
    py: Python<'_>,
    snapshot_json: &str,
    method: String,
    url: &str,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
) -> PyResult<String> {
    let request = in_process(method, url, headers, body, Duration::ZERO)?;
    let https = url.starts_with("https://");
    py.detach(|| {
        Snapshot::from_json(snapshot_json).map(|snapshot| bodega_server::explain_key(&snapshot, https, request))
    })
    .map_err(|error| errors::raise(py, "SnapshotInvalid", &error.to_string()))
}
