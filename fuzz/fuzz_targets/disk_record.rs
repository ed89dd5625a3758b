//! See `checks::record` for what must hold.
#![no_main]

#[path = "../../crates/bodega-store/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::record(bytes));
