//! Whether a signed token lets in: its signature by `jsonwebtoken`, what it says by the rules of its behavior.
//!
//! Start at `Verifier`. `keys` is the file of the issuer's public keys, `claims` what a token says, `verified` which
//! tokens have been checked already: a hit costs no signature twice. Nothing of a token is kept or written anywhere.

use std::sync::Arc;

use bodega_semantics::Timestamp;
use bodega_snapshot::{Fault, JwtRules, Verify};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};

mod claims;
mod keys;
#[cfg(test)]
mod tests;
mod verified;

use claims::Claims;
pub use keys::Keys;
use verified::Verified;

/// Checks the tokens of a behavior. It goes with the snapshot, and what it has checked with it: a key that is gone counts
/// no longer.
#[derive(Debug)]
pub struct Verifier {
    rules: Arc<JwtRules>,
    keys: Arc<Keys>,
    verified: Verified,
}

impl Verifier {
    /// Checks by these rules, with these keys.
    ///
    /// # Errors
    /// In words, if none of the keys is for an algorithm that counts: nobody could ask.
    pub fn new(rules: Arc<JwtRules>, keys: Arc<Keys>) -> Result<Self, String> {
        if !keys.algorithms().any(|algorithm| counts(&rules, algorithm)) {
            return Err(format!("none of the keys is for {}", rules.algorithms.join(", ")));
        }
        Ok(Self { rules, keys, verified: Verified::new() })
    }

    /// Until when the token lets in.
    fn check(&self, token: &[u8], now: Timestamp) -> Result<Timestamp, Fault> {
        let header = decode_header(token).map_err(|_| Fault::Malformed)?;
        if !is_for_access(&header) {
            return Err(Fault::Malformed);
        }
        let key = Some(header.alg)
            .filter(|algorithm| counts(&self.rules, *algorithm))
            .and_then(|algorithm| self.keys.find(header.kid.as_deref(), algorithm))
            .ok_or(Fault::UnknownKey)?;
        let decoded = decode::<Claims>(token, key, &signature_alone(header.alg));
        let claims = decoded.map_err(|error| fault_of(error.kind()))?.claims;
        claims.check(&self.rules, now)
    }
}

impl Verify for Verifier {
    fn verify(&self, token: &[u8], digest: &[u8; 32], now: Timestamp) -> Result<(), Fault> {
        let until = match self.verified.until(digest) {
            Some(until) => until,
            None => {
                let until = self.check(token, now)?;
                self.verified.remember(digest, until);
                until
            }
        };
        if now < until { Ok(()) } else { Err(Fault::Expired) }
    }
}

/// RFC 8725 section 3.1: what the token says of its algorithm counts only where the configuration allows it.
fn counts(rules: &JwtRules, algorithm: Algorithm) -> bool {
    rules.algorithms.is_empty() || rules.algorithms.iter().any(|name| name.parse() == Ok(algorithm))
}

/// RFC 8725 section 3.11: a token that says that it is something else, a proof of possession or a logout, lets nobody in.
/// RFC 7515 section 4.1.11: an extension that has to be understood is not, since none is.
fn is_for_access(header: &Header) -> bool {
    let is_known = |written: &str| KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(written));
    header.crit.is_none() && header.typ.as_deref().is_none_or(is_known)
}

/// Time and names are for `claims`, which takes the time as an argument.
fn signature_alone(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

fn fault_of(kind: &ErrorKind) -> Fault {
    match kind {
        ErrorKind::InvalidSignature => Fault::Signature,
        _ => Fault::Malformed,
    }
}

/// RFC 7519 section 5.1 and RFC 9068 section 2.1, with and without what a media type begins with.
const KINDS: [&str; 4] = ["JWT", "application/jwt", "at+jwt", "application/at+jwt"];
