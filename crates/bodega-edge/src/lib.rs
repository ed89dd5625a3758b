//! The request machine. Opens no socket: it reaches origins through `fetch::Fetch`, and a front hands it requests.
//!
//! Start at `step`: the whole machine is one table, one file a step. `fill`, `lead` and `reader` are how a body
//! streams to many while it is stored; `upstream` is what an origin gets to see.
#![forbid(unsafe_code)]

pub mod answer;
pub mod assembled;
mod batch;
mod bearer;
pub mod body_reader;
mod changed;
mod collapse;
mod content;
mod debug;
pub mod disk_reader;
mod disk_wait;
mod early;
pub mod edge;
pub mod exchange;
pub mod explain;
pub mod fetch;
pub mod fill;
pub mod fillers;
mod flights;
pub mod follow;
mod groups;
pub mod grpc;
mod held;
mod inquiry;
pub mod inspect;
pub mod interim;
pub mod invalidate;
mod joining;
pub mod jwt;
mod keeper;
mod keying;
mod lead;
pub mod link;
pub mod lurker;
pub mod metrics;
mod pace;
mod partial;
mod place;
mod posted;
pub mod predict;
mod predicted;
mod questioned;
pub mod reader;
mod refill;
mod refresh;
mod respond;
mod resume;
pub mod rows;
mod selector;
mod sink;
mod spill;
pub mod step;
mod steps;
mod tiers;
mod upstream;
mod usable;
mod variants;

pub use answer::{Answer, AnswerHead, BodyPlan};
pub use body_reader::BodyReader;
pub use edge::{Clock, Edge, EdgeSettings, Worker};
pub use exchange::{Journey, OwnedRequest, RequestView};
pub use metrics::Metrics;
pub use step::{Begun, begin, complete};
pub use steps::finish::{Finished, run as finish};
pub use steps::refuse::refusal;
