//! The head of a request: request line, fields, and what they say about the body and the connection.
//! RFC 9112 sections 2 to 6 and 9, strictly. Owns no limits of its own and no meaning beyond framing.
//! Start at `parse_request`; `authority` and `target` are the two grammars that httparse does not check.

use std::mem::MaybeUninit;

use bodega_semantics::{Field, Head};

use crate::error::{HeadError, HeadErrorKind};
use crate::{Codings, Limits, MAX_FIELDS, Parsed, Version, raw};

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// So many bytes follow (may be 0).
    Length(u64),
    /// Chunks follow; see `ChunkDecoder`.
    Chunked,
}

/// The head of a request, borrowed from the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'b, 'f> {
    /// The method, case kept.
    pub method: &'b str,
    /// The request target as received.
    pub target: &'b str,
    /// Path and query: begins with `/`, or is `*` for `OPTIONS`; for `CONNECT` the target itself.
    pub path_and_query: &'b str,
    /// Whom the request is for, valid as an authority: from an absolute target, else from `Host`.
    /// `None` only in HTTP/1.0.
    pub host: Option<&'b str>,
    /// The version.
    pub version: Version,
    /// All field lines in order, hop-by-hop ones too.
    pub fields: &'f [Field<'b>],
    /// How the body is framed.
    pub framing: BodyFraming,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// Whether the client waits for a `100 (Continue)` before it sends the body.
    pub expect_continue: bool,
    /// Whether the client asks for another protocol (`Upgrade`, named by `Connection`).
    pub upgrade: bool,
}

impl Head for RequestHead<'_, '_> {
    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().copied()
    }
}

/// Reads the head at the start of `bytes`, using `fields` as the place for its field lines
/// (more lines than slots is an error, so lend as many as `limits.max_fields`).
///
/// However the bytes are split over calls, the same heads are accepted, with the same result.
///
/// # Errors
/// When the head is malformed, ambiguous, or over a limit; the connection must then be closed.
pub fn parse_request<'b, 'f>(
    bytes: &'b [u8],
    fields: &'f mut [Field<'b>],
    limits: &Limits,
) -> Result<Parsed<RequestHead<'b, 'f>>, HeadError> {
    // RFC 9112 section 2.2: a server ignores an empty line before the request line; one, for what old clients send
    // after a body.
    let n_skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let window = &bytes[n_skipped..bytes.len().min(limits.max_head_bytes).max(n_skipped)];
    match window {
        [b'\n', ..] | [b'\r', _, ..] => return Err(HeadError::malformed("no request line")),
        [b'\r'] if n_skipped > 0 => return Err(HeadError::malformed("no request line")),
        _ => {}
    }

    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let n_bytes = match request.parse_with_uninit_headers(window, &mut headers) {
        Ok(httparse::Status::Complete(n_bytes)) => n_bytes,
        Ok(httparse::Status::Partial) => return partial(bytes, window, limits),
        Err(httparse::Error::Version) if !names_a_version(window) => {
            return Err(HeadError::malformed("a malformed request line"));
        }
        Err(error) => return Err(raw::refused(error)),
    };
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default();
    if method.len() + target.len() + " HTTP/1.1 ".len() > limits.max_request_line_bytes {
        return Err(TARGET_TOO_LONG);
    }
    raw::check_line_ends(&window[..n_bytes])?;
    let version = raw::version(request.version)?;
    let (fields, framing) = raw::read_fields(request.headers, fields, limits.max_fields, Codings::Strict)?;

    let field_host = framing.host.map(authority).transpose()?;
    // RFC 9112 section 3.2: exactly one Host in HTTP/1.1, even beside an absolute target.
    if field_host.is_none() && version == Version::Http11 {
        return Err(HeadError::malformed("no Host"));
    }
    let (target_host, path_and_query) = split_target(method, target)?;
    // RFC 9112 section 6.1: a coding in HTTP/1.0 is a sign of broken framing.
    if framing.chunked && version == Version::Http10 {
        return Err(HeadError::malformed("Transfer-Encoding in HTTP/1.0"));
    }
    let body = match framing.content_length {
        Some(length) => BodyFraming::Length(length),
        None if framing.chunked => BodyFraming::Chunked,
        None => BodyFraming::None,
    };
    let head = RequestHead {
        method,
        target,
        path_and_query,
        // RFC 9112 section 3.2.2: the target decides, and the field is ignored.
        host: target_host.or(field_host),
        version,
        fields,
        framing: body,
        keep_alive: framing.persists(version),
        // RFC 9110 section 10.1.1: not in HTTP/1.0, and not without a body to wait with.
        expect_continue: framing.expect_continue
            && version == Version::Http11
            && !matches!(body, BodyFraming::None | BodyFraming::Length(0)),
        upgrade: framing.upgrade && framing.connection_upgrade,
    };
    Ok(Parsed::Complete(head, n_skipped + n_bytes))
}

fn partial<'b, 'f>(bytes: &[u8], window: &[u8], limits: &Limits) -> Result<Parsed<RequestHead<'b, 'f>>, HeadError> {
    match overlong(window, limits) {
        Some(error) => Err(error),
        None if bytes.len() > limits.max_head_bytes => Err(raw::TOO_LARGE),
        None => Ok(Parsed::Partial),
    }
}

/// Whether the request line alone is over its limit; looked at only while the head is not whole.
fn overlong(window: &[u8], limits: &Limits) -> Option<HeadError> {
    let line = window.get(..=limits.max_request_line_bytes + 1)?;
    (!line.contains(&b'\n')).then_some(TARGET_TOO_LONG)
}

/// Whether what stands in the place of the version is one at all, so that 505 is the right word for it.
fn names_a_version(window: &[u8]) -> bool {
    let version = window.splitn(3, |&byte| byte == b' ').nth(2).unwrap_or_default();
    version.strip_prefix(b"HTTP/").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

/// The authority in the target, if it names one, and path with query (RFC 9112 section 3.2).
fn split_target<'b>(method: &str, target: &'b str) -> Result<(Option<&'b str>, &'b str), HeadError> {
    // RFC 9112 section 3.2: no fragment is ever sent; anything but visible ASCII is not a URI (RFC 3986 section 2).
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HeadError::malformed("a request target with characters that no URI holds"));
    }
    if target.starts_with('/') && method != "CONNECT" {
        return Ok((None, target));
    }
    if target == "*" && method == "OPTIONS" {
        return Ok((None, target));
    }
    if method == "CONNECT" {
        return Ok((Some(authority(target.as_bytes())?), target));
    }
    let Some(rest) = strip_scheme(target) else {
        return Err(HeadError::malformed("a request target in none of the forms of HTTP"));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let host = authority(&rest.as_bytes()[..end])?;
    match &rest[end..] {
        "" => Ok((Some(host), if method == "OPTIONS" { "*" } else { "/" })),
        path if path.starts_with('/') => Ok((Some(host), path)),
        _ => Err(HeadError::malformed("a request target without a path before its query")),
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let start = target.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &target[scheme.len()..])
    })
}

/// A host with an optional port (RFC 3986 section 3.2), narrowed to what names of hosts are made of:
/// no user information (RFC 9110 section 4.2.4), no empty host or label, no escapes, no sub-delimiters.
///
/// # Errors
/// When it is none.
pub fn authority(value: &[u8]) -> Result<&str, HeadError> {
    const WRONG: HeadError = HeadError::malformed("a malformed Host");
    let (host_ok, rest) = match value {
        [b'[', inner @ ..] => {
            let end = inner.iter().position(|&byte| byte == b']').ok_or(WRONG)?;
            let address = &inner[..end];
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            (!address.is_empty() && address.iter().all(is_address), &inner[end + 1..])
        }
        _ => {
            let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
            let host = &value[..end];
            let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
            let no_empty_label =
                host.first().is_some_and(|&byte| byte != b'.') && !host.windows(2).any(|two| two == b"..");
            (no_empty_label && host.iter().all(is_name), &value[end..])
        }
    };
    let port_ok = match rest {
        [] => true,
        [b':', port @ ..] => {
            // Five digits at most, so that the sum stays small.
            port.len() <= 5
                && port.iter().all(u8::is_ascii_digit)
                && port.iter().fold(0, |sum, &byte| sum * 10 + u32::from(byte - b'0')) <= u32::from(u16::MAX)
        }
        _ => false,
    };
    if !host_ok || !port_ok {
        return Err(WRONG);
    }
    std::str::from_utf8(value).map_err(|_| WRONG)
}

const TARGET_TOO_LONG: HeadError =
    HeadError::new(HeadErrorKind::TargetTooLong, "a request line over the limit of bytes");

#[cfg(test)]
mod tests;
