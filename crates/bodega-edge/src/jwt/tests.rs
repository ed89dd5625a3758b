//! Tokens and keys as they may come: each is made here, signed or not, and refused for what is wrong with it.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

/// Seconds since the epoch.
const NOW: u64 = 1_800_000_000;

enum Signer {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Hmac(Vec<u8>),
    Nobody,
}

static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    der.as_ref().to_vec()
});

impl Signer {
    fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        Self::Ec(EcdsaKeyPair::generate(algorithm).unwrap())
    }

    fn es256() -> Self {
        Self::ec(&ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    fn rsa(encoding: &'static dyn RsaEncoding) -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(&RSA).unwrap(), encoding)
    }

    /// The key that checks, with what else is said of it.
    fn jwk(&self, more: Value) -> Value {
        let mut jwk = match self {
            Self::Ec(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y)})
            }
            Self::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key().as_ref())}),
            Self::Rsa(key, _) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "n": encoded(&public.n), "e": encoded(&public.e)})
            }
            Self::Hmac(secret) => json!({"kty": "oct", "k": encoded(secret)}),
            Self::Nobody => unreachable!("nobody has no key"),
        };
        jwk.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        jwk
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ec(key) => key.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message.as_bytes()).as_ref().to_vec(),
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Hmac(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec()
            }
            Self::Nobody => Vec::new(),
        };
        format!("{message}.{}", encoded(&signature))
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rules() -> JwtRules {
    JwtRules {
        issuer: "https://id.example".to_owned(),
        audiences: vec!["shop".to_owned(), "app".to_owned()],
        algorithms: vec![],
        leeway: Duration::from_secs(30),
        claims: vec![],
    }
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": "shop", "exp": NOW + 60})
}

/// What a token says, with this in place of what it said, and without what is null.
fn claims_with(other: Value) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().append(&mut other.as_object().unwrap().clone());
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn parsed(keys: &[Value]) -> Result<Keys, String> {
    Keys::parse(&json!({"keys": keys}).to_string())
}

fn verifier(rules: JwtRules, keys: &[Value]) -> Verifier {
    Verifier::new(Arc::new(rules), Arc::new(parsed(keys).unwrap())).unwrap()
}

fn verify(verifier: &Verifier, token: &str, now_seconds: u64) -> Result<(), Fault> {
    let sum = digest(&SHA256, token.as_bytes());
    verifier.verify(token.as_bytes(), sum.as_ref().try_into().unwrap(), Timestamp::from_seconds(now_seconds))
}

#[test]
fn each_algorithm_lets_in_and_is_known_by_its_key() {
    for (algorithm, signer) in [
        ("ES256", Signer::es256()),
        ("ES384", Signer::ec(&ECDSA_P384_SHA384_FIXED_SIGNING)),
        ("EdDSA", Signer::ed()),
        ("RS256", Signer::rsa(&RSA_PKCS1_SHA256)),
        ("PS512", Signer::rsa(&RSA_PSS_SHA512)),
    ] {
        let header = json!({"alg": algorithm, "kid": "a", "typ": "at+jwt"});
        let token = signer.token(&header, &claims());
        for more in [json!({"kid": "a"}), json!({"kid": "a", "alg": algorithm, "use": "sig", "key_ops": ["verify"]})] {
            let verifier = verifier(rules(), &[signer.jwk(more)]);
            assert_eq!(verify(&verifier, &token, NOW), Ok(()), "{algorithm}");
        }
        let held_to_another = if algorithm == "RS256" { "PS256" } else { "RS256" };
        let more = json!({"kid": "a", "alg": held_to_another});
        let other = Signer::ed().jwk(json!({"kid": "b"}));
        assert_eq!(verify(&verifier(rules(), &[signer.jwk(more), other]), &token, NOW), Err(Fault::UnknownKey));
    }
}

#[test]
fn what_a_token_says_of_its_algorithm_is_not_believed() {
    let signer = Signer::es256();
    let jwk = signer.jwk(json!({"kid": "a"}));
    let verifier = verifier(rules(), std::slice::from_ref(&jwk));
    for algorithm in ["none", "None", "NONE", "", "ES521", "Ed25519"] {
        let header = json!({"alg": algorithm, "kid": "a"});
        assert_eq!(
            verify(&verifier, &Signer::Nobody.token(&header, &claims()), NOW),
            Err(Fault::Malformed),
            "{algorithm}"
        );
        assert_eq!(verify(&verifier, &signer.token(&header, &claims()), NOW), Err(Fault::Malformed), "{algorithm}");
    }
    // RFC 8725 section 2.1: what is public, in whatever form, passed off as a secret.
    let Signer::Ec(key) = &signer else { unreachable!() };
    let point = key.public_key().as_ref().to_vec();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", encoded(&point));
    for secret in [point, pem.into_bytes(), jwk.to_string().into_bytes(), vec![]] {
        for header in [json!({"alg": "HS256", "kid": "a"}), json!({"alg": "HS256"})] {
            let token = Signer::Hmac(secret.clone()).token(&header, &claims());
            assert_eq!(verify(&verifier, &token, NOW), Err(Fault::UnknownKey));
        }
    }
}

#[test]
fn algorithms_that_are_named_count_alone() {
    let (ec, ed) = (Signer::es256(), Signer::ed());
    let keys = [ec.jwk(json!({"kid": "a"})), ed.jwk(json!({"kid": "b"}))];
    let named = JwtRules { algorithms: vec!["EdDSA".to_owned()], ..rules() };
    let verifier = verifier(named.clone(), &keys);
    assert_eq!(verify(&verifier, &ed.token(&json!({"alg": "EdDSA", "kid": "b"}), &claims()), NOW), Ok(()));
    let other = ec.token(&json!({"alg": "ES256", "kid": "a"}), &claims());
    assert_eq!(verify(&verifier, &other, NOW), Err(Fault::UnknownKey));
    let nobody = Verifier::new(Arc::new(named), Arc::new(parsed(&keys[..1]).unwrap())).unwrap_err();
    assert_eq!(nobody, "none of the keys is for EdDSA");
}

#[test]
fn a_token_means_one_key() {
    let (one, other) = (Signer::es256(), Signer::es256());
    let both = verifier(rules(), &[one.jwk(json!({"kid": "a"})), other.jwk(json!({"kid": "b"}))]);
    let alone = verifier(rules(), &[one.jwk(json!({}))]);
    for (header, by_both, by_alone) in [
        (json!({"alg": "ES256", "kid": "a"}), Ok(()), Err(Fault::UnknownKey)),
        (json!({"alg": "ES256", "kid": "b"}), Err(Fault::Signature), Err(Fault::UnknownKey)),
        (json!({"alg": "ES256", "kid": "c"}), Err(Fault::UnknownKey), Err(Fault::UnknownKey)),
        (json!({"alg": "ES256"}), Err(Fault::UnknownKey), Ok(())),
        (json!({"alg": "ES384", "kid": "a"}), Err(Fault::UnknownKey), Err(Fault::UnknownKey)),
    ] {
        let token = one.token(&header, &claims());
        assert_eq!((verify(&both, &token, NOW), verify(&alone, &token, NOW)), (by_both, by_alone), "{header}");
    }
    // RFC 8725 section 3.10: what a token brings along itself proves nothing.
    let brought = json!({"alg": "ES256", "jwk": other.jwk(json!({})), "jku": "https://id.example/keys"});
    assert_eq!(verify(&alone, &other.token(&brought, &claims()), NOW), Err(Fault::Signature));
}

#[test]
fn what_is_no_token_or_was_changed_lets_nobody_in() {
    let signer = Signer::es256();
    let verifier = verifier(rules(), &[signer.jwk(json!({}))]);
    let token = signer.token(&json!({"alg": "ES256"}), &claims());
    assert_eq!(verify(&verifier, &token, NOW), Ok(()));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let later = encoded(claims_with(json!({"exp": NOW + 600})).to_string().as_bytes());
    for (changed, fault) in [
        (format!("{header}.{later}.{signature}"), Fault::Signature),
        (format!("{header}.{payload}.{}", encoded(&[0; 64])), Fault::Signature),
        (format!("{header}.{payload}.{}", encoded(&[7; 63])), Fault::Signature),
        (format!("{header}.{payload}."), Fault::Signature),
        (format!("{header}.{payload}.{signature}="), Fault::Malformed),
        (format!("{header}.{payload}"), Fault::Malformed),
        (format!("{header}.{payload}.{signature}.{signature}.a"), Fault::Malformed),
        (format!(".{payload}.{signature}"), Fault::Malformed),
        ("..".to_owned(), Fault::Malformed),
        (String::new(), Fault::Malformed),
        ("é.é.é".to_owned(), Fault::Malformed),
        ("[".repeat(8000), Fault::Malformed),
        (format!("{}.{payload}.{signature}", encoded("[".repeat(6000).as_bytes())), Fault::Malformed),
    ] {
        assert_eq!(verify(&verifier, &changed, NOW), Err(fault), "{changed}");
    }
    for header in [
        json!({"alg": "ES256", "crit": ["b64"], "b64": false}),
        json!({"alg": "ES256", "crit": []}),
        json!({"alg": "ES256", "typ": "dpop+jwt"}),
        json!({"alg": "ES256", "typ": "logout+jwt"}),
        json!({"typ": "JWT"}),
    ] {
        assert_eq!(verify(&verifier, &signer.token(&header, &claims()), NOW), Err(Fault::Malformed), "{header}");
    }
    for payload in [json!([]), json!("a"), json!({"exp": "soon"}), json!({"exp": {}})] {
        let token = signer.token(&json!({"alg": "ES256"}), &payload);
        assert_eq!(verify(&verifier, &token, NOW), Err(Fault::Malformed), "{payload}");
    }
}

#[test]
fn what_a_token_has_to_say() {
    let signer = Signer::ed();
    let asked = vec![("scope".to_owned(), "predict read".to_owned()), ("roles".to_owned(), "shop".to_owned())];
    let plain = verifier(rules(), &[signer.jwk(json!({}))]);
    let asking = verifier(JwtRules { claims: asked, ..rules() }, &[signer.jwk(json!({}))]);
    let within = json!({"scope": "read predict", "roles": "shop"});
    for (verifier, other, expected) in [
        (&plain, json!({}), Ok(())),
        (&plain, json!({"exp": null}), Err(Fault::NoExpiry)),
        (&plain, json!({"exp": -1}), Err(Fault::Malformed)),
        (&plain, json!({"exp": 1e300}), Err(Fault::Malformed)),
        (&plain, json!({"exp": NOW * 1000}), Err(Fault::Malformed)),
        // Within the leeway, and at its end.
        (&plain, json!({"exp": NOW - 29}), Ok(())),
        (&plain, json!({"exp": 0.5 + (NOW - 30) as f64}), Ok(())),
        (&plain, json!({"exp": NOW - 30}), Err(Fault::Expired)),
        (&plain, json!({"nbf": NOW + 30}), Ok(())),
        (&plain, json!({"nbf": NOW + 31}), Err(Fault::NotYetValid)),
        (&plain, json!({"nbf": "now"}), Err(Fault::Malformed)),
        (&plain, json!({"iss": null}), Err(Fault::Issuer)),
        (&plain, json!({"iss": "https://id.example/"}), Err(Fault::Issuer)),
        (&plain, json!({"iss": ["https://id.example"]}), Err(Fault::Malformed)),
        (&plain, json!({"aud": null}), Err(Fault::Audience)),
        (&plain, json!({"aud": "shops"}), Err(Fault::Audience)),
        (&plain, json!({"aud": []}), Err(Fault::Audience)),
        (&plain, json!({"aud": ["other", "app"]}), Ok(())),
        (&plain, json!({"aud": 1}), Err(Fault::Malformed)),
        (&asking, within.clone(), Ok(())),
        (&asking, json!({"scope": "predict read", "roles": ["a", "shop"]}), Ok(())),
        (&asking, json!({"scope": "predictions read", "roles": "shop"}), Err(Fault::Claim)),
        (&asking, json!({"scope": "read", "roles": "shop"}), Err(Fault::Claim)),
        (&asking, json!({"scope": "predict read", "roles": "shop app"}), Err(Fault::Claim)),
        (&asking, json!({"scope": "predict read", "roles": true}), Err(Fault::Claim)),
        (&asking, json!({"scope": "predict read"}), Err(Fault::Claim)),
    ] {
        let token = signer.token(&json!({"alg": "EdDSA"}), &claims_with(other.clone()));
        assert_eq!(verify(verifier, &token, NOW), expected, "{other}");
    }
    // RFC 7519 section 4: a claim that is there twice is refused.
    let twice = format!(r#"{{"iss":"https://id.example","aud":"shop","exp":1,"exp":{}}}"#, NOW + 60);
    let message = format!("{}.{}", encoded(br#"{"alg":"EdDSA"}"#), encoded(twice.as_bytes()));
    let Signer::Ed(key) = &signer else { unreachable!() };
    let token = format!("{message}.{}", encoded(key.sign(message.as_bytes()).as_ref()));
    assert_eq!(verify(&plain, &token, NOW), Err(Fault::Malformed));
}

#[test]
fn what_was_checked_once_lets_in_until_it_expires_and_no_longer() {
    let signer = Signer::ed();
    let verifier = verifier(rules(), &[signer.jwk(json!({}))]);
    let token = signer.token(&json!({"alg": "EdDSA"}), &claims());
    let sum = digest(&SHA256, token.as_bytes());
    let sum: &[u8; 32] = sum.as_ref().try_into().unwrap();
    assert_eq!(verifier.verified.until(sum), None);
    for _ in 0..2 {
        assert_eq!(verify(&verifier, &token, NOW), Ok(()));
        assert_eq!(verifier.verified.until(sum), Some(Timestamp::from_seconds(NOW + 90)));
    }
    assert_eq!(verify(&verifier, &token, NOW + 89), Ok(()));
    assert_eq!(verify(&verifier, &token, NOW + 90), Err(Fault::Expired));
    // What was refused is not remembered: a token whose time comes lets in then.
    let early = signer.token(&json!({"alg": "EdDSA"}), &claims_with(json!({"nbf": NOW + 40})));
    assert_eq!(verify(&verifier, &early, NOW), Err(Fault::NotYetValid));
    assert_eq!(verify(&verifier, &early, NOW + 10), Ok(()));
}

#[test]
fn what_is_secret_or_no_key_is_refused_by_its_name_alone() {
    let ec = Signer::es256();
    let with = |more: Value| ec.jwk(more);
    let secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";
    for (keys, expected) in [
        (vec![with(json!({"kid": "a", "d": secret}))], "the key \"a\" is private, it holds \"d\""),
        (vec![with(json!({})), with(json!({"d": secret}))], "key number 2 is private"),
        (vec![with(json!({"p": null}))], "key number 1 is private, it holds \"p\""),
        (vec![json!({"kty": "oct", "kid": "b", "k": secret})], "the key \"b\" is a shared secret"),
        (vec![json!({"kty": "oct"})], "key number 1 is a shared secret"),
        (vec![json!(secret)], "key number 1 is none: a key is an object"),
        (vec![json!({"kty": "RSA", "n": secret})], "key number 1 is no key"),
        (vec![json!({"kty": "RSA", "n": secret, "e": "AQAB"})], "key number 1 has not a modulus of 2048 to 8192 bits"),
        (vec![json!({"kty": "RSA", "n": encoded(&[255; 2000]), "e": "AQAB"})], "key number 1 has not a modulus"),
        (vec![with(json!({"x": secret}))], "key number 1 has not a point on its curve"),
        (vec![with(json!({"x": "*"}))], "key number 1 is no key"),
        (vec![with(json!({"use": 1}))], "key number 1 is no key"),
        (vec![with(json!({"kid": "a"})), with(json!({"kid": "a"}))], "the key \"a\" is there twice"),
        (vec![with(json!({})), with(json!({}))], "key number 2 is there twice"),
        (vec![], "no key is there"),
        (vec![with(json!({"use": "enc"}))], "no key is there"),
        (vec![with(json!({"key_ops": ["encrypt"]}))], "no key is there"),
        (vec![with(json!({"alg": "HS256"}))], "no key is there"),
        (vec![with(json!({"alg": "RS256"}))], "no key is there"),
        (vec![json!({"kty": "EC", "crv": "P-521", "x": secret, "y": secret})], "no key is there"),
        (vec![json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": secret})], "no key is there"),
        ((0..101).map(|n| with(json!({"kid": n.to_string()}))).collect(), "more than 100 keys"),
    ] {
        let error = parsed(&keys).unwrap_err();
        assert!(error.starts_with(expected) && !error.contains("c2VjcmV0"), "{expected}: {error}");
    }
    for text in ["", "secret", "[]", "{}", r#"{"keys": "secret"}"#, r#"{"keys": {}}"#, &ec.jwk(json!({})).to_string()] {
        let error = Keys::parse(text).unwrap_err();
        assert!(error.starts_with("line ") && !error.contains("secret"), "{error}");
    }
    // RFC 7517 section 5: what is for something else stands beside what counts.
    let enough = parsed(&[json!({"kty": "AKP"}), with(json!({"use": "enc"})), with(json!({"kid": "a"}))]).unwrap();
    assert_eq!(enough.algorithms().collect::<Vec<_>>(), [Algorithm::ES256]);
    assert!(parsed(&(0..100).map(|n| with(json!({"kid": n.to_string()}))).collect::<Vec<_>>()).is_ok());
}
