//! Would a running edge take this snapshot?

use bodega_snapshot::Snapshot;
use pyo3::prelude::*;

use crate::errors;

/// Checks a compiled configuration.
#[pyfunction]
pub(crate) fn validate_snapshot(py: Python<'_>, snapshot_json: &str) -> PyResult<()> {
    py.detach(|| Snapshot::from_json(snapshot_json))
        .map(drop)
        .map_err(|error| errors::raise(py, "SnapshotInvalid", &error.to_string()))
}
