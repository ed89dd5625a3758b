//! The HTTP/2 front (RFC 9113), around the `h2` crate, which keeps the protocol's state.
//!
//! `serve` is a connection's task, `request` what a stream asks, `head` and `chunk` what it gets. What waits goes on in
//! a task of its own, `stream`; `turns` decides whose bytes go first, `unread` takes
//! what comes of a body that nobody reads. `wire` gathers what goes out, `guard` counts what
//! comes in.

mod body;
mod chunk;
mod guard;
mod head;
mod request;
pub(crate) mod serve;
mod stream;
#[cfg(test)]
mod tests;
mod turns;
mod unread;
mod wire;

pub(crate) use guard::Misuse;
