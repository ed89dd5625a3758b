//! A scripted origin, a fake clock, an edge in memory and the scenario runner, for tests only.
//!
//! Start at `scenario::run`; `bench::Bench` is the edge in memory for tests written in Rust.
#![forbid(unsafe_code)]

pub mod bench;
pub mod clock;
pub mod front;
pub mod origin;
pub mod scenario;
pub mod scenario_files;
pub mod sections;
