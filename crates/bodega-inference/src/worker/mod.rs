//! Models in processes of their own: what a model does there takes neither the edge nor a hit with it.
//!
//! ```text
//!   model's thread                      keeper's thread
//!   (`runner`: rows in, rows out)       (`keeper`: starts, watches, starts again with back-off)
//!         │  frames over a socket              │  its output, line by line, and its end
//!         │  tensors in shared memory          │
//!         └───────────────▶ worker ◀───────────┘
//!                     `python -m bodega.serving.worker`
//! ```
//!
//! A worker's standard input is the socket, its standard output the memory, its standard error the edge's log; it holds
//! nothing else of the edge's. What it says is believed as little as what a client says: `frame` and `runner` check every
//! length, and the memory is read by calls of the system, never through a pointer that somebody else writes behind.
//! `serve` is the worker's own side where it runs an ONNX model; that of Python runners is `bodega.serving.worker`.

mod back_off;
mod frame;
mod hello;
mod keeper;
mod lines;
mod memory;
mod process;
mod runner;
mod serve;
#[cfg(test)]
mod tests;
mod trial;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use serve::{die_with_parent, serve_onnx};

pub(crate) use runner::{WorkerRunner, WorkerWatch};
pub(crate) use trial::trial;

/// Is told what a worker prints, and when it ends or runs again; the flag says whether that is good news.
pub type Report = Arc<dyn Fn(bool, &str) + Send + Sync>;

/// What workers are started with.
#[derive(Clone)]
pub(crate) struct Workers {
    /// The interpreter; `None`: there are no workers here.
    pub(crate) python: Option<String>,
    /// Where the library of ONNX Runtime is.
    pub(crate) library: Option<String>,
    pub(crate) report: Report,
}

impl Workers {
    pub(crate) fn new(python: Option<&str>, library: Option<&str>, report: Report) -> Self {
        Self { python: python.map(ToOwned::to_owned), library: library.map(ToOwned::to_owned), report }
    }

    fn python(&self) -> Result<&Path, String> {
        self.python.as_deref().map(Path::new).ok_or_else(|| "there is no interpreter to run it with".to_owned())
    }
}

/// How long a worker may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(120);
