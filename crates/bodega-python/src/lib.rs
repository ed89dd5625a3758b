//! The native module `bodega._native._core`. This file only registers; each subject has a file of its own.
//!
//! No decision is made in this crate: convert, release the interpreter, call, convert.
//! What Python sees is written by hand in `python/bodega/_native/_core.pyi` and compared with this module by a test.

use pyo3::prelude::*;

mod build_info;
#[cfg(feature = "demo")]
mod demo;
mod edge;
mod errors;
mod key;
mod replay;
mod validate;
mod worker;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::build_info::build_info;
    #[cfg(feature = "demo")]
    #[pymodule_export]
    use super::demo::{DemoOrigin, DemoRelay, DemoS3};
    #[pymodule_export]
    use super::edge::NativeEdge;
    #[pymodule_export]
    use super::key::explain_key;
    #[pymodule_export]
    use super::replay::replay;
    #[pymodule_export]
    use super::validate::{check_model, validate_snapshot, wrong_token_files};
    #[pymodule_export]
    use super::worker::{die_with_parent, serve_onnx};
}
