//! Whether a request brings a bearer token that its behavior knows: RFC 6750 section 2.1.
//!
//! Only where `authorization = "edge"` says that the edge decides who may ask; then its answers are for all who may.

use aws_lc_rs::digest::{SHA256, digest};
use bodega_semantics::{Head, Reason};
use bodega_snapshot::Tokens;

/// Longer ones are nobody's.
const MAX_TOKEN_BYTES: usize = 4096;

/// Checks the token of a request.
///
/// # Errors
/// What is missing.
pub(crate) fn check<H: Head + ?Sized>(tokens: &Tokens, request: &H) -> Result<(), Reason> {
    let mut lines = request.all("authorization");
    let Some(line) = lines.next() else { return Err(Reason::TokenMissing) };
    if lines.next().is_some() {
        // RFC 6750 section 2: not by more than one method, and so not twice by one.
        return Err(Reason::TokenUnknown);
    }
    let Some(token) = token_of(line) else { return Err(Reason::TokenMissing) };
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Reason::TokenUnknown);
    }
    let sum = digest(&SHA256, token);
    let is_known = <&[u8; 32]>::try_from(sum.as_ref()).is_ok_and(|sum| tokens.know(sum));
    if is_known { Ok(()) } else { Err(Reason::TokenUnknown) }
}

/// The token, where the scheme is `Bearer`.
fn token_of(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ")).then(|| token.trim_ascii())
}

/// What a client is told that presents no token, or an unknown one (RFC 6750 section 3).
pub(crate) fn challenge(realm: &str, reason: Reason) -> String {
    let realm: String = realm.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect();
    let error = if reason == Reason::TokenUnknown { ", error=\"invalid_token\"" } else { "" };
    format!("Bearer realm=\"{realm}\"{error}")
}
