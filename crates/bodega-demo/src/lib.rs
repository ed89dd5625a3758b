//! What `bodega up` stands in front of: a web origin, an S3 server, and a relay that adds distance.
//! Each is a struct with `start`, `address` and `stop`, and runs on one thread with a small runtime of its own, so that
//! it can live in any process. Made for demonstrations and tests: nothing in the edge depends on this crate.
//! Start at `origin`; `running` is the thread, `traffic` the counters, `file` what reads from disk.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking"))]

#[cfg(test)]
mod ask;
mod content_type;
mod file;
mod origin;
mod relay;
mod running;
mod s3;
mod traffic;

pub use origin::Origin;
pub use relay::Relay;
pub use s3::{Keys, S3Server};
pub use traffic::Stats;
