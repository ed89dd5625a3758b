//! An answer is never given to another credential than the one it was made for, unless the behavior says that it may be.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use bodega_edge::Clock as _;
use bodega_semantics::{Head, Outcome, Reason, Timestamp};
use bodega_snapshot::{Digests, Fault, Verify};
use bodega_testkit::bench::{Bench, Got, TestRequest, snapshot_json};
use serde_json::{Value, json};

fn bench(policy: &Value, authorization: &str) -> Bench {
    Bench::new(&snapshot_json(policy, &json!({"authorization": {"kind": authorization}}), 1))
}

/// Sends a GET with these fields; should the origin be asked, it answers with `body`.
async fn get(bench: &Bench, fields: &[(&str, &str)], body: &str) -> Got {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(200, &[], Some(body.len() as u64));
    hand.piece(body.as_bytes());
    hand.end();
    let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    bench.send(&TestRequest { headers, ..TestRequest::get("/x") }).await
}

#[tokio::test]
async fn by_key_each_credential_has_its_own_entry_and_reaches_the_origin() {
    let bench = bench(&json!({}), "key");
    for (number, credential) in [None, Some("Bearer a"), Some("Bearer b"), Some("")].into_iter().enumerate() {
        let fields: Vec<(&str, &str)> = credential.iter().map(|value| ("Authorization", *value)).collect();
        let answer = number.to_string();
        assert_eq!(get(&bench, &fields, &answer).await.outcome, Outcome::Miss, "{credential:?}");
        let asked = bench.origin.asked();
        assert_eq!(asked.len(), number + 1);
        assert_eq!(asked[number].fields.first("authorization"), credential.map(str::as_bytes));
    }
}

#[tokio::test]
async fn by_key_a_credential_gets_its_own_answer_again() {
    let bench = bench(&json!({"forward": {"headers": ["authorization"]}}), "key");
    for (credential, body) in [("Bearer a", "of a"), ("Bearer b", "of b")] {
        assert_eq!(get(&bench, &[("Authorization", credential)], body).await.body, body.as_bytes());
    }
    for (credential, body) in [("Bearer b", "of b"), ("Bearer a", "of a")] {
        let got = get(&bench, &[("Authorization", credential), ("Cookie", "session=1")], "nobody's").await;
        assert_eq!((got.outcome, &got.body[..]), (Outcome::Hit, body.as_bytes()));
    }
}

#[tokio::test]
async fn by_pass_the_origin_is_sent_no_credential_and_its_answer_is_for_all() {
    let bench = bench(&json!({}), "pass");
    assert_eq!(get(&bench, &[("Authorization", "Bearer a")], "all").await.outcome, Outcome::Miss);
    assert!(!bench.origin.asked()[0].fields.has("authorization"));
    assert_eq!(get(&bench, &[("Authorization", "Bearer b")], "none").await.body, b"all");
}

/// SHA-256 of `token-a` and `token-b`.
const TOKENS: &str = "a70bf50e531ce1a817561f2f5d5b6645d4e806becf58ccc5e8cf6b8045a090a8 a
49e2bb7eab54cf09b409ffafd3fa8a8a955a60eb972faacaefbed3dbd3207132 b";

fn guarded(policy: &Value, forward: bool, more: &Value) -> Bench {
    let mut behavior = json!({"authorization": {"kind": "edge", "tokens": "clients.tokens", "forward": forward}});
    for (name, value) in more.as_object().unwrap() {
        behavior[name] = value.clone();
    }
    let bench = Bench::new(&snapshot_json(policy, &behavior, 1));
    let digests = Arc::new(Digests::parse(TOKENS).unwrap());
    for tokens in bench.worker.edge.snapshot.load().token_files().into_values().flatten() {
        tokens.learn(Arc::clone(&digests));
    }
    bench
}

#[tokio::test]
async fn by_edge_whoever_has_a_token_shares_and_nobody_else_sees_anything() {
    for (policy, forward) in [
        (json!({}), false),
        (json!({}), true),
        (json!({"forward": {"headers": ["authorization"]}}), false),
        (json!({"forward": {"all_headers": true}}), false),
        (json!({"key": {"headers": ["authorization"]}}), false),
    ] {
        let is_keyed = policy.pointer("/key/headers").is_some();
        let bench = guarded(&policy, forward, &json!({}));
        let a = [("Authorization", "Bearer token-a")];
        assert_eq!(get(&bench, &a, "shared").await.body, b"shared");
        let sent = bench.origin.asked()[0].fields.first("authorization").map(<[u8]>::to_vec);
        assert_eq!(sent.as_deref(), forward.then_some(&b"Bearer token-a"[..]), "{policy}");
        let got = get(&bench, &[("authorization", "bearer  token-b"), ("Cookie", "a=1")], "anew").await;
        assert_eq!(got.outcome, if is_keyed { Outcome::Miss } else { Outcome::Hit }, "{policy}");
        let n_asked = bench.origin.asked().len();
        for (fields, reason) in [
            (&[][..], Reason::TokenMissing),
            (&[("Cookie", "Bearer token-a")], Reason::TokenMissing),
            (&[("Authorization", "")], Reason::TokenMissing),
            (&[("Authorization", "Bearer")], Reason::TokenMissing),
            (&[("Authorization", "Basic token-a")], Reason::TokenMissing),
            (&[("Authorization", "Bearer ")], Reason::TokenUnknown),
            (&[("Authorization", "Bearer token-c")], Reason::TokenUnknown),
            (&[("Authorization", "Bearer Token-a")], Reason::TokenUnknown),
            (&[("Authorization", "Bearer token-a token-b")], Reason::TokenUnknown),
            (&[("Authorization", "Bearer token-a"), ("Authorization", "Bearer token-a")], Reason::TokenUnknown),
        ] {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
                let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                let got = bench.send(&TestRequest { method: method.into(), headers, ..TestRequest::get("/x") }).await;
                assert_eq!((got.status, got.outcome, got.reason), (401, Outcome::Refused, reason), "{fields:?}");
                let is_unknown = reason == Reason::TokenUnknown;
                let challenge = if is_unknown {
                    &b"Bearer realm=\"bodega\", error=\"invalid_token\""[..]
                } else {
                    b"Bearer realm=\"bodega\""
                };
                assert_eq!(got.fields.first("www-authenticate"), Some(challenge));
                assert!(!got.fields.has("age") && !String::from_utf8_lossy(&got.body).contains("shared"));
            }
        }
        assert_eq!(bench.origin.asked().len(), n_asked);
    }
}

#[tokio::test]
async fn by_edge_what_passes_carries_no_token_either() {
    for (policy, method, forward) in
        [(json!({"store": false}), "GET", false), (json!({}), "DELETE", false), (json!({}), "DELETE", true)]
    {
        let bench = guarded(&policy, forward, &json!({}));
        let mut hand = bench.origin.will_answer_by_hand();
        hand.head(200, &[], Some(0));
        hand.end();
        let headers = vec![("Authorization".to_owned(), "Bearer token-a".to_owned())];
        let request = TestRequest { method: method.into(), headers, ..TestRequest::get("/x") };
        assert_eq!(bench.send(&request).await.outcome, Outcome::Pass);
        assert_eq!(bench.origin.asked()[0].fields.has("authorization"), forward);
    }
}

#[tokio::test]
async fn by_edge_answers_to_bodies_are_shared_too() {
    let body_key = json!({"body_key": {"form": "raw", "ignored": [], "max_bytes": 100}});
    let bench = guarded(&json!({}), false, &body_key);
    for (token, outcome) in [("token-a", Outcome::Miss), ("token-b", Outcome::Hit)] {
        let mut hand = bench.origin.will_answer_by_hand();
        hand.head(200, &[], Some(3));
        hand.piece(b"one");
        hand.end();
        let headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
        let request = TestRequest { method: "POST".into(), body: b"x".to_vec(), headers, ..TestRequest::get("/x") };
        let got = bench.send(&request).await;
        assert_eq!((got.outcome, &got.body[..]), (outcome, &b"one"[..]));
    }
    assert!(!bench.origin.asked()[0].fields.has("authorization"));
}

#[tokio::test]
async fn by_edge_without_a_file_that_was_read_nobody_may() {
    let behavior = json!({"authorization": {"kind": "edge", "tokens": "clients.tokens", "forward": false}});
    let bench = Bench::new(&snapshot_json(&json!({}), &behavior, 1));
    assert_eq!(get(&bench, &[("Authorization", "Bearer token-a")], "x").await.status, 401);
}

/// Takes `signed` until then.
#[derive(Debug)]
struct Until(Timestamp);

impl Verify for Until {
    fn verify(&self, token: &[u8], _digest: &[u8; 32], now: Timestamp) -> Result<(), Fault> {
        match token {
            b"signed" if now < self.0 => Ok(()),
            b"signed" => Err(Fault::Expired),
            _ => Err(Fault::Malformed),
        }
    }
}

#[tokio::test]
async fn by_edge_signed_tokens_let_in_beside_those_of_the_file_and_until_they_expire() {
    let jwt = json!({
        "keys": "issuer.jwks.json", "issuer": "https://id.example", "audience": ["shop"], "algorithms": [],
        "leeway_seconds": 30, "claims": {},
    });
    for tokens in [json!("clients.tokens"), Value::Null] {
        let authorization = json!({"kind": "edge", "tokens": tokens, "jwt": jwt, "forward": false});
        let bench = Bench::new(&snapshot_json(&json!({}), &json!({"authorization": authorization}), 1));
        let ask = async |token: &str| {
            let headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
            bench.send(&TestRequest { headers, ..TestRequest::get("/x") }).await
        };
        assert_eq!(ask("signed").await.status, 401, "before the keys are read");
        let snapshot = bench.worker.edge.snapshot.load();
        for jwt in snapshot.key_files().into_values().flatten() {
            jwt.learn(Box::new(Until(bench.clock.now().plus(Duration::from_secs(60)))));
        }
        for known in snapshot.token_files().into_values().flatten() {
            known.learn(Arc::new(Digests::parse(TOKENS).unwrap()));
        }
        let first = get(&bench, &[("Authorization", "Bearer signed")], "shared").await;
        assert_eq!(first.outcome, Outcome::Miss);
        assert!(!bench.origin.asked()[0].fields.has("authorization"));
        assert_eq!(ask("token-a").await.status, if tokens.is_null() { 401 } else { 200 });
        bench.clock.advance(Duration::from_secs(59));
        assert_eq!(ask("signed").await.body, b"shared");
        bench.clock.advance(Duration::from_secs(1));
        let long = "a".repeat(8193);
        for (token, description) in [
            ("signed", ", error_description=\"the token has expired\""),
            ("other", ", error_description=\"the token is malformed\""),
            // Longer ones are not even looked at.
            (&long, ""),
        ] {
            let got = ask(token).await;
            assert_eq!((got.status, got.reason), (401, Reason::TokenUnknown));
            let told = format!("Bearer realm=\"bodega\", error=\"invalid_token\"{description}");
            assert_eq!(got.fields.first("www-authenticate"), Some(told.as_bytes()));
        }
    }
}
