//! The strict HTTP/1 codec that both sides use: the server towards clients, `bodega-origin` towards origins.
//! Pure: bytes in, borrowed values out; it does no I/O, keeps no time and never panics on input.
//! Whatever two parsers could read in two ways is an error here (RFC 9112 section 11.2), so that nothing behind this
//! crate needs to ask again. What a field *means* for caching is decided in `bodega-semantics`.
//! Start at `request_head::parse_request`; `raw` holds what heads of both directions share,
//! `chunked` is the transfer coding, `write` puts heads together.
#![forbid(unsafe_code)]

pub mod chunked;
mod error;
mod raw;
pub mod request_head;
pub mod response_head;
pub mod write;

pub use bodega_semantics::Field;
pub use chunked::{ChunkDecoder, ChunkError, Step};
pub use error::{HeadError, HeadErrorKind};
pub use request_head::{BodyFraming, RequestHead, authority, parse_request};
pub use response_head::{AnswerFraming, Codings, RequestKind, ResponseHead, parse_response};

/// A field slot before parsing: fill an array with it and lend it to `parse_request` or `parse_response`.
pub const EMPTY_FIELD: Field<'static> = Field { name: "", value: b"" };

/// The most field lines a head may have, whatever the limits say.
pub const MAX_FIELDS: usize = 100;

/// What a parser found in the bytes so far.
#[derive(Debug)]
pub enum Parsed<T> {
    /// The head does not end within these bytes; ask again with more.
    Partial,
    /// The head, and how many bytes it took. What follows is the body or the next message.
    Complete(T, usize),
}

/// The protocol version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How much a head may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The whole head in bytes, with the empty line that ends it (else 431).
    pub max_head_bytes: usize,
    /// The request line in bytes, without its CRLF (else 414). Not used for answers.
    pub max_request_line_bytes: usize,
    /// Field lines (else 431), at most `MAX_FIELDS`.
    pub max_fields: usize,
}

impl Default for Limits {
    /// 64 KiB a head, 16 KiB a request line, 100 fields.
    fn default() -> Self {
        Self { max_head_bytes: 64 * 1024, max_request_line_bytes: 16 * 1024, max_fields: MAX_FIELDS }
    }
}
