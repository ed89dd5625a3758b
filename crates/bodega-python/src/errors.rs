//! Errors as exceptions of `bodega.errors`.

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;

use bodega_server::{FollowError, InvalidateError, StartError};

/// An exception of `bodega.errors` by its name, or a `RuntimeError` if that module cannot be imported.
pub(crate) fn raise(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let made =
        py.import("bodega.errors").and_then(|errors| errors.getattr(class)).and_then(|class| class.call1((message,)));
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

/// Why nothing was forgotten.
pub(crate) fn invalidate(py: Python<'_>, error: &InvalidateError) -> PyErr {
    let class = match error {
        InvalidateError::Selector(_) => "SelectorInvalid",
        InvalidateError::TooManyRules(_) => "InvalidationRefused",
    };
    raise(py, class, &error.to_string())
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
