//! See `checks::batch` for what must hold.
#![no_main]

#[path = "../../crates/bodega-edge/tests/checks/batch.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::batch(bytes));
