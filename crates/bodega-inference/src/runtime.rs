//! The ONNX Runtime library: loaded once a process, from a path that is handed down.

use std::path::Path;
use std::sync::OnceLock;

use ort::environment::Environment;

/// One a process, as the library wants it; it lives as long as the process.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

/// Whether there is a library, for who has another process load it.
pub(crate) fn check(path: Option<&str>) -> Result<&str, String> {
    let path = path.ok_or("ONNX Runtime is not installed: `pip install \"bodega[models]\"`")?;
    if !Path::new(path).is_file() {
        return Err(format!("there is no library of ONNX Runtime at {path}"));
    }
    Ok(path)
}

/// The environment of the library at `path`, or of the one that was loaded first.
pub(crate) fn environment(path: Option<&str>) -> Result<&'static Environment, String> {
    let path = check(path)?;
    let environment = ENVIRONMENT.get_or_init(|| {
        let builder = ort::init_from(path).map_err(|error| format!("ONNX Runtime at {path}: {error}"))?;
        builder
            .with_name("bodega")
            .with_telemetry(false)
            .build()
            .map_err(|error| format!("ONNX Runtime at {path}: {error}"))
    });
    environment.as_ref().map_err(Clone::clone)
}
