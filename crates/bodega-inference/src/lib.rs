//! Models as origins: ONNX sessions, parsed tensors, batches.
//!
//! Start at `models`: it loads what a snapshot names and implements the machine's `Fetch`. A request's body becomes rows
//! (`features`), each row a `record` that is both what its key is made of and what the model's thread is handed
//! (`batch`, `session`); what comes back is a record, too, which is stored and from which answers are written (`render`).
//! Opens no socket, knows nothing of the store, and never sees the interpreter.
#![forbid(unsafe_code)]

mod batch;
mod changes;
mod coding;
mod contents;
mod cost;
mod counts;
mod element;
mod error;
mod features;
mod golden;
mod graph;
mod group;
mod grpc;
mod kserve;
mod model;
mod models;
mod openapi;
mod pages;
mod probe;
mod problem;
mod question;
mod record;
mod render;
mod runtime;
mod session;
mod signature;
mod swap;
mod table;
mod tally;
mod turn;
mod watchdog;
mod worker;

pub use changes::Gone;
pub use contents::check_file;
pub use counts::ModelCounts;
pub use error::ModelError;
pub use models::{ModelState, Models, Routed};
pub use swap::{SwapError, Swapped};
pub use worker::{Report, die_with_parent, serve_onnx};
