//! An explanation of a key says what the machine does.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use bodega_edge::exchange::OwnedRequest;
use bodega_edge::explain::{Explained, explain};
use bodega_semantics::{Fields, Outcome, Reason};
use bodega_testkit::bench::{Bench, TestRequest, snapshot_json};
use serde_json::json;

fn bench() -> Bench {
    let policy = json!({
        "key": {"query": {"kind": "deny", "names": ["utm"]}, "headers": ["accept-language"], "cookies": ["currency"]},
        "forward": {"headers": ["authorization"]},
    });
    Bench::new(&snapshot_json(&policy, &json!({"paths": ["/a*"], "strip_prefix": "/a"}), 1))
}

fn explained(bench: &Bench, method: &str, target: &str, headers: &[(&str, &str)]) -> Explained {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
    let mut fields = Fields::new();
    for (name, value) in headers {
        fields.push(name, value.as_bytes());
    }
    let request = OwnedRequest {
        method: method.to_owned(),
        https: false,
        authority: "Example.com:8080".to_owned(),
        path: path.to_owned(),
        query,
        fields,
        peer: "203.0.113.9".parse().unwrap(),
        has_body: false,
        version: "1.1",
    };
    let edge = &bench.worker.edge;
    explain(&edge.snapshot.load(), &edge.settings, &request, &[])
}

#[test]
fn what_is_in_the_key_and_what_is_sent() {
    let headers = [
        ("Accept-Language", "de"),
        ("Authorization", "x"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Debug", "1"),
        ("Cookie", "session=1; currency=EUR"),
    ];
    let explained = explained(&bench(), "GET", "/%61/caf%c3%a9?w=%7e&utm=x", &headers);
    assert_eq!((explained.host.as_str(), explained.does, explained.reason), ("example.com", "lookup", None));
    let key = explained.key.unwrap();
    assert_eq!((&*key.host, &*key.path, &*key.query), ("example.com:8080", "/a/caf%C3%A9", "w=~"));
    assert_eq!(key.headers, [("accept-language".to_owned(), "de".to_owned())]);
    assert_eq!(key.cookies, [("currency".to_owned(), "EUR".to_owned())]);
    assert!(key.names_user);
    let sent = explained.sent.unwrap();
    assert_eq!(sent.target, "/caf%c3%a9?w=%7e");
    assert_eq!(sent.dropped_parameters, ["utm=x"]);
    assert_eq!(sent.dropped_headers, ["x-debug"]);
    assert_eq!(sent.dropped_cookies, ["session"]);
    let host = sent.headers.iter().find(|(name, _)| name == "X-Forwarded-Host").map(|(_, value)| value.as_str());
    assert_eq!(host, Some("Example.com:8080"));
}

#[test]
fn what_asks_no_store_has_no_key() {
    let bench = bench();
    for (method, target, does, reason) in [
        ("POST", "/a/x", "pass", Some(Reason::Method)),
        ("TRACE", "/a/x", "refuse", Some(Reason::MethodRefused)),
        ("GET", "/a/../x", "refuse", Some(Reason::UnsafePath)),
        ("GET", "/b", "refuse", Some(Reason::NoBehavior)),
    ] {
        let explained = explained(&bench, method, target, &[]);
        assert_eq!((explained.does, explained.reason), (does, reason), "{method} {target}");
        assert_eq!(explained.key, None, "{method} {target}");
        assert_eq!(explained.sent.is_some(), does == "pass", "{method} {target}");
    }
}

#[tokio::test(start_paused = true)]
async fn fingerprints_are_one_where_entries_are_one() {
    let first = "/a/x?w=~";
    for (target, headers) in [
        ("/a/x?w=%7E", vec![]),
        ("/%61/x?w=~&utm=1", vec![("x-debug", "1")]),
        ("/a/x?w=~", vec![("accept-language", "de")]),
        ("/a/x?w=~", vec![("cookie", "currency=EUR")]),
        ("/a//x?w=~", vec![]),
        ("/a/x?w=~&v", vec![]),
    ] {
        let bench = bench();
        for _ in 0..2 {
            let mut answer = bench.origin.will_answer_by_hand();
            answer.head(200, &[("cache-control", "max-age=60")], Some(1));
            answer.piece(b"x");
            answer.end();
        }
        bench.read(bench.begin(&TestRequest::get(first)).await).await;
        let mut request = TestRequest::get(target);
        request.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let is_hit = bench.read(bench.begin(&request).await).await.outcome == Outcome::Hit;
        let fingerprint = |target, headers: &[_]| explained(&bench, "GET", target, headers).key.unwrap().fingerprint;
        assert_eq!(fingerprint(first, &[]) == fingerprint(target, &headers), is_hit, "{target} {headers:?}");
    }
}
