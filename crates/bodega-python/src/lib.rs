//! The native module `bodega._native._core`. This file only registers; each subject has a file of its own.
//!
//! No decision is made in this crate: convert, release the interpreter, call, convert.
//! What Python sees is written by hand in `python/bodega/_native/_core.pyi` and compared with this module by a test.

use pyo3::prelude::*;

mod build_info;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::build_info::build_info;
}
