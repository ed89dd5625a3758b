//! See `checks::selector` for what must hold.
#![no_main]

#[path = "../../crates/bodega-edge/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::selector(bytes));
