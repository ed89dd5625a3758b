//! Listeners, the HTTP/1 front, admin, access log; joins the machine (`bodega-edge`) and origins (`bodega-origin`).
//!
//! Start at `server::Server`; `http1` is the front, `worker` one thread of it. Nothing here decides about caching.

mod access_log;
mod admin;
mod admission;
mod clock;
mod connection;
mod counted_fetch;
mod events;
mod explain;
mod http1;
mod in_process;
pub mod listener;
mod report;
pub mod server;
mod stream;
mod worker;

pub use explain::explain_key;
pub use in_process::{InProcessAnswer, InProcessRequest};
pub use server::{Server, StartError};
