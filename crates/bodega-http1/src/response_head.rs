//! The head of an answer from an origin: status line, fields, and where its body ends (RFC 9112 sections 4 and 6.3).
//! As strict as for requests: an origin that a client can confuse is the other half of a smuggled request.
//! Start at `parse_response`; what the framing does to the connection is in `ResponseHead::keep_alive`.

use std::mem::MaybeUninit;

use bodega_semantics::{Field, Head};

use crate::error::HeadError;
use crate::raw::Framing;
use crate::{Limits, MAX_FIELDS, Parsed, Version, raw};

/// What the request was, as far as it decides the framing of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A `HEAD` request: the answer has no body.
    Head,
    /// Any other.
    Other,
}

/// Which transfer codings an answer may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codings {
    /// None, or `chunked` alone.
    #[default]
    Strict,
    /// One that nobody has registered as well. RFC 9112 section 6.3: where `chunked` is not the final coding, the body
    /// of an answer ends with the connection.
    UntilClose,
}

/// Where the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerFraming {
    /// There is no body (1xx, 204, 304, or an answer to `HEAD`).
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk; see `ChunkDecoder`.
    Chunked,
    /// Where the connection is closed. Whether it was whole cannot be known.
    UntilClose,
}

/// The head of an answer, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'b, 'f> {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase; empty if there is none or it is not ASCII.
    pub reason: &'b str,
    /// The version.
    pub version: Version,
    /// All field lines in order, hop-by-hop ones too.
    pub fields: &'f [Field<'b>],
    /// `Content-Length`, which answers to `HEAD` and 304 carry without a body.
    pub content_length: Option<u64>,
    /// Where the body ends.
    pub framing: AnswerFraming,
    /// Whether the connection may be used again once the body has ended.
    pub keep_alive: bool,
}

impl Head for ResponseHead<'_, '_> {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().copied()
    }
}

/// Reads the head at the start of `bytes`, the answer to a `request`, using `fields` as the place for its field lines.
///
/// However the bytes are split over calls, the same heads are accepted, with the same result.
///
/// # Errors
/// When the head is malformed, ambiguous, or over a limit; the connection must then be closed.
pub fn parse_response<'b, 'f>(
    bytes: &'b [u8],
    request: RequestKind,
    codings: Codings,
    fields: &'f mut [Field<'b>],
    limits: &Limits,
) -> Result<Parsed<ResponseHead<'b, 'f>>, HeadError> {
    let window = &bytes[..bytes.len().min(limits.max_head_bytes)];
    // httparse skips empty lines; before an answer there are none.
    if matches!(window.first(), Some(b'\r' | b'\n')) {
        return Err(HeadError::malformed("no status line"));
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let n_bytes = match config.parse_response_with_uninit_headers(&mut response, window, &mut headers) {
        Ok(httparse::Status::Complete(n_bytes)) => n_bytes,
        Ok(httparse::Status::Partial) if bytes.len() > limits.max_head_bytes => return Err(raw::TOO_LARGE),
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(error) => return Err(raw::refused(error)),
    };
    raw::check_line_ends(&window[..n_bytes])?;
    let version = raw::version(response.version)?;
    let status = response.code.unwrap_or_default();
    if !(100..=599).contains(&status) {
        return Err(HeadError::malformed("a status outside 100 to 599"));
    }
    let (fields, framing) = raw::read_fields(response.headers, fields, limits.max_fields, codings)?;
    if framing.is_coded() && version == Version::Http10 {
        return Err(HeadError::malformed("Transfer-Encoding in HTTP/1.0"));
    }
    let (body, framing_persists) = answer_framing(status, request, &framing)?;
    let head = ResponseHead {
        status,
        reason: response.reason.unwrap_or_default(),
        version,
        fields,
        content_length: framing.content_length,
        framing: body,
        keep_alive: framing_persists && framing.persists(version),
    };
    Ok(Parsed::Complete(head, n_bytes))
}

/// RFC 9112 section 6.3, and whether the connection can be trusted after such a body.
fn answer_framing(
    status: u16,
    request: RequestKind,
    framing: &Framing<'_>,
) -> Result<(AnswerFraming, bool), HeadError> {
    let named_length = framing.content_length.is_some_and(|length| length > 0);
    match status {
        // RFC 9110 section 8.6 and RFC 9112 section 6.1: neither field may stand in these.
        100..=199 if framing.is_coded() || named_length => Err(HeadError::malformed("an interim answer with a body")),
        100..=199 => Ok((AnswerFraming::None, true)),
        // Whether such a body follows all the same is anyone's guess: answer, then close.
        204 => Ok((AnswerFraming::None, !framing.is_coded() && !named_length)),
        304 => Ok((AnswerFraming::None, !framing.unknown_coding)),
        _ if request == RequestKind::Head => Ok((AnswerFraming::None, !framing.unknown_coding)),
        _ => Ok(match framing.content_length {
            Some(length) => (AnswerFraming::Length(length), true),
            None if framing.chunked => (AnswerFraming::Chunked, true),
            None => (AnswerFraming::UntilClose, false),
        }),
    }
}

#[cfg(test)]
mod tests;
