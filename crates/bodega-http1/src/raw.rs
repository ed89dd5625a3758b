//! What heads of requests and answers share: strictness that httparse does not have, and the fields
//! that decide framing and persistence, read in the one pass that copies the fields out.

use bodega_semantics::Field;
use bodega_semantics::fields::{is_token_byte, list_members};

use crate::error::{HeadError, HeadErrorKind};
use crate::{Codings, MAX_FIELDS, Version};

/// The fields that decide where a message ends and what becomes of its connection.
#[derive(Default)]
pub(crate) struct Framing<'b> {
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    /// A coding that nobody knows, where `codings` lets it be.
    pub(crate) unknown_coding: bool,
    codings: Codings,
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) connection_upgrade: bool,
    pub(crate) upgrade: bool,
    pub(crate) expect_continue: bool,
    pub(crate) host: Option<&'b [u8]>,
}

/// Copies `parsed` into `fields` and reads the framing on the way.
pub(crate) fn read_fields<'b, 'f>(
    parsed: &[httparse::Header<'b>],
    fields: &'f mut [Field<'b>],
    max_fields: usize,
    codings: Codings,
) -> Result<(&'f [Field<'b>], Framing<'b>), HeadError> {
    if parsed.len() > max_fields.min(MAX_FIELDS) || parsed.len() > fields.len() {
        return Err(TOO_MANY_FIELDS);
    }
    let mut framing = Framing { codings, ..Framing::default() };
    for (slot, header) in fields.iter_mut().zip(parsed) {
        *slot = Field { name: header.name, value: header.value };
        framing.note(header.name, header.value)?;
    }
    // RFC 9112 section 6.3: both together is how requests are smuggled.
    if framing.is_coded() && framing.content_length.is_some() {
        return Err(HeadError::malformed("both Content-Length and Transfer-Encoding"));
    }
    let fields: &'f [Field<'b>] = fields;
    Ok((&fields[..parsed.len()], framing))
}

impl<'b> Framing<'b> {
    /// The length tells most names apart, so that a usual field costs one comparison of integers.
    fn note(&mut self, name: &str, value: &'b [u8]) -> Result<(), HeadError> {
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => set_once(&mut self.host, value, "more than one Host")?,
            6 if name.eq_ignore_ascii_case("expect") => {
                self.expect_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if name.eq_ignore_ascii_case("upgrade") => self.upgrade = true,
            10 if name.eq_ignore_ascii_case("connection") => self.note_connection(value),
            14 if name.eq_ignore_ascii_case("content-length") => {
                // RFC 9112 section 6.3 would allow equal repetitions; nothing honest sends them.
                set_once(&mut self.content_length, content_length(value)?, "more than one Content-Length")?;
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                // Repeated, listed or unknown codings: each is a way to disagree about the end of the body.
                let only_chunked = !self.is_coded() && value.eq_ignore_ascii_case(b"chunked");
                let only_unknown = !self.chunked && self.codings == Codings::UntilClose && are_unknown_codings(value);
                if !only_chunked && !only_unknown {
                    return Err(HeadError::malformed("a Transfer-Encoding other than chunked"));
                }
                self.chunked = only_chunked;
                self.unknown_coding = only_unknown;
            }
            _ => {}
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for member in list_members(std::iter::once(value)) {
            match member.len() {
                5 => self.close |= member.eq_ignore_ascii_case(b"close"),
                7 => self.connection_upgrade |= member.eq_ignore_ascii_case(b"upgrade"),
                10 => self.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive"),
                _ => {}
            }
        }
    }

    /// Whether there is a transfer coding.
    pub(crate) fn is_coded(&self) -> bool {
        self.chunked || self.unknown_coding
    }

    /// Whether the connection may carry another message (RFC 9112 section 9.3).
    pub(crate) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T, repeated: &'static str) -> Result<(), HeadError> {
    if slot.replace(value).is_some() { Err(HeadError::malformed(repeated)) } else { Ok(()) }
}

/// Whether these are codings of which nothing is known, in plain words. What looks like `chunked` to any other parser is
/// none of them, nor are the others of RFC 9112 section 7: without the field their bytes would be other content.
fn are_unknown_codings(value: &[u8]) -> bool {
    let mut members = list_members(std::iter::once(value)).peekable();
    members.peek().is_some()
        && members.all(|member| {
            member.iter().all(|&byte| is_token_byte(byte))
                && !member.windows(b"chunked".len()).any(|part| part.eq_ignore_ascii_case(b"chunked"))
                && !KNOWN_CODINGS.iter().any(|known| member.eq_ignore_ascii_case(known))
        })
}

/// Digits and nothing else, within 64 bits.
fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    const WRONG: HeadError = HeadError::malformed("a Content-Length that is no number");
    if value.is_empty() || value.len() > MAX_LENGTH_DIGITS {
        return Err(WRONG);
    }
    value.iter().try_fold(
        0_u64,
        |sum, &byte| {
            if byte.is_ascii_digit() { Ok(sum * 10 + u64::from(byte - b'0')) } else { Err(WRONG) }
        },
    )
}

/// httparse takes a lone LF for the end of a line; here every line ends in CRLF.
/// A lone CR it refuses by itself. Written so that the compiler makes vector code of it.
pub(crate) fn check_line_ends(head: &[u8]) -> Result<(), HeadError> {
    let pairs = head.iter().zip(head.iter().skip(1));
    let lone = pairs.fold(0_u8, |lone, (&before, &byte)| lone | (u8::from(byte == b'\n') & u8::from(before != b'\r')));
    if lone != 0 || head.first() == Some(&b'\n') {
        return Err(HeadError::malformed("a line that does not end in CRLF"));
    }
    Ok(())
}

/// What httparse reports, in our words.
pub(crate) fn refused(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => TOO_MANY_FIELDS,
        httparse::Error::Version => HeadError::new(HeadErrorKind::Version, "not HTTP/1.0 or HTTP/1.1"),
        httparse::Error::HeaderName => HeadError::malformed("a malformed field name"),
        httparse::Error::HeaderValue => HeadError::malformed("a malformed field value"),
        httparse::Error::NewLine => HeadError::malformed("a line that does not end in CRLF"),
        httparse::Error::Status => HeadError::malformed("a malformed status line"),
        httparse::Error::Token => HeadError::malformed("a malformed start line"),
    }
}

/// The version httparse found.
pub(crate) fn version(minor: Option<u8>) -> Result<Version, HeadError> {
    match minor {
        Some(1) => Ok(Version::Http11),
        Some(0) => Ok(Version::Http10),
        _ => Err(HeadError::new(HeadErrorKind::Version, "not HTTP/1.0 or HTTP/1.1")),
    }
}

const KNOWN_CODINGS: [&[u8]; 5] = [b"compress", b"x-compress", b"deflate", b"gzip", b"x-gzip"];
pub(crate) const TOO_LARGE: HeadError = HeadError::new(HeadErrorKind::TooLarge, "a head over the limit of bytes");
const TOO_MANY_FIELDS: HeadError = HeadError::new(HeadErrorKind::TooLarge, "more fields than the limit");
/// 18 digits always fit into 64 bits, and are more than any storage holds.
const MAX_LENGTH_DIGITS: usize = 18;
