//! What this module was built as: for messages, bug reports, and the warning that a debug build is slow.

use std::collections::BTreeMap;
use std::env::consts;

use pyo3::prelude::*;

/// How this module was built.
#[pyfunction]
pub(crate) fn build_info() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("profile", if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned()),
        ("features", if cfg!(feature = "demo") { "demo" } else { "" }.to_owned()),
        ("target", format!("{}-{}", consts::OS, consts::ARCH)),
    ])
}
