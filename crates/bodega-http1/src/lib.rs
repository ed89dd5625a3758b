//! The strict HTTP/1 codec: heads, chunked coding; bytes to bytes.
#![forbid(unsafe_code)]
