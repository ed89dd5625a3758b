//! The HTTP/1 front: bytes to requests, answers to bytes. `serve` is a connection's loop, `body` a request's body on
//! its way in, `write` an answer on its way out.

mod body;
mod disk;
mod input;
pub(crate) mod serve;
mod write;
