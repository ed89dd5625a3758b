//! Listeners, TLS, the fronts for HTTP/1 and HTTP/2, admin, access log; joins the machine (`bodega-edge`) and origins (`bodega-origin`).
//!
//! Start at `server::Server`; `front` takes a connection to `http1` or `http2`, `worker` is one thread. Nothing here decides about caching.

mod access_log;
mod admin;
mod admission;
mod background;
mod clock;
mod connection;
mod counted_fetch;
mod disk;
mod events;
mod explain;
mod front;
mod front_metrics;
mod http1;
mod http2;
mod in_process;
mod inspect;
mod leave;
pub mod listener;
mod loader;
mod lurker;
mod model_report;
pub mod proxy_protocol;
mod refused;
mod report;
#[cfg(test)]
mod scenarios;
pub mod server;
mod socket;
mod spare_boxes;
mod stream;
mod tls;
mod tokens;
mod worker;

pub use bodega_edge::follow::{FollowError, Followed};
pub use bodega_edge::invalidate::{Force, InvalidateError};
pub use bodega_inference::{SwapError, check_file as check_model_file, die_with_parent, serve_onnx};
pub use explain::explain_key;
pub use in_process::{InProcessAnswer, InProcessRequest};
pub use loader::ModelChange;
pub use server::{Inherited, Server, StartError};
pub use tls::certificates::CertificateError;
pub use tokens::wrong_token_files;
