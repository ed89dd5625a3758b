//! What would an eviction policy have missed of a trace?

use bodega_eviction::by_name;
use bodega_eviction::replay::Request;
use bodega_eviction::second_request::SecondRequest;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Replays a trace; returns misses and bytes missed.
#[pyfunction]
#[pyo3(signature = (policy, capacity_bytes, identities, sizes, *, weight, second_request = false))]
pub(crate) fn replay(
    py: Python<'_>,
    policy: &str,
    capacity_bytes: u64,
    identities: PyBuffer<u64>,
    sizes: PyBuffer<u64>,
    weight: f64,
    second_request: bool,
) -> PyResult<(u64, u64)> {
    // Copied, since the interpreter is released, and may change what it shares.
    let (identities, sizes) = (identities.to_vec(py)?, sizes.to_vec(py)?);
    if identities.len() != sizes.len() {
        let (n_identities, n_sizes) = (identities.len(), sizes.len());
        return Err(PyValueError::new_err(format!("{n_identities} identities, but {n_sizes} sizes: each needs one")));
    }
    let mut policy =
        by_name(policy, capacity_bytes, weight).map_err(|error| PyValueError::new_err(error.to_string()))?;
    if second_request {
        policy = Box::new(SecondRequest::new(policy, capacity_bytes));
    }
    py.detach(|| {
        let requests = identities.into_iter().zip(sizes);
        let requests = requests.map(|(identity, size_bytes)| Request { identity, size_bytes });
        let replayed = bodega_eviction::replay::replay(&mut *policy, capacity_bytes, requests);
        Ok((replayed.n_misses, replayed.miss_bytes))
    })
}
