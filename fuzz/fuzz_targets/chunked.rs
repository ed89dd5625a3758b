//! See `checks::chunked` for what must hold.
#![no_main]

#[path = "../../crates/bodega-http1/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::chunked(bytes));
