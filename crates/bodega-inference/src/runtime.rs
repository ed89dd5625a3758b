//! The ONNX Runtime library: loaded once a process, from a path that is handed down.

use std::path::Path;
use std::sync::OnceLock;

use ort::environment::Environment;

/// One a process, as the library wants it; it lives as long as the process.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

/// The environment of the library at `path`, or of the one that was loaded first.
pub(crate) fn environment(path: Option<&str>) -> Result<&'static Environment, String> {
    let Some(path) = path else {
        return Err("ONNX Runtime is not installed: `pip install \"bodega[models]\"`".to_owned());
    };
    let environment = ENVIRONMENT.get_or_init(|| {
        if !Path::new(path).is_file() {
            return Err(format!("there is no library of ONNX Runtime at {path}"));
        }
        let builder = ort::init_from(path).map_err(|error| format!("ONNX Runtime at {path}: {error}"))?;
        builder
            .with_name("bodega")
            .with_telemetry(false)
            .build()
            .map_err(|error| format!("ONNX Runtime at {path}: {error}"))
    });
    environment.as_ref().map_err(Clone::clone)
}
