//! What became of a call, as gRPC says it: a number and a text, behind the answer or in its head.
//! <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>

use std::fmt::Write;

use bodega_semantics::Head;
use bytes::Bytes;

use crate::predict::Rendered;

/// What every message of an answer is.
pub const CONTENT_TYPE: &str = "application/grpc";

/// Whether a request is a call.
#[must_use]
pub fn is_call<H: Head + ?Sized>(head: &H) -> bool {
    let rest = head.first("content-type").and_then(|value| value.strip_prefix(CONTENT_TYPE.as_bytes()));
    matches!(rest, Some([] | [b';' | b'+', ..]))
}

/// The number for what HTTP would say.
#[must_use]
pub const fn code(status: u16) -> u8 {
    match status {
        200 => 0,
        400 | 422 => 3,  // INVALID_ARGUMENT
        408 | 504 => 4,  // DEADLINE_EXCEEDED
        404 => 5,        // NOT_FOUND
        403 => 7,        // PERMISSION_DENIED
        413 | 429 => 8,  // RESOURCE_EXHAUSTED
        405 | 501 => 12, // UNIMPLEMENTED
        502 | 503 => 14, // UNAVAILABLE
        401 => 16,       // UNAUTHENTICATED
        _ => 13,         // INTERNAL
    }
}

/// An answer without a message: all of it is in its head.
#[must_use]
pub fn alone(status: u16, what: &str) -> Rendered {
    let mut told = Rendered::new(CONTENT_TYPE, Bytes::new());
    told.status = Some(200);
    told.fields = vec![
        ("grpc-status", code(status).to_string()),
        ("grpc-message", message(what)),
        ("grpc-accept-encoding", "identity,gzip,deflate".to_owned()),
    ];
    told
}

/// A text as a field holds it: percent-encoded, and not longer than fields are everywhere taken.
fn message(what: &str) -> String {
    let mut out = String::with_capacity(what.len());
    for each in what.chars() {
        if out.len() >= MAX_MESSAGE_BYTES {
            break;
        }
        match each {
            ' '..='$' | '&'..='~' => out.push(each),
            _ => {
                for byte in each.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing into memory cannot fail.
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
    }
    out
}

const MAX_MESSAGE_BYTES: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_field() {
        for (what, expected) in [("a b~", "a b~"), ("50%", "50%25"), ("ü\r\n", "%C3%BC%0D%0A"), ("", "")] {
            assert_eq!(message(what), expected);
        }
        assert_eq!(message(&"ü".repeat(10_000)).len(), MAX_MESSAGE_BYTES / 6 * 6 + 6);
    }
}
