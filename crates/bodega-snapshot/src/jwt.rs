//! What signed tokens have to say before they let in: RFC 7519, under the advice of RFC 8725.
//!
//! The rules alone. Keys are in a file that whoever puts a snapshot in force reads, and signatures are no business of a
//! crate that is pure: `Verify` is what stands in for both.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bodega_semantics::Timestamp;

/// The signed tokens of a behavior.
#[derive(Debug)]
pub struct Jwt {
    /// The file of the issuer's public keys (RFC 7517 section 5). Whoever puts a snapshot in force reads it.
    pub keys: String,
    /// What a token has to say.
    pub rules: Arc<JwtRules>,
    verifier: OnceLock<Box<dyn Verify>>,
}

/// What a token has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRules {
    /// Who has made it.
    pub issuer: String,
    /// Whom it may be for: one of them is enough.
    pub audiences: Vec<String>,
    /// How it may be signed, some of `ALGORITHMS`; none: as its key says.
    pub algorithms: Vec<String>,
    /// How far the issuer's clock may be from this one.
    pub leeway: Duration,
    /// What else it has to say, by name.
    pub claims: Vec<(String, String)>,
}

/// Checks signed tokens against rules and keys that it was made with.
pub trait Verify: Debug + Send + Sync {
    /// Checks a token whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// What is wrong with it.
    fn verify(&self, token: &[u8], digest: &[u8; 32], now: Timestamp) -> Result<(), Fault>;
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is no JWT, or of a kind that is for something else.
    Malformed,
    /// None of the keys is meant by it, or none that counts for its algorithm.
    UnknownKey,
    /// Its key has not signed this.
    Signature,
    /// It does not say when it expires, and so it never would.
    NoExpiry,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is of another issuer.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It does not say what else is asked for.
    Claim,
}

impl Jwt {
    /// Those of keys that are still to be read: until then nobody has signed anything.
    pub(crate) fn of(keys: String, rules: JwtRules) -> Self {
        Self { keys, rules: Arc::new(rules), verifier: OnceLock::new() }
    }

    /// Says once how tokens are checked.
    pub fn learn(&self, verifier: Box<dyn Verify>) {
        // A snapshot is put in force once.
        let _ = self.verifier.set(verifier);
    }

    /// Checks a token whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, token: &[u8], digest: &[u8; 32], now: Timestamp) -> Result<(), Fault> {
        self.verifier.get().map_or(Err(Fault::UnknownKey), |verifier| verifier.verify(token, digest, now))
    }
}

impl Fault {
    /// What the client is told: the `error_description` of RFC 6750 section 3. Nothing of the token is in it.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Malformed => "the token is malformed",
            Self::UnknownKey => "the token is signed with an unknown key",
            Self::Signature => "the signature of the token is wrong",
            Self::NoExpiry => "the token does not say when it expires",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not yet valid",
            Self::Issuer => "the token is of another issuer",
            Self::Audience => "the token is for another audience",
            Self::Claim => "the token lacks a claim that is asked for",
        }
    }
}

/// The algorithms that count (RFC 7518 section 3.1, RFC 8037): with a key that may be public. Never `none`, and none with
/// a shared secret, as which a public key could be passed off (RFC 8725 section 2.1).
pub const ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
