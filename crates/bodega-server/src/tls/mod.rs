//! TLS in front: `certificates` finds one by name, `config` says how it is spoken, `handshake` begins a connection while
//! `unfinished` bounds how many do, and `session` is one that has begun.

pub(crate) mod certificates;
pub(crate) mod config;
pub(crate) mod handshake;
pub(crate) mod session;
pub(crate) mod unfinished;
