//! Whether a request brings a bearer token that its behavior knows: RFC 6750 section 2.1.
//!
//! Only where `authorization = "edge"` says that the edge decides who may ask; then its answers are for all who may.

use aws_lc_rs::digest::{SHA256, digest};
use bodega_semantics::{Head, Reason, Timestamp};
use bodega_snapshot::{Fault, Tokens};

/// Longer ones are nobody's.
const MAX_TOKEN_BYTES: usize = 4096;
/// Signed ones say more.
const MAX_SIGNED_BYTES: usize = 8192;

/// Why a request may not ask.
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    /// What is wrong with its token, where that can be told.
    pub(crate) fault: Option<Fault>,
}

/// Checks the token of a request.
///
/// # Errors
/// What is missing.
pub(crate) fn check<H: Head + ?Sized>(tokens: &Tokens, request: &H, now: Timestamp) -> Result<(), Refused> {
    let refused = |reason, fault| Err(Refused { reason, fault });
    let mut lines = request.all("authorization");
    let Some(line) = lines.next() else { return refused(Reason::TokenMissing, None) };
    if lines.next().is_some() {
        // RFC 6750 section 2: not by more than one method, and so not twice by one.
        return refused(Reason::TokenUnknown, None);
    }
    let Some(token) = token_of(line) else { return refused(Reason::TokenMissing, None) };
    let max_bytes = if tokens.jwt.is_some() { MAX_SIGNED_BYTES } else { MAX_TOKEN_BYTES };
    if token.len() > max_bytes {
        return refused(Reason::TokenUnknown, None);
    }
    let sum = digest(&SHA256, token);
    let Ok(sum) = <&[u8; 32]>::try_from(sum.as_ref()) else { return refused(Reason::TokenUnknown, None) };
    if tokens.know(sum) {
        return Ok(());
    }
    let Some(jwt) = &tokens.jwt else { return refused(Reason::TokenUnknown, None) };
    jwt.verify(token, sum, now).or_else(|fault| refused(Reason::TokenUnknown, Some(fault)))
}

/// The token, where the scheme is `Bearer`.
fn token_of(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ")).then(|| token.trim_ascii())
}

/// What a client is told that presents no token, or one that does not let in (RFC 6750 section 3).
pub(crate) fn challenge(realm: &str, reason: Reason, fault: Option<Fault>) -> Option<String> {
    let error = match (reason, fault) {
        (Reason::TokenMissing, _) => String::new(),
        (Reason::TokenUnknown, None) => ", error=\"invalid_token\"".to_owned(),
        (Reason::TokenUnknown, Some(fault)) => {
            format!(", error=\"invalid_token\", error_description=\"{}\"", fault.description())
        }
        _ => return None,
    };
    let realm: String = realm.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect();
    Some(format!("Bearer realm=\"{realm}\"{error}"))
}
