//! How an edge reaches its origins: HTTP servers and S3 buckets, over pooled connections of its own HTTP/1 client.
//!
//! Owns outbound sockets, TLS towards origins, name resolution, retries, limits and the signing of S3 requests.
//! It decides nothing about caching, follows no redirect, and changes no end-to-end field (S3 aside, whose own fields
//! and error documents stay behind).
//!
//! Start at `worker` (what one fetch is), `group` (which origin is asked) and `ask` (whether it is), then `attempts` (connections and retries), `exchange` (one request on one
//! connection) and `body` (the answer's body). `origins` holds what all threads share.
#![forbid(unsafe_code)]

mod ask;
mod attempts;
mod body;
mod connect;
mod connection;
mod exchange;
mod failure;
mod gate;
mod group;
mod health;
mod origins;
mod pool;
mod request;
mod resolve;
mod s3;
mod stream;
#[cfg(test)]
mod tests;
mod timer;
mod tls;
mod upload;
mod worker;

pub use origins::{OriginState, Origins, Report};
pub use worker::WorkerOrigins;
