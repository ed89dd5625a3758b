//! The file of an issuer's public keys: a JWK Set, RFC 7517 section 5.
//!
//! Read by `jsonwebtoken`. Looked at here is what it leaves out: that nothing in the file is secret, that a key is what
//! it is said to be, and that of a token one key at most is meant. No error says what stands in the file.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

/// The keys that check signatures.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it may be used with: as its `alg` says, else all that go with its kind.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads a file. Keys that are for something else, or of a kind that is not known here, are passed over (RFC 7517
    /// section 5).
    ///
    /// # Errors
    /// In words, with the key's `kid` or number, and without what stands there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let set: KeySet = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("line {line}, column {column}: a set of keys is JSON, {{\"keys\": [...]}} (RFC 7517 section 5)")
        })?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("more than {MAX_KEYS} keys"));
        }
        let mut keys: Vec<Key> = Vec::new();
        for (index, written) in set.keys.iter().enumerate() {
            let name = name_of(written, index);
            let Some(key) = read(written).map_err(|what| format!("{name} {what}"))? else { continue };
            if keys.iter().any(|other| other.is_mistakable_for(&key)) {
                return Err(format!("{name} is there twice: nothing tells which of them a token means"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err("no key is there by which an edge could check a signature".to_owned());
        }
        Ok(Self { keys })
    }

    /// The key that a token means. One that names none means the only one that could be.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut meant = self
            .keys
            .iter()
            .filter(|key| key.algorithms.contains(&algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id)));
        let key = meant.next()?;
        meant.next().is_none().then_some(&key.key)
    }

    /// What the keys may be used with.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.keys.iter().flat_map(|key| &key.algorithms).copied()
    }
}

impl Key {
    fn is_mistakable_for(&self, other: &Self) -> bool {
        self.id == other.id && self.algorithms.iter().any(|algorithm| other.algorithms.contains(algorithm))
    }
}

/// How an error calls a key.
fn name_of(written: &Value, index: usize) -> String {
    match written.get("kid").and_then(Value::as_str) {
        Some(id) if id.chars().count() <= MAX_SHOWN => format!("the key {id:?}"),
        _ => format!("key number {}", index + 1),
    }
}

/// The key, if signatures can be checked by it.
fn read(written: &Value) -> Result<Option<Key>, String> {
    let Some(members) = written.as_object() else { return Err("is none: a key is an object".to_owned()) };
    let kind = members.get("kty").and_then(Value::as_str).unwrap_or_default();
    if kind == "oct" {
        return Err("is a shared secret: who has it could sign; give public keys alone".to_owned());
    }
    if let Some(secret) = SECRET_MEMBERS.iter().find(|name| members.contains_key(**name)) {
        return Err(format!("is private, it holds {secret:?}: who has it could sign; give public keys alone"));
    }
    let malformed = || "is no key as RFC 7518 section 6 has them".to_owned();
    let key: Jwk = serde_json::from_value(written.clone()).map_err(|_| malformed())?;
    let mut algorithms: Vec<Algorithm> = match &key.algorithm {
        AlgorithmParameters::RSA(_) => AlgorithmFamily::Rsa.algorithms().to_vec(),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return Ok(None),
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => return Ok(None),
        },
        // Read as this is also what lacks a part.
        _ if is_known(kind, members.get("crv").and_then(Value::as_str)) => return Err(malformed()),
        _ => return Ok(None),
    };
    if let Some(only) = key.common.key_algorithm {
        algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
    }
    let (meant, operations) = (&key.common.public_key_use, &key.common.key_operations);
    let is_for_signatures = meant.as_ref().is_none_or(|meant| *meant == PublicKeyUse::Signature)
        && operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !is_for_signatures || algorithms.is_empty() {
        return Ok(None);
    }
    let decoding = DecodingKey::from_jwk(&key).map_err(|_| malformed())?;
    if !is_sound(&decoding, algorithms[0]) {
        let right = if kind == "RSA" { "a modulus of 2048 to 8192 bits" } else { "a point on its curve" };
        return Err(format!("has not {right}"));
    }
    Ok(Some(Key { id: key.common.key_id, algorithms, key: decoding }))
}

/// Whether a key of this kind would have been read, were it whole.
fn is_known(kind: &str, curve: Option<&str>) -> bool {
    match kind {
        "RSA" => true,
        "EC" => matches!(curve, None | Some("P-256" | "P-384")),
        "OKP" => matches!(curve, None | Some("Ed25519")),
        _ => false,
    }
}

/// Whether it is a key of its kind: a point on its curve (RFC 8725 section 3.4), or a modulus that is neither short nor
/// so long that it holds up a thread.
fn is_sound(key: &DecodingKey, algorithm: Algorithm) -> bool {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            let zeros = n.iter().take_while(|byte| **byte == 0).count();
            let n_bits = n[zeros..].first().map_or(0, |first| (n.len() - zeros) * 8 - first.leading_zeros() as usize);
            (2048..=8192).contains(&n_bits)
        }
        DecodingKeyKind::SecretOrDer(point) => match algorithm {
            Algorithm::ES256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok(),
            Algorithm::ES384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).is_ok(),
            _ => ParsedPublicKey::new(&ED25519, point).is_ok(),
        },
    }
}

const MAX_KEYS: usize = 100;
const MAX_SHOWN: usize = 100;
/// RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2.
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
