//! See `checks::proxy_header` for what must hold.
#![no_main]

#[path = "../../crates/bodega-server/tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::proxy_header(bytes));
