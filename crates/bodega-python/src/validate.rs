//! Would a running edge take this snapshot, and this file as a model?

use std::collections::BTreeMap;
use std::path::PathBuf;

use bodega_snapshot::Snapshot;
use pyo3::prelude::*;

use crate::errors;

/// Looks whether a file can be loaded as a model, as far as that shows without loading it.
#[pyfunction]
pub(crate) fn check_model(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    py.detach(|| bodega_server::check_model_file(&path)).map_err(|message| errors::raise(py, "ModelRefused", &message))
}

/// Checks a compiled configuration.
#[pyfunction]
pub(crate) fn validate_snapshot(py: Python<'_>, snapshot_json: &str) -> PyResult<()> {
    py.detach(|| Snapshot::from_json(snapshot_json))
        .map(drop)
        .map_err(|error| errors::raise(py, "SnapshotInvalid", &error.to_string()))
}

/// Reads the files of tokens and keys that a compiled configuration names.
#[pyfunction]
pub(crate) fn wrong_token_files(py: Python<'_>, snapshot_json: &str) -> PyResult<BTreeMap<String, String>> {
    py.detach(|| Snapshot::from_json(snapshot_json).map(|snapshot| bodega_server::wrong_token_files(&snapshot)))
        .map_err(|error| errors::raise(py, "SnapshotInvalid", &error.to_string()))
}
