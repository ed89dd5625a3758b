//! HTTP caching decisions: freshness, storing, reuse, keys, ranges, outcomes.
//!
//! Pure: time is an argument, nothing is read or written, and every function is total on hostile input.
//! Start at `storable` (may this answer be kept, and how long), `reuse` (may a kept one answer now) and `key`.
#![forbid(unsafe_code)]

pub mod affected;
pub mod cache_control;
pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod deception;
pub mod fields;
pub mod forwarding;
pub mod freshness;
pub mod glob;
pub mod groups;
pub mod json;
pub mod key;
pub mod multipart;
pub mod outcome;
pub mod partial;
pub mod path;
pub mod policy;
pub mod priority;
pub mod range;
pub mod reuse;
pub mod storable;
mod structured;
pub mod tags;
pub mod time;
pub mod vary;

pub use fields::{Field, Fields, Head};
pub use key::Key;
pub use outcome::{Level, Outcome, Reason};
pub use policy::Policy;
pub use time::Timestamp;
