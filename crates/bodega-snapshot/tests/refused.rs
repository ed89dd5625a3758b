//! Documents that are refused: each row is one change of a good one, the place it is blamed on, and what is said.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bodega_snapshot::{Snapshot, SnapshotError};
use serde_json::{Value, json};

const SHOP: &str = include_str!("shop.json");

/// The error of the document with `value` put at `pointer`; `-` at the end of one appends.
fn refused(pointer: &str, value: &Value) -> SnapshotError {
    let mut document: Value = serde_json::from_str(SHOP).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(array) if name == "-" => array.push(value.clone()),
        Value::Array(array) => array[name.parse::<usize>().unwrap()] = value.clone(),
        Value::Object(table) => drop(table.insert(name.to_owned(), value.clone())),
        _ => unreachable!("{pointer} is in no table"),
    }
    match Snapshot::from_json(&document.to_string()) {
        Ok(_) => unreachable!("{pointer} = {value} is taken"),
        Err(error) => error,
    }
}

fn check(rows: &[(&str, Value, &str, &str)]) {
    for (pointer, value, place, message) in rows {
        let error = refused(pointer, value);
        assert_eq!(error.place, *place, "{pointer} = {value}: {error}");
        assert!(error.message.contains(message), "{pointer} = {value}: {error}");
        assert!(!error.to_string().contains(['\r', '\n']), "{pointer} = {value}: {error}");
    }
}

#[test]
fn documents_of_another_form() {
    let shop = "/distributions/0";
    let behavior = "distributions.shop.behaviors";
    for (pointer, value, place, message) in [
        ("/extra", json!(1), "distributions.shop".to_owned(), "unknown field `extra`"),
        ("/hosts", json!("a"), "distributions.shop.hosts".to_owned(), "expected a sequence"),
        ("/behaviors/3", json!({}), format!("{behavior}[3]"), "missing field `paths`"),
        ("/behaviors/0/path", json!("/"), format!("{behavior}[0]"), "unknown field `path`"),
        ("/behaviors/0/methods", json!("GET"), format!("{behavior}[0].methods"), "expected a sequence"),
        ("/behaviors/0/action/kind", json!("proxy"), format!("{behavior}[0].action.kind"), "`redirect`"),
        ("/behaviors/2/action/status", json!("308"), format!("{behavior}[2].action.status"), "expected u16"),
        ("/behaviors/2/action/status", json!(70_000), format!("{behavior}[2].action.status"), "expected u16"),
        ("/behaviors/0/request_headers/set", json!([["x"]]), format!("{behavior}[0].request_headers.set"), "length"),
    ] {
        check(&[(&format!("{shop}{pointer}"), value, &place, message)]);
    }
    check(&[
        ("/schema", json!(2), "schema", "this edge reads schema 1"),
        ("/extra", json!(1), "", "unknown field `extra`"),
        ("/revision", json!(-1), "", "expected u64"),
        ("/distributions/1/name", json!(5), "distributions[1].name", "expected a string"),
        ("/origins/site/url", json!(null), "origins.site.url", "expected a string"),
        ("/origins/site/atempts", json!(1), "origins.site", "unknown field `atempts`"),
        ("/origins/images/credentials", json!({"kind": "secret"}), "origins.images.credentials.kind", "`environment`"),
        ("/origins/site/health", json!({"max_failures": 3}), "origins.site.health", "missing field"),
        ("/origins/site/health/max_failures", json!(-1), "origins.site.health.max_failures", "expected u32"),
        ("/policies/pages/max_ttl_seconds", json!("1h"), "policies.pages.max_ttl_seconds", "expected f64"),
        ("/policies/pages/key/query/kind", json!("some"), "policies.pages.key.query.kind", "`allow`"),
        ("/policies/pages/forward/query/sorted", json!(true), "policies.pages.forward.query", "unknown field `sorted`"),
    ]);
    for (text, message) in [("", "the document: EOF"), ("{\"schema\": 1,}", "line 1 column"), ("[]", "the document")] {
        let error = Snapshot::from_json(text).unwrap_err();
        assert!(error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn names_that_are_there_twice_or_cannot_be() {
    let shop: Value = serde_json::from_str(SHOP).unwrap();
    let mut again = shop["distributions"][1].clone();
    again["hosts"] = json!(["again.example"]);
    check(&[
        ("/distributions/-", again, "distributions[3].name", "already the name of distributions[1]"),
        ("/distributions/1/name", json!(""), "distributions[1].name", "is no name"),
        ("/distributions/1/name", json!("a\r\nb"), "distributions[1].name", "is no name"),
        ("/origins/a b", shop["origins"]["site"].clone(), "origins", "is no name"),
        ("/policies/a\nb", shop["policies"]["none"].clone(), "policies", "is no name"),
    ]);
    let twice = SHOP.replacen("\"images\": {\n", "\"site\": {\n", 1);
    assert!(Snapshot::from_json(&twice).unwrap_err().message.contains("\"site\" is there twice"));
    let twice = SHOP.replacen("\"503\": 1", "\"404\": 1", 1);
    assert!(Snapshot::from_json(&twice).unwrap_err().message.contains("\"404\" is there twice"));
}

#[test]
fn hosts() {
    let taken = "already a host of";
    for host in [
        "shop.example.com:80",
        "https://a.example",
        "a.*.example",
        "*example.com",
        "*.",
        "*.[::1]",
        "[anything]",
        "bücher.example",
        "",
        "a..b",
        &"a".repeat(64),
        &("a.".repeat(130) + "a"),
    ] {
        check(&[("/distributions/0/hosts/-", json!(host), "distributions.shop.hosts", "is no host: write")]);
    }
    check(&[
        ("/distributions/0/hosts", json!([]), "distributions.shop.hosts", "at least one host"),
        ("/distributions/0/hosts/-", json!("shop.example.com"), "distributions.shop.hosts", taken),
        ("/distributions/0/hosts/-", json!("*"), "distributions.rest.hosts", taken),
        ("/distributions/1/hosts/-", json!("SHOP.example.com"), "distributions.eu.hosts", taken),
        ("/distributions/1/hosts/-", json!("*.shop.example.com"), "distributions.eu.hosts", taken),
    ]);
}

#[test]
fn behaviors() {
    for (field, value, blamed, message) in [
        ("policy", json!("pagse"), "policy", "there is no policy \"pagse\""),
        ("action/origin", json!("imgs"), "action.origin", "there is no origin \"imgs\""),
        ("paths/-", json!("images/*"), "paths", "must begin with `/` or `*`"),
        ("paths/-", json!(""), "paths", "must begin with"),
        ("paths/-", json!("?a"), "paths", "must begin with"),
        ("paths/-", json!("/a b"), "paths", "percent-encode"),
        ("paths/-", json!("/a#b"), "paths", "percent-encode"),
        ("paths/-", json!("/ü"), "paths", "percent-encode"),
        ("paths/-", json!("/".repeat(2000)), "paths", "at most 1024"),
        ("paths/-", json!(format!("*?{}*", "a".repeat(64))), "paths", "at most 64"),
        ("methods/-", json!("get"), "methods", "upper case"),
        ("methods/-", json!("G ET"), "methods", "is no method"),
        ("strip_prefix", json!("images"), "strip_prefix", "must begin with `/`"),
        ("add_prefix", json!("/a b"), "add_prefix", "must begin with `/`"),
        ("add_prefix", json!("/a?b"), "add_prefix", "without `?`"),
        ("add_prefix", json!("/a\r\nb"), "add_prefix", "must begin with `/`"),
        ("allow/-", json!("10.0.0.0/33"), "allow", "is no network"),
        ("allow/-", json!("10.0.0.1/8"), "allow", "`10.0.0.0/8` is that network"),
        ("deny/-", json!("localhost"), "deny", "is no network"),
        ("request_headers/set/-", json!(["a b", "1"]), "request_headers.set", "is no header name"),
        ("request_headers/set/-", json!(["x", "1\r\ny: 2"]), "request_headers.set", "one line"),
        ("request_headers/set/-", json!(["x", "\u{0}"]), "request_headers.set", "control characters"),
        ("request_headers/set/-", json!(["X-A", "2"]), "request_headers.set", "is there twice"),
        ("request_headers/set/-", json!(["Host", "a"]), "request_headers.set", "the origin's `host`"),
        ("request_headers/set/-", json!(["Content-Length", "1"]), "request_headers.set", "frames the message"),
        ("request_headers/remove/-", json!("transfer-encoding"), "request_headers.remove", "frames the message"),
        ("response_headers/set/-", json!(["Connection", "x"]), "response_headers.set", "frames the message"),
        ("response_headers/remove/-", json!(""), "response_headers.remove", "is no header name"),
    ] {
        let pointer = format!("/distributions/0/behaviors/0/{field}");
        check(&[(&pointer, value, &format!("distributions.shop.behaviors[0].{blamed}"), message)]);
    }
}

#[test]
fn actions() {
    let redirect = |status: u16, location: &str| json!({"kind": "redirect", "status": status, "location": location});
    let answer = |status: u16, name: &str, value: &str, body: &str| json!({"kind": "answer", "status": status, "headers": [[name, value]], "body": body});
    for (value, blamed, message) in [
        (redirect(300, "/"), "status", "301, 302, 303, 307 or 308"),
        (redirect(308, "www.example.com"), "location", "begin with `https://`"),
        (redirect(308, "/{nobody}"), "location", "{host}, {path} and {query}"),
        (redirect(308, "/\r\nx: y"), "location", "visible ASCII"),
        (answer(100, "x", "y", ""), "status", "200 to 599"),
        (answer(304, "x", "y", ""), "status", "not 304"),
        (answer(600, "x", "y", ""), "status", "200 to 599"),
        (answer(204, "x", "y", "body"), "body", "has no body"),
        (answer(200, "Content-Length", "5", "body"), "headers", "frames the message"),
        (answer(200, "x", "a\nb", "body"), "headers", "one line"),
    ] {
        let place = format!("distributions.shop.behaviors[2].action.{blamed}");
        check(&[("/distributions/0/behaviors/2/action", value, &place, message)]);
    }
}

#[test]
fn origins() {
    for (pointer, value, message) in [
        ("site/url", json!("localhost:9000"), "has no scheme"),
        ("site/url", json!("http://user:secret@a.example"), "user or password"),
        ("site/url", json!("http://[::g]"), "neither a name nor an address"),
        ("site/url", json!("http://a.example/?x"), "nothing else"),
        ("site/host", json!("a b"), "\"viewer\" or null"),
        ("site/host", json!("a\r\nx: y"), "is no host"),
        ("site/attempts", json!(0), "between 1 and 10"),
        ("site/attempts", json!(11), "between 1 and 10"),
        ("site/max_connections", json!(0), "between 1 and 65535"),
        ("site/max_queue", json!(2_000_000), "between 0 and 1000000"),
        ("site/connect_timeout_seconds", json!(0), "a timeout of 0"),
        ("site/queue_timeout_seconds", json!(-1), "between 0 and"),
        ("site/first_byte_timeout_seconds", json!(1e300), "between 0 and"),
        ("site/ca_file", json!(""), "is empty"),
        ("site/health/max_failures", json!(2_000_000), "between 0 and 1000000"),
        ("site/health/retry_after_seconds", json!(0), "between 0.01 s and one hour"),
        ("site/health/retry_after_seconds", json!(3601), "between 0.01 s and one hour"),
        ("images/health/retry_after_seconds", json!(-1), "between 0 and"),
        ("images/endpoint", json!("https://a.example/x"), "into `prefix`"),
        ("images/bucket", json!(""), "is no bucket"),
        ("images/bucket", json!("../x"), "is no bucket"),
        ("images/bucket", json!("a\r\nb"), "is no bucket"),
        ("images/region", json!("eu/west"), "is no region"),
        ("images/prefix", json!("a\u{0}"), "control characters"),
        ("images/index_document", json!("/index.html"), "null for none"),
        ("images/credentials/path", json!(""), "is empty"),
    ] {
        check(&[(&format!("/origins/{pointer}"), value, &format!("origins.{}", pointer.replace('/', ".")), message)]);
    }
}

#[test]
fn groups() {
    let many: Vec<String> = (0..9).map(|n| format!("site-{n}")).collect();
    for (members, failover, field, message) in [
        (json!(["site", "images"]), json!([503, 200]), "failover", "200 is no failure"),
        (json!(["site", "images"]), json!([600]), "failover", "600 is no failure"),
        (json!(["site", "images"]), json!(vec![500; 201]), "failover", "more than 200"),
        (json!(["site"]), json!([503]), "members", "1 is not between 2 and 8"),
        (json!(many), json!([503]), "members", "9 is not between 2 and 8"),
        (json!(["site", "site"]), json!([503]), "members", "\"site\" is there twice"),
        (json!(["site", "stie"]), json!([503]), "members", "there is no origin \"stie\""),
        (json!(["site", "both"]), json!([503]), "members", "a group is no member"),
    ] {
        let group = json!({"kind": "group", "members": members, "failover": failover});
        check(&[("/origins/both", group, &format!("origins.both.{field}"), message)]);
    }
    let limits = json!({"kind": "group", "members": ["site", "images"], "failover": [], "attempts": 2});
    check(&[("/origins/both", limits, "origins.both", "unknown field `attempts`")]);
}

#[test]
fn what_is_said_of_https() {
    let hsts = |seconds: f64, include_subdomains: bool, preload: bool| json!({"max_age_seconds": seconds, "include_subdomains": include_subdomains, "preload": preload});
    check(&[
        (
            "/distributions/0/viewer_protocol",
            json!("https"),
            "distributions.shop.viewer_protocol",
            "unknown variant `https`",
        ),
        ("/distributions/0/viewer_protocol", json!(null), "distributions.shop.viewer_protocol", "expected"),
        ("/distributions/0/hsts", hsts(-1.0, false, false), "distributions.shop.hsts.max_age_seconds", "between 0 and"),
        ("/distributions/0/hsts", hsts(31_535_999.0, true, true), "distributions.shop.hsts.preload", "at least a year"),
        ("/distributions/0/hsts", hsts(31_536_000.0, false, true), "distributions.shop.hsts.preload", "all subdomains"),
        ("/distributions/0/hsts", json!({"max_age_seconds": 1}), "distributions.shop", "missing field"),
    ]);
}

#[test]
fn policies() {
    for (field, value, blamed, message) in [
        ("min_ttl_seconds", json!(3601), "min_ttl_seconds", "which is 3600"),
        ("max_ttl_seconds", json!(-1), "max_ttl_seconds", "between 0 and"),
        ("stale_if_error_seconds", json!(1e12), "stale_if_error_seconds", "between 0 and"),
        ("strict_seconds", json!(2.9), "strict_seconds", "less than 3"),
        ("strict_seconds", json!(1e12), "strict_seconds", "between 0 and"),
        ("refresh_every_seconds", json!(0.9), "refresh_every_seconds", "less than 1"),
        ("negative_ttl_seconds", json!({"200": 1}), "negative_ttl_seconds.200", "from 300 to 599"),
        ("negative_ttl_seconds", json!({"304": 1}), "negative_ttl_seconds.304", "not 304"),
        ("negative_ttl_seconds", json!({"+404": 1}), "negative_ttl_seconds.+404", "must be a status"),
        ("negative_ttl_seconds", json!({"404": -1}), "negative_ttl_seconds.404", "between 0 and"),
        ("key/query/names", json!([]), "key.query", "empty allow list"),
        ("key/query/names", json!(["a=b"]), "key.query", "no name of a parameter"),
        ("key/query/kind", json!("all"), "key.query", "names without effect"),
        ("key/headers", json!(["x:y"]), "key.headers", "is no header name"),
        ("key/cookies", json!(["a;b"]), "key.cookies", "is no cookie name"),
        ("forward/headers", json!([""]), "forward.headers", "is no header name"),
    ] {
        check(&[(&format!("/policies/pages/{field}"), value, &format!("policies.pages.{blamed}"), message)]);
    }
}

#[test]
fn documents_past_their_bounds() {
    let shop: Value = serde_json::from_str(SHOP).unwrap();
    let behaviors = vec![shop["distributions"][1]["behaviors"][0].clone(); 1001];
    check(&[("/distributions/0/behaviors", json!(behaviors), "distributions.shop.behaviors", "more than 1000")]);
    let distributions: Vec<Value> = (0..10_001)
        .map(|number| {
            json!({
                "name": format!("d{number}"), "hosts": [format!("h{number}.example")],
                "viewer_protocol": "allow-all", "hsts": null, "behaviors": []
            })
        })
        .collect();
    check(&[("/distributions", json!(distributions), "distributions", "more than 10000")]);
    let error = Snapshot::from_json(&" ".repeat((16 << 20) + 1)).unwrap_err();
    assert!(error.message.contains("larger than 16777216 bytes"), "{error}");
}
