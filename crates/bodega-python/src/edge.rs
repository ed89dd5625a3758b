//! An edge that runs in this process.

use std::time::Duration;

use bodega_semantics::{Head, Reason};
use bodega_server::{Force, InProcessRequest, Inherited, ModelChange, Server};
use bodega_snapshot::Snapshot;
use bodega_snapshot::options::{self, EdgeOptions};
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;

/// The largest answer that `request` holds in memory.
const MAX_ANSWER_BYTES: u64 = 1 << 30;

/// A running edge.
#[pyclass(frozen, module = "bodega._native._core")]
pub(crate) struct NativeEdge {
    server: Server,
}

/// Status, field lines, body.
type Answered<'py> = (u16, Vec<(String, Bound<'py, PyBytes>)>, Bound<'py, PyBytes>);

#[pymethods]
impl NativeEdge {
    #[new]
    #[pyo3(signature = (options_json, snapshot_json, listener_fds = Vec::new(), tls_listener_fds = Vec::new()))]
    fn new(
        py: Python<'_>,
        options_json: &str,
        snapshot_json: &str,
        listener_fds: Vec<i32>,
        tls_listener_fds: Vec<i32>,
    ) -> PyResult<Self> {
        let options = EdgeOptions::from_json(options_json)
            .map_err(|error| errors::raise(py, "ConfigInvalid", &error.to_string()))?;
        let snapshot = Snapshot::from_json(snapshot_json)
            .map_err(|error| errors::raise(py, "SnapshotInvalid", &error.to_string()))?;
        let inherited = Inherited { plain: listener_fds, tls: tls_listener_fds };
        py.detach(|| Server::start(&options, snapshot, &inherited))
            .map(|server| Self { server })
            .map_err(|error| errors::start(py, &error))
    }

    fn reload(&self, py: Python<'_>, snapshot_json: &str) -> PyResult<u64> {
        let snapshot = py
            .detach(|| Snapshot::from_json(snapshot_json))
            .map_err(|error| errors::raise(py, "SnapshotInvalid", &error.to_string()))?;
        py.detach(|| self.server.reload(snapshot))
            .map_err(|error| errors::raise(py, "ConfigInvalid", &error.to_string()))
    }

    fn addresses(&self) -> Vec<String> {
        self.server.addresses()
    }

    fn admin_address(&self) -> Option<String> {
        self.server.admin_address()
    }

    fn listener_fds(&self) -> Vec<i32> {
        self.server.listeners().plain
    }

    fn tls_listener_fds(&self) -> Vec<i32> {
        self.server.listeners().tls
    }

    fn models(&self, py: Python<'_>) -> String {
        py.detach(|| self.server.models())
    }

    fn update_model(
        &self,
        py: Python<'_>,
        name: String,
        path: Option<String>,
        version: Option<String>,
    ) -> PyResult<String> {
        let change = ModelChange::Load { name, path, version };
        py.detach(|| self.server.change_model(change)).map_err(|error| errors::swap(py, &error))
    }

    fn unload_model(&self, py: Python<'_>, name: String, version: Option<String>) -> PyResult<String> {
        let change = ModelChange::Unload { name, version };
        py.detach(|| self.server.change_model(change)).map_err(|error| errors::swap(py, &error))
    }

    fn reload_certificates(&self, py: Python<'_>, certificates_json: &str) -> PyResult<()> {
        let wrong = |message: &str| errors::raise(py, "ConfigInvalid", message);
        let files = options::certificates_from_json(certificates_json).map_err(|error| wrong(&error.to_string()))?;
        py.detach(|| self.server.reload_certificates(&files)).map_err(|error| wrong(&error.to_string()))
    }

    fn stats(&self, py: Python<'_>) -> String {
        py.detach(|| self.server.stats())
    }

    fn metrics(&self, py: Python<'_>) -> String {
        py.detach(|| self.server.metrics())
    }

    fn take_events(&self) -> Vec<(String, &'static str, String)> {
        self.server
            .take_events()
            .into_iter()
            .map(|event| (event.id, event.reason.map_or("", Reason::name), event.message))
            .collect()
    }

    fn request<'py>(
        &self,
        py: Python<'py>,
        method: String,
        url: &str,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
        timeout_seconds: f64,
    ) -> PyResult<Answered<'py>> {
        let timeout = Duration::try_from_secs_f64(timeout_seconds)
            .map_err(|error| PyValueError::new_err(format!("timeout_seconds: {error}")))?;
        let request = in_process(method, url, headers, body, timeout)?;
        let answer = py.detach(|| self.server.request(request)).map_err(|message| {
            if message.starts_with("no answer within") {
                PyTimeoutError::new_err(message)
            } else {
                PyRuntimeError::new_err(message)
            }
        })?;
        let fields =
            answer.fields.fields().map(|field| (field.name.to_owned(), PyBytes::new(py, field.value))).collect();
        Ok((answer.status, fields, PyBytes::new(py, &answer.body)))
    }

    fn invalidate(&self, py: Python<'_>, selectors: Vec<String>, soft: bool) -> PyResult<(u64, bool)> {
        let force = if soft { Force::Soft } else { Force::Hard };
        let committed = py.detach(|| self.server.invalidate(&selectors, force));
        let committed = committed.map_err(|error| errors::invalidate(py, &error))?;
        Ok((committed.number, committed.is_durable))
    }

    fn follow(&self, py: Python<'_>, batch: &[u8], configured: Option<u64>) -> PyResult<String> {
        let followed = py.detach(|| self.server.follow(batch, configured));
        followed.map(|followed| followed.to_json()).map_err(|error| errors::follow(py, &error))
    }

    fn join(&self, py: Python<'_>, place_json: &str, trusted: bool) -> PyResult<bool> {
        py.detach(|| self.server.join(place_json, trusted)).map_err(|error| errors::follow(py, &error))
    }

    fn place(&self) -> Option<String> {
        self.server.place()
    }

    fn set_following(&self, url: Option<&str>) {
        self.server.set_following(url);
    }

    fn level(&self, age_seconds: f64) -> PyResult<()> {
        let age = Duration::try_from_secs_f64(age_seconds)
            .map_err(|error| PyValueError::new_err(format!("age_seconds: {error}")))?;
        self.server.level(age);
        Ok(())
    }

    fn level_as_of(&self, at_seconds: f64) -> PyResult<()> {
        let as_of = Duration::try_from_secs_f64(at_seconds)
            .map_err(|error| PyValueError::new_err(format!("at_seconds: {error}")))?;
        self.server.level_as_of(as_of).map_err(|message| PyValueError::new_err(format!("at_seconds: {message}")))
    }

    fn set_link(&self, is_cut: bool, behind: Option<u64>, problem: &str, revision: Option<u64>) {
        self.server.set_link(is_cut, behind, problem, revision);
    }

    fn cache_entries(&self, py: Python<'_>, query: &str) -> PyResult<String> {
        py.detach(|| self.server.cache_entries(query)).map_err(PyValueError::new_err)
    }

    fn cache_show(&self, py: Python<'_>, url: &str) -> PyResult<String> {
        py.detach(|| self.server.cache_show(url)).map_err(PyValueError::new_err)
    }

    fn begin_cache_check(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.server.begin_cache_check()).map_err(PyValueError::new_err)
    }

    fn cache_check(&self, py: Python<'_>) -> String {
        py.detach(|| self.server.cache_check())
    }

    fn serve(&self) {
        self.server.serve();
    }

    fn drain(&self, py: Python<'_>, timeout_seconds: f64, keep_listeners: bool) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout_seconds)
            .map_err(|error| PyValueError::new_err(format!("timeout_seconds: {error}")))?;
        Ok(py.detach(|| self.server.drain(timeout, keep_listeners)))
    }

    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.server.stop());
    }
}

pub(crate) fn in_process(
    method: String,
    url: &str,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    timeout: Duration,
) -> PyResult<InProcessRequest> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, target) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let target = target.split('#').next().unwrap_or_default();
    if target.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
        return Err(PyValueError::new_err(format!("{url:?}: write spaces and other than ASCII percent-encoded")));
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let named = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let authority = named.map_or(authority.to_owned(), |(_, value)| String::from_utf8_lossy(value).into_owned());
    Ok(InProcessRequest {
        method,
        authority,
        path: path.to_owned(),
        query,
        fields,
        body,
        timeout,
        max_answer_bytes: MAX_ANSWER_BYTES,
    })
}
