//! See `checks::json` for what must hold.
#![no_main]

#[path = "../../crates/bodega-semantics/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::json(bytes));
