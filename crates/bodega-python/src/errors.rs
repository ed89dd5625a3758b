//! Errors as exceptions of `bodega.errors`.

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use bodega_server::{FollowError, InvalidateError, StartError, SwapError};

/// An exception of `bodega.errors` by its name, or a `RuntimeError` if that module cannot be imported.
pub(crate) fn raise(py: Python<'_>, class: &str, message: &str) -> PyErr {
    raise_with_hint(py, class, message, "")
}

/// The same, which also says what to do.
fn raise_with_hint(py: Python<'_>, class: &str, message: &str, hint: &str) -> PyErr {
    let made = py.import("bodega.errors").and_then(|errors| errors.getattr(class)).and_then(|class| {
        if hint.is_empty() {
            return class.call1((message,));
        }
        let named = PyDict::new(py);
        named.set_item("hint", hint)?;
        class.call((message,), Some(&named))
    });
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(_) => PyRuntimeError::new_err(message.to_owned()),
    }
}

/// Why an edge could not start.
pub(crate) fn start(py: Python<'_>, error: &StartError) -> PyErr {
    match error {
        StartError::Setting(message) => raise(py, "ConfigInvalid", message),
        StartError::Listen(error) if error.kind == std::io::ErrorKind::AddrInUse => {
            raise(py, "AddressInUse", &error.to_string())
        }
        StartError::Listen(error) => raise(py, "AddressInvalid", &error.to_string()),
        StartError::System(error) => PyOSError::new_err(error.to_string()),
    }
}

/// Why no other version of a model is in force.
pub(crate) fn swap(py: Python<'_>, error: &SwapError) -> PyErr {
    raise(py, "ModelRefused", &error.to_string())
}

/// Why nothing was forgotten.
pub(crate) fn invalidate(py: Python<'_>, error: &InvalidateError) -> PyErr {
    match error {
        InvalidateError::Selector(_) => raise(py, "SelectorInvalid", &error.to_string()),
        InvalidateError::TooManyRules(_) => raise(py, "InvalidationRefused", &error.to_string()),
        InvalidateError::Follows(control) => {
            let what = "this edge follows a control process, and forgets what its journal says";
            raise_with_hint(py, "InvalidationRefused", what, &format!("purge at {control}"))
        }
    }
}

/// Why nothing of a batch was applied.
pub(crate) fn follow(py: Python<'_>, error: &FollowError) -> PyErr {
    let class = match error {
        FollowError::Malformed(_) => "FollowRefused",
        FollowError::Gap { .. } => "FollowGap",
        FollowError::Parted(_) | FollowError::NoPlace => "FollowParted",
    };
    raise(py, class, &error.to_string())
}
