//! The process that a model runs in, where it is one of its own.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Has this process die with its parent.
#[pyfunction]
pub(crate) fn die_with_parent(parent: u32) -> PyResult<()> {
    bodega_server::die_with_parent(parent).map_err(PyRuntimeError::new_err)
}

/// Runs an ONNX model for the edge that started this process.
#[pyfunction]
pub(crate) fn serve_onnx(py: Python<'_>) -> PyResult<()> {
    py.detach(bodega_server::serve_onnx).map_err(PyRuntimeError::new_err)
}
