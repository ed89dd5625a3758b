//! Models as origins: ONNX sessions, parsed tensors, batches.
//!
//! Start at `models`: it loads what a snapshot names and implements the machine's `Fetch`. A request's body becomes rows
//! (`features`), each row a `record` that is both what its key is made of and what the model's thread is handed
//! (`batch`, `session`); what comes back is a record, too, which is stored and from which answers are written (`render`).
//! Opens no socket, knows nothing of the store, and never sees the interpreter.
#![forbid(unsafe_code)]

mod batch;
mod element;
mod error;
mod features;
mod kserve;
mod models;
mod problem;
mod question;
mod record;
mod render;
mod runtime;
mod session;
mod signature;

pub use error::ModelError;
pub use models::{ModelState, Models, Routed};
