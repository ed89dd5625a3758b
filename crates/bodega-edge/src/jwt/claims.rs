//! What a token says, once its signature was found right: RFC 7519 section 4.1.

use std::collections::BTreeMap;

use bodega_semantics::Timestamp;
use bodega_snapshot::{Fault, JwtRules};
use serde::Deserialize;
use serde_json::Value;

/// The claims that have rules of their own, and the others.
#[derive(Deserialize)]
pub(super) struct Claims {
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// RFC 7519 section 4.1.3: a lone text, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// Until when the token lets in.
    ///
    /// # Errors
    /// What it does not say, or says otherwise.
    pub(super) fn check(&self, rules: &JwtRules, now: Timestamp) -> Result<Timestamp, Fault> {
        let until = time_of(self.exp.ok_or(Fault::NoExpiry)?)?.plus(rules.leeway);
        if now >= until {
            return Err(Fault::Expired);
        }
        if let Some(from) = self.nbf
            && now.plus(rules.leeway) < time_of(from)?
        {
            return Err(Fault::NotYetValid);
        }
        if self.iss.as_ref() != Some(&rules.issuer) {
            return Err(Fault::Issuer);
        }
        if !self.aud.as_ref().is_some_and(|audience| audience.is_among(&rules.audiences)) {
            return Err(Fault::Audience);
        }
        let lacks =
            |(name, wanted): &(String, String)| !self.others.get(name).is_some_and(|said| says(name, said, wanted));
        if rules.claims.iter().any(lacks) { Err(Fault::Claim) } else { Ok(until) }
    }
}

impl Audience {
    fn is_among(&self, wanted: &[String]) -> bool {
        match self {
            Self::One(name) => wanted.contains(name),
            Self::Several(names) => names.iter().any(|name| wanted.contains(name)),
        }
    }
}

/// Whether a claim says what is wanted: as it stands, as one of a list, or as words of a scope (RFC 8693 section 4.2).
fn says(name: &str, said: &Value, wanted: &str) -> bool {
    match said {
        Value::String(said) if name == "scope" => {
            wanted.split(' ').all(|word| said.split(' ').any(|said| said == word))
        }
        Value::String(said) => said == wanted,
        Value::Array(several) => several.iter().any(|said| said == wanted),
        _ => false,
    }
}

/// RFC 7519 section 2: seconds since the epoch, perhaps with a fraction.
fn time_of(seconds: f64) -> Result<Timestamp, Fault> {
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return Err(Fault::Malformed);
    }
    Ok(Timestamp((seconds * 1000.0) as u64))
}

/// The year 9999: what lies behind is no time, but milliseconds or a mistake.
const MAX_SECONDS: f64 = 253_402_300_799.0;
