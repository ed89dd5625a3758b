//! Answers to POST and QUERY, kept by what the requests bring.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::time::Duration;

use bodega_edge::invalidate::{Force, Selector};
use bodega_semantics::{Head, Outcome, Reason};
use bodega_testkit::bench::{Bench, Got, TestRequest, snapshot_json};
use serde_json::{Value, json};

const TYPE: (&str, &str) = ("Content-Type", "application/json");

fn bench(body_key: &Value) -> Bench {
    bench_under(&json!({}), &json!({"body_key": body_key}))
}

fn bench_under(policy: &Value, behavior: &Value) -> Bench {
    Bench::new(&snapshot_json(policy, behavior, 1))
}

fn by_json() -> Value {
    json!({"form": "json", "ignored": ["request_id"], "max_bytes": 100})
}

fn by_bytes() -> Value {
    json!({"form": "raw", "ignored": [], "max_bytes": 100})
}

fn post(body: &str, fields: &[(&str, &str)]) -> TestRequest {
    TestRequest {
        method: "POST".to_owned(),
        body: body.as_bytes().to_vec(),
        headers: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..TestRequest::get("/search")
    }
}

/// Answers the next question with 200, these fields and this body.
fn will_answer(bench: &Bench, fields: &[(&str, &str)], body: &str) {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(200, fields, Some(body.len() as u64));
    hand.piece(body.as_bytes());
    hand.end();
}

async fn send(bench: &Bench, request: &TestRequest) -> Got {
    let got = bench.send(request).await;
    assert_eq!(got.status, 200, "{:?}", String::from_utf8_lossy(&got.body));
    got
}

/// What came of a request before which the store held the answer to `{"q": 1}`.
async fn after_one(rules: &Value, request: &TestRequest) -> (Outcome, Reason, Got) {
    let bench = bench(rules);
    will_answer(&bench, &[], "one");
    assert_eq!(send(&bench, &post(r#"{"q": 1}"#, &[TYPE])).await.outcome, Outcome::Miss);
    will_answer(&bench, &[], "other");
    let got = send(&bench, request).await;
    let body: &[u8] = if got.outcome == Outcome::Hit { b"one" } else { b"other" };
    assert_eq!(got.body, body);
    if got.outcome != Outcome::Hit {
        // Whatever came reaches the origin byte by byte, by its method.
        let asked = bench.origin.asked().pop().unwrap();
        assert_eq!(asked.body, request.body);
        assert_eq!(asked.method, if request.method.is_empty() { "GET" } else { &request.method });
    }
    (got.outcome, got.reason, got)
}

#[tokio::test]
async fn equal_values_of_json_are_one_question() {
    let utf8 = ("Content-Type", "application/json; charset=utf-8");
    for (name, request, outcome, reason) in [
        ("the same", post(r#"{"q": 1}"#, &[TYPE]), Outcome::Hit, Reason::Fresh),
        ("spaces", post("{ \"q\":1 }\n", &[TYPE]), Outcome::Hit, Reason::Fresh),
        ("numbers", post(r#"{"q": 1.0e0}"#, &[TYPE]), Outcome::Hit, Reason::Fresh),
        ("escapes", post(r#"{"\u0071": 1}"#, &[TYPE]), Outcome::Hit, Reason::Fresh),
        ("what is left out", post(r#"{"request_id": "a", "q": 1}"#, &[TYPE]), Outcome::Hit, Reason::Fresh),
        ("the type's case", post(r#"{"q": 1}"#, &[("Content-Type", "Application/JSON")]), Outcome::Hit, Reason::Fresh),
        ("ranges are for GET", post(r#"{"q": 1}"#, &[TYPE, ("Range", "bytes=1-")]), Outcome::Hit, Reason::Fresh),
        ("another value", post(r#"{"q": 2}"#, &[TYPE]), Outcome::Miss, Reason::UriMiss),
        ("a text", post(r#"{"q": "1"}"#, &[TYPE]), Outcome::Miss, Reason::UriMiss),
        ("another member", post(r#"{"q": 1, "p": null}"#, &[TYPE]), Outcome::Miss, Reason::UriMiss),
        ("another type", post(r#"{"q": 1}"#, &[utf8]), Outcome::Miss, Reason::UriMiss),
        (
            "another URL",
            TestRequest { target: "/search?a".into(), ..post(r#"{"q": 1}"#, &[TYPE]) },
            Outcome::Miss,
            Reason::UriMiss,
        ),
        (
            "QUERY",
            TestRequest { method: "QUERY".into(), ..post(r#"{"q": 1}"#, &[TYPE]) },
            Outcome::Miss,
            Reason::UriMiss,
        ),
        ("GET", TestRequest::get("/search"), Outcome::Miss, Reason::UriMiss),
        (
            "GET with a body",
            TestRequest { method: "GET".into(), ..post(r#"{"q": 1}"#, &[TYPE]) },
            Outcome::Pass,
            Reason::Method,
        ),
        ("PUT", TestRequest { method: "PUT".into(), ..post(r#"{"q": 1}"#, &[TYPE]) }, Outcome::Pass, Reason::Method),
        ("a condition", post(r#"{"q": 1}"#, &[TYPE, ("If-None-Match", "*")]), Outcome::Pass, Reason::Method),
        ("no JSON", post("q=1", &[TYPE]), Outcome::Pass, Reason::BodyNotJson),
        ("nothing", post("", &[TYPE]), Outcome::Pass, Reason::BodyNotJson),
        ("a name twice", post(r#"{"q": 1, "q": 1}"#, &[TYPE]), Outcome::Pass, Reason::BodyDuplicateName),
        ("a long number", post(r#"{"q": 1.00000000000000000001}"#, &[TYPE]), Outcome::Pass, Reason::BodyNumber),
        ("too deep", post(&"[".repeat(99), &[TYPE]), Outcome::Pass, Reason::BodyNesting),
        ("too long", post(&format!("{{\"q\": 1{}}}", " ".repeat(93)), &[TYPE]), Outcome::Pass, Reason::BodyLimit),
        ("no type", post(r#"{"q": 1}"#, &[]), Outcome::Pass, Reason::BodyType),
        ("a type twice", post(r#"{"q": 1}"#, &[TYPE, TYPE]), Outcome::Pass, Reason::BodyType),
        ("a form", post(r#"{"q": 1}"#, &[("Content-Type", "text/plain")]), Outcome::Pass, Reason::BodyType),
        ("a coding", post(r#"{"q": 1}"#, &[TYPE, ("Content-Encoding", "gzip")]), Outcome::Pass, Reason::BodyType),
        (
            "a credential",
            post(r#"{"q": 1}"#, &[TYPE, ("Authorization", "Bearer a")]),
            Outcome::Pass,
            Reason::UserRequest,
        ),
        ("cookies reach nobody", post(r#"{"q": 1}"#, &[TYPE, ("Cookie", "a=1")]), Outcome::Hit, Reason::Fresh),
    ] {
        let (got_outcome, got_reason, got) = after_one(&by_json(), &request).await;
        assert_eq!((got_outcome, got_reason), (outcome, reason), "{name}");
        if reason.name().starts_with("body-") {
            let said = format!("bodega; fwd=bypass; detail={}", reason.name());
            assert_eq!(got.fields.first("cache-status"), Some(said.as_bytes()), "{name}");
        }
    }
}

#[tokio::test]
async fn by_bytes_every_byte_and_its_coding_counts() {
    for (name, request, outcome, reason) in [
        ("the same", post(r#"{"q": 1}"#, &[TYPE]), Outcome::Hit, Reason::Fresh),
        ("a space", post(r#"{"q":1}"#, &[TYPE]), Outcome::Miss, Reason::UriMiss),
        ("nothing", post("", &[TYPE]), Outcome::Miss, Reason::UriMiss),
        ("no type", post(r#"{"q": 1}"#, &[]), Outcome::Miss, Reason::UriMiss),
        ("a coding", post(r#"{"q": 1}"#, &[TYPE, ("Content-Encoding", "gzip")]), Outcome::Miss, Reason::UriMiss),
        ("too long", post(&"x".repeat(101), &[TYPE]), Outcome::Pass, Reason::BodyLimit),
    ] {
        let (got_outcome, got_reason, _) = after_one(&by_bytes(), &request).await;
        assert_eq!((got_outcome, got_reason), (outcome, reason), "{name}");
    }
}

#[tokio::test]
async fn what_goes_to_the_origin_is_what_came_and_what_is_in_the_key() {
    let bench = bench(&by_bytes());
    will_answer(&bench, &[], "one");
    let fields = [
        ("Content-Type", "text/x; charset=LATIN1; v=1"),
        ("Content-Encoding", "br"),
        ("Cookie", "a=1"),
        ("If-Range", "\"a\""),
        ("Range", "bytes=1-"),
        ("X-User", "me"),
        ("Accept", "a/b"),
    ];
    let request = TestRequest { method: "QUERY".into(), ..post("what", &fields) };
    send(&bench, &request).await;
    let asked = bench.origin.asked().remove(0);
    assert_eq!((&*asked.method, &asked.body[..]), ("QUERY", &b"what"[..]));
    for (name, value) in [
        ("content-type", Some("text/x; charset=LATIN1; v=1")),
        ("content-encoding", Some("br")),
        ("accept", Some("a/b")),
        ("cookie", None),
        ("x-user", None),
        ("range", None),
        ("if-range", None),
    ] {
        assert_eq!(asked.fields.first(name), value.map(str::as_bytes), "{name}");
    }
}

#[tokio::test]
async fn such_a_request_forgets_nothing_and_is_forgotten_by_its_url() {
    let bench = bench(&by_json());
    will_answer(&bench, &[], "of GET");
    send(&bench, &TestRequest::get("/search")).await;
    for body in ["1", "2", "no JSON"] {
        will_answer(&bench, &[("Content-Location", "/search"), ("Cache-Tag", "shop")], "of POST");
        send(&bench, &post(body, &[TYPE])).await;
    }
    assert_eq!(send(&bench, &TestRequest::get("/search")).await.body, b"of GET");
    for selector in ["http://example.com/search", "prefix:http://example.com/", "tag:shop", "all"] {
        assert_eq!(send(&bench, &post("1", &[TYPE])).await.outcome, Outcome::Hit, "{selector}");
        bench.worker.edge.invalidate(&[Selector::parse(selector).unwrap()], Force::Hard).unwrap();
        for body in ["1", "2"] {
            will_answer(&bench, &[("Cache-Tag", "shop")], "anew");
            let got = send(&bench, &post(body, &[TYPE])).await;
            assert_eq!((got.outcome, got.reason), (Outcome::Miss, Reason::Invalidated), "{selector}");
        }
    }
}

#[tokio::test]
async fn another_methods_request_still_forgets() {
    let bench = bench(&by_json());
    will_answer(&bench, &[], "kept");
    send(&bench, &post("1", &[TYPE])).await;
    will_answer(&bench, &[], "changed");
    send(&bench, &TestRequest { method: "PUT".into(), ..post("1", &[TYPE]) }).await;
    will_answer(&bench, &[], "anew");
    assert_eq!(send(&bench, &post("1", &[TYPE])).await.body, b"anew");
}

#[tokio::test]
async fn what_the_origin_says_of_keeping_holds() {
    for (fields, is_kept) in [
        (&[("Cache-Control", "max-age=60")][..], true),
        (&[], true),
        (&[("Cache-Control", "no-store")], false),
        (&[("Cache-Control", "private")], false),
        (&[("Cache-Control", "max-age=0")], false),
        (&[("Set-Cookie", "a=1")], false),
        (&[("Vary", "*")], false),
        (&[("Vary", "Accept-Language")], true),
    ] {
        let bench = bench(&by_json());
        will_answer(&bench, fields, "one");
        send(&bench, &post("1", &[TYPE])).await;
        will_answer(&bench, fields, "two");
        let got = send(&bench, &post("1", &[TYPE])).await;
        assert_eq!(got.body == b"one", is_kept, "{fields:?}");
    }
    // Without the policy's default only what the answer says counts.
    let behavior = json!({"body_key": by_json()});
    let bench = bench_under(&json!({"default_ttl_seconds": 0}), &behavior);
    for body in ["one", "two"] {
        will_answer(&bench, &[], body);
        assert_eq!(send(&bench, &post("1", &[TYPE])).await.body, body.as_bytes());
    }
}

#[tokio::test]
async fn equal_questions_under_way_are_one() {
    let bench = bench(&by_json());
    let mut hand = bench.origin.will_answer_by_hand();
    let tasks: Vec<_> = ["{\"q\":1}", "{ \"q\": 1.0 }", "{\"request_id\":7,\"q\":1}"]
        .map(|body| {
            let (bench, request) = (bench.clone(), post(body, &[TYPE]));
            tokio::spawn(async move { bench.send(&request).await })
        })
        .into();
    while bench.origin.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    hand.head(200, &[], Some(3));
    hand.piece(b"one");
    hand.end();
    for task in tasks {
        assert_eq!(task.await.unwrap().body, b"one");
    }
    assert_eq!(bench.origin.asked().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_shared_is_asked_for_by_each_with_its_body() {
    let bench = bench(&by_json());
    let mut hand = bench.origin.will_answer_by_hand();
    for body in ["two", "three"] {
        will_answer(&bench, &[("Cache-Control", "private")], body);
    }
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.send(&post("[1]", &[TYPE])).await })
        })
        .collect();
    while bench.origin.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    hand.head(200, &[("Cache-Control", "private")], Some(3));
    hand.piece(b"one");
    hand.end();
    let mut bodies = Vec::new();
    for task in tasks {
        bodies.push(task.await.unwrap().body);
    }
    bodies.push(send(&bench, &post("[1]", &[TYPE])).await.body);
    bodies.sort();
    assert_eq!(bodies, [&b"one"[..], b"three", b"two"]);
    assert!(bench.origin.asked().iter().all(|asked| asked.body == b"[1]" && asked.method == "POST"));
}

#[tokio::test]
async fn an_expired_answer_to_a_post_is_asked_for_anew_and_to_a_query_confirmed() {
    for (method, has_condition) in [("POST", false), ("QUERY", true)] {
        let bench = bench(&by_json());
        let request = TestRequest { method: method.into(), ..post("[1]", &[TYPE]) };
        will_answer(&bench, &[("Cache-Control", "max-age=10"), ("ETag", "\"a\"")], "one");
        send(&bench, &request).await;
        bench.clock.advance(Duration::from_secs(11));
        if has_condition {
            let mut hand = bench.origin.will_answer_by_hand();
            hand.head(304, &[("ETag", "\"a\""), ("Cache-Control", "max-age=10")], None);
            hand.end();
        } else {
            will_answer(&bench, &[("Cache-Control", "max-age=10")], "two");
        }
        let got = send(&bench, &request).await;
        assert_eq!(got.body, if has_condition { b"one" } else { b"two" });
        let asked = bench.origin.asked().remove(1);
        assert_eq!(asked.fields.has("if-none-match"), has_condition, "{method}");
        assert_eq!((&*asked.method, &asked.body[..]), (method, &b"[1]"[..]));
        assert_eq!(send(&bench, &request).await.outcome, Outcome::Hit);
    }
}

#[tokio::test]
async fn a_304_that_confirms_nothing_has_the_query_asked_again_with_its_body() {
    let bench = bench(&by_json());
    let request = TestRequest { method: "QUERY".into(), ..post("[1]", &[TYPE]) };
    will_answer(&bench, &[("Cache-Control", "max-age=10"), ("ETag", "\"a\"")], "one");
    send(&bench, &request).await;
    bench.clock.advance(Duration::from_secs(11));
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(304, &[("ETag", "\"other\"")], None);
    hand.end();
    will_answer(&bench, &[], "two");
    assert_eq!(send(&bench, &request).await.body, b"two");
    let asked = bench.origin.asked().remove(2);
    assert_eq!((&*asked.method, &asked.body[..], asked.fields.has("if-none-match")), ("QUERY", &b"[1]"[..], false));
}

#[tokio::test]
async fn a_query_has_conditions_as_a_get_has() {
    let bench = bench(&by_json());
    let query = |fields: &[(&str, &str)]| TestRequest { method: "QUERY".into(), ..post("[1]", fields) };
    will_answer(&bench, &[("ETag", "\"a\"")], "one");
    send(&bench, &query(&[TYPE])).await;
    let got = bench.send(&query(&[TYPE, ("If-None-Match", "\"a\"")])).await;
    assert_eq!((got.status, got.outcome, got.body.len()), (304, Outcome::Hit, 0));
    assert_eq!(bench.send(&query(&[TYPE, ("If-None-Match", "\"b\"")])).await.body, b"one");
}

#[tokio::test]
async fn stale_answers_stand_in_and_are_refreshed_with_the_body() {
    let policy = json!({"stale_if_error_seconds": 600, "stale_while_revalidate_seconds": 5});
    let bench = bench_under(&policy, &json!({"body_key": by_json()}));
    let request = post("[1]", &[TYPE]);
    will_answer(&bench, &[("Cache-Control", "max-age=10")], "one");
    send(&bench, &request).await;
    bench.clock.advance(Duration::from_secs(12));
    will_answer(&bench, &[("Cache-Control", "max-age=10")], "two");
    let got = send(&bench, &request).await;
    assert_eq!((got.outcome, &got.body[..]), (Outcome::Stale, &b"one"[..]));
    while bench.origin.asked().len() < 2 || send(&bench, &request).await.body != b"two" {
        tokio::task::yield_now().await;
    }
    assert!(bench.origin.asked().iter().all(|asked| asked.body == b"[1]" && asked.method == "POST"));
    bench.clock.advance(Duration::from_secs(60));
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(503, &[], Some(0));
    hand.end();
    let got = send(&bench, &request).await;
    assert_eq!((got.outcome, got.reason, &got.body[..]), (Outcome::Stale, Reason::IfError, &b"two"[..]));
}

#[tokio::test]
async fn what_breaks_off_is_not_completed_by_ranges() {
    let bench = bench(&by_json());
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(200, &[("ETag", "\"a\"")], Some(100_000));
    hand.piece(&[b'x'; 60_000]);
    hand.break_off();
    assert!(bench.send(&post("[1]", &[TYPE])).await.broken);
    will_answer(&bench, &[], "whole");
    assert_eq!(send(&bench, &post("[1]", &[TYPE])).await.body, b"whole");
    assert!(bench.origin.asked().iter().all(|asked| !asked.fields.has("range") && asked.body == b"[1]"));
}

#[tokio::test]
async fn in_rfc_mode_a_passed_body_is_no_answer_for_gets() {
    let bench = bench_under(&json!({"mode": "rfc"}), &json!({"body_key": by_json()}));
    will_answer(&bench, &[("Cache-Control", "max-age=60"), ("Content-Location", "/search")], "of POST");
    send(&bench, &post("no JSON", &[TYPE])).await;
    will_answer(&bench, &[], "of GET");
    assert_eq!(send(&bench, &TestRequest::get("/search")).await.body, b"of GET");
}

#[tokio::test]
async fn by_key_each_credential_asks_for_itself() {
    let bench = bench_under(&json!({}), &json!({"body_key": by_json(), "authorization": {"kind": "key"}}));
    let of = |credential: &str| post("[1]", &[TYPE, ("Authorization", credential)]);
    for (credential, body) in [("Bearer a", "of a"), ("Bearer b", "of b")] {
        will_answer(&bench, &[], body);
        assert_eq!(send(&bench, &of(credential)).await.body, body.as_bytes());
    }
    for (credential, body) in [("Bearer a", "of a"), ("Bearer b", "of b")] {
        let got = send(&bench, &of(credential)).await;
        assert_eq!((got.outcome, &got.body[..]), (Outcome::Hit, body.as_bytes()));
    }
    will_answer(&bench, &[], "of nobody");
    assert_eq!(send(&bench, &post("[1]", &[TYPE])).await.body, b"of nobody");
}
