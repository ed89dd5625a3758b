//! The servers of `bodega up`: a web origin, an S3 server, a relay that adds distance.

use std::path::PathBuf;
use std::time::Duration;

use bodega_demo::{Keys, Origin, Relay, S3Server};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// A web origin over a directory.
#[pyclass(frozen, module = "bodega._native._core")]
pub(crate) struct DemoOrigin(Origin);

#[pymethods]
impl DemoOrigin {
    #[new]
    fn new(py: Python<'_>, root: PathBuf, listen: &str) -> PyResult<Self> {
        py.detach(|| Origin::start(&root, listen)).map(Self).map_err(|error| PyOSError::new_err(error.to_string()))
    }

    #[getter]
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    #[getter]
    fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }

    fn set_down(&self, down: bool) {
        self.0.set_down(down);
    }

    fn stats(&self) -> String {
        self.0.stats().to_json()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

/// An S3 server over a directory.
#[pyclass(frozen, module = "bodega._native._core")]
pub(crate) struct DemoS3(S3Server);

#[pymethods]
impl DemoS3 {
    #[new]
    fn new(
        py: Python<'_>,
        root: PathBuf,
        listen: &str,
        access_key: String,
        secret_key: String,
        public_buckets: Vec<String>,
    ) -> PyResult<Self> {
        py.detach(|| S3Server::start(&root, listen, Keys { access_key, secret_key }, public_buckets))
            .map(Self)
            .map_err(|error| PyOSError::new_err(error.to_string()))
    }

    #[getter]
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    #[getter]
    fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }

    fn stats(&self) -> String {
        self.0.stats().to_json()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}

/// A relay before a server, which makes it seem far away.
#[pyclass(frozen, module = "bodega._native._core")]
pub(crate) struct DemoRelay(Relay);

#[pymethods]
impl DemoRelay {
    #[new]
    fn new(py: Python<'_>, target: &str, delay_ms: f64, listen: &str) -> PyResult<Self> {
        let target =
            target.parse().map_err(|_| PyValueError::new_err(format!("target {target:?}: write 127.0.0.1:9000")))?;
        let delay = Duration::try_from_secs_f64(delay_ms / 1000.0)
            .map_err(|error| PyValueError::new_err(format!("delay_ms: {error}")))?;
        py.detach(|| Relay::start(target, delay, listen))
            .map(Self)
            .map_err(|error| PyOSError::new_err(error.to_string()))
    }

    #[getter]
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    #[getter]
    fn url(&self) -> String {
        format!("http://{}", self.0.address())
    }

    fn stats(&self) -> String {
        self.0.stats().to_json()
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.0.stop());
    }
}
