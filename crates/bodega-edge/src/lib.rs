//! The request machine. Opens no socket.
#![forbid(unsafe_code)]

pub mod fetch;
