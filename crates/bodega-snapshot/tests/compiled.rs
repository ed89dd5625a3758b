//! What becomes of a document in which every kind of thing is there once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use bodega_semantics::policy::QueryRule;
use bodega_semantics::{Fields, Head};
use bodega_snapshot::{
    Action, Behavior, Credentials, HealthLimits, HostHeader, Hsts, Origin, OriginKind, Provider, Snapshot,
    ViewerProtocol,
};
use serde_json::{Value, json};

const SHOP: &str = include_str!("shop.json");

fn shop() -> Snapshot {
    Snapshot::from_json(SHOP).unwrap()
}

/// The document with another value at `pointer`.
fn shop_with(pointer: &str, value: Value) -> Snapshot {
    let mut document: Value = serde_json::from_str(SHOP).unwrap();
    *document.pointer_mut(pointer).unwrap() = value;
    Snapshot::from_json(&document.to_string()).unwrap()
}

fn behavior<'s>(snapshot: &'s Snapshot, host: &str, method: &str, path: &str) -> &'s Behavior {
    snapshot.distribution(host).unwrap().behavior(method, path).unwrap()
}

#[test]
fn a_host_is_exact_before_wildcard_and_the_longer_wildcard_goes_first() {
    let shop = shop();
    assert_eq!(shop.revision, 7);
    for (host, name) in [
        ("shop.example.com", "shop"),
        ("a.shop.example.com", "shop"),
        ("a.b.shop.example.com", "shop"),
        ("eu.shop.example.com", "shop"),
        ("a.eu.shop.example.com", "eu"),
        ("a.b.eu.shop.example.com", "eu"),
        ("[2001:db8::1]", "shop"),
        ("[2001:db8::2]", "rest"),
        ("example.com", "rest"),
        ("xshop.example.com", "rest"),
        (".shop.example.com", "rest"),
        ("", "rest"),
    ] {
        assert_eq!(shop.distribution(host).unwrap().name, name, "{host}");
    }
    let hostile = format!("{}.shop.example.com", "a.".repeat(30_000));
    assert_eq!(shop.distribution(&hostile).unwrap().name, "rest");
}

#[test]
fn what_is_said_of_https_is_made_once() {
    let shop = shop();
    for (host, viewer_protocol, line) in [
        (
            "shop.example.com",
            ViewerProtocol::RedirectToHttps,
            Some("Strict-Transport-Security: max-age=31536000; includeSubDomains; preload\r\n"),
        ),
        ("a.eu.shop.example.com", ViewerProtocol::HttpsOnly, Some("Strict-Transport-Security: max-age=0\r\n")),
        ("example.com", ViewerProtocol::AllowAll, None),
    ] {
        let distribution = shop.distribution(host).unwrap();
        assert_eq!(distribution.viewer_protocol, viewer_protocol);
        let hsts = distribution.hsts.as_deref();
        assert_eq!(hsts.map(Hsts::line), line.map(str::as_bytes));
        assert_eq!(hsts.map(Hsts::value), line.and_then(|line| Some(line.trim_end().split_once(": ")?.1)));
    }
}

#[test]
fn only_an_origin_that_could_heed_it_is_told_the_scheme() {
    let shop = shop();
    assert!(!behavior(&shop, "shop.example.com", "GET", "/images/a").tells_scheme, "a bucket");
    assert!(behavior(&shop, "shop.example.com", "GET", "/internal/a").tells_scheme);
    assert!(!behavior(&shop, "example.com", "GET", "/").tells_scheme, "no origin");
    for (edits, expected) in [
        (json!({"set": [], "remove": ["Forwarded", "X-Forwarded-Proto"]}), false),
        (json!({"set": [["x-forwarded-proto", "https"]], "remove": ["forwarded"]}), false),
        (json!({"set": [["x-forwarded-proto", "https"]], "remove": []}), true),
        (json!({"set": [], "remove": ["forwarded"]}), true),
    ] {
        let shop = shop_with("/distributions/0/behaviors/1/request_headers", edits.clone());
        assert_eq!(behavior(&shop, "shop.example.com", "GET", "/internal/a").tells_scheme, expected, "{edits}");
    }
}

#[test]
fn without_a_host_for_all_others_an_unknown_one_has_no_distribution() {
    let shop = shop_with("/distributions/2/hosts", json!(["rest.example.com"]));
    assert!(shop.distribution("unknown.example").is_none());
    assert!(shop.distribution("rest.example.com").is_some());
}

#[test]
fn the_first_behavior_with_this_path_and_method_counts() {
    let shop = shop();
    for (method, path, name) in [
        ("GET", "/images/a.png", "shop/0 /images/* *.webp"),
        ("HEAD", "/deep/down/a.webp", "shop/0 /images/* *.webp"),
        ("POST", "/images/a.png", "shop/3 *"),
        ("GET", "/Images/a.png", "shop/3 *"),
        ("GET", "/internal/x", "shop/1 /internal/*"),
        ("GET", "/", "shop/3 *"),
    ] {
        assert_eq!(behavior(&shop, "shop.example.com", method, path).name, name, "{method} {path}");
    }
}

fn origin_of<'s>(shop: &'s Snapshot, path: &str) -> &'s Origin {
    let Action::Origin(name) = &behavior(shop, "shop.example.com", "GET", path).action else { panic!() };
    shop.origins.iter().find(|origin| *origin.name == **name).unwrap()
}

#[test]
fn an_http_origin_is_compiled() {
    let shop = shop();
    let origin = origin_of(&shop, "/");
    assert_eq!(origin.name, "site");
    assert_eq!(origin.ca_file.as_deref(), Some("/etc/ssl/own.pem"));
    assert_eq!(origin.limits.between_bytes_timeout, Duration::from_millis(500));
    assert_eq!(origin.limits.queue_timeout, Duration::ZERO);
    let own = HealthLimits { max_failures: 5, retry_after: Duration::from_millis(500), fail_fast: true };
    assert_eq!(origin.health, own);
    let OriginKind::Http { endpoint, base_path, host_header } = &origin.kind else { panic!() };
    assert!(endpoint.https);
    assert_eq!((endpoint.authority.as_str(), endpoint.port), ("www.origin.example.com:8443", 8443));
    assert_eq!(base_path, "/base");
    assert_eq!(*host_header, HostHeader::Named("www.example.com".to_owned()));
    assert_eq!(shop.origins.len(), 2);
}

#[test]
fn a_bucket_is_compiled() {
    let shop = shop();
    let origin = origin_of(&shop, "/images/a");
    let usual = HealthLimits { max_failures: 3, retry_after: Duration::from_secs(1), fail_fast: false };
    assert_eq!(origin.health, usual);
    let OriginKind::S3 { endpoint, bucket, prefix, region, path_style, credentials, index_document, .. } = &origin.kind
    else {
        panic!()
    };
    assert_eq!((endpoint.authority.as_str(), bucket.as_str()), ("s3.example.com", "shop-images"));
    assert_eq!((prefix.as_str(), region.as_str(), *path_style), ("live/", "eu-west-1", false));
    assert_eq!(index_document.as_deref(), Some("index.html"));
    let expected = Credentials::File { path: "/etc/bodega/credentials".to_owned(), profile: "default".to_owned() };
    assert_eq!(*credentials, expected);
}

/// `shop.json` with a model in it, which the last behavior asks.
fn with_model(change: &Value) -> String {
    let mut document: Value = serde_json::from_str(SHOP).unwrap();
    let mut model = json!({
        "kind": "model", "path": "models/fraud.onnx", "name": "fraud", "version": null, "timeout_seconds": 10,
        "max_batch": 32, "max_queue": 1024, "max_body_bytes": 1_000_000, "ttl_seconds": null,
        "batch_wait_seconds": 0, "provider": "cpu", "threads": 1, "isolated": false, "runner": null, "ignored": [],
        "golden": [], "max_memory_bytes": null, "region_only": false,
    });
    for (name, value) in change.as_object().unwrap() {
        model[name] = value.clone();
    }
    document["origins"]["scores"] = model;
    document["distributions"][0]["behaviors"][3]["action"]["origin"] = json!("scores");
    document.to_string()
}

#[test]
fn a_model_is_compiled() {
    let shop = Snapshot::from_json(&with_model(&json!({}))).unwrap();
    let found = behavior(&shop, "shop.example.com", "POST", "/");
    assert!(found.is_model && !found.tells_scheme);
    assert!(!behavior(&shop, "shop.example.com", "GET", "/images/a.png").is_model);
    let [model] = shop.models.as_slice() else { panic!() };
    assert_eq!((model.origin.as_str(), model.name.as_str(), &model.version), ("scores", "fraud", &None));
    assert_eq!((model.timeout, model.max_batch), (Duration::from_secs(10), 32));
    // Another version is told apart by its rows; the behavior is the same.
    let other = Snapshot::from_json(&with_model(&json!({"path": "/x.onnx", "version": "v2"}))).unwrap();
    assert_eq!(behavior(&other, "shop.example.com", "POST", "/").scope, found.scope);
    let renamed = Snapshot::from_json(&with_model(&json!({"name": "risk"}))).unwrap();
    assert_ne!(behavior(&renamed, "shop.example.com", "POST", "/").scope, found.scope);
}

#[test]
fn all_that_is_said_of_a_model_is_compiled() {
    let said = json!({
        "ttl_seconds": 60, "batch_wait_seconds": 0.002, "provider": "cuda", "threads": 4, "ignored": ["trace"],
        "golden": golden(0.5)["golden"],
    });
    let shop = Snapshot::from_json(&with_model(&said)).unwrap();
    let [model] = shop.models.as_slice() else { panic!() };
    assert_eq!((model.ttl, model.batch_wait), (Some(Duration::from_secs(60)), Duration::from_millis(2)));
    assert_eq!(
        (model.provider, model.threads, model.ignored.as_slice()),
        (Provider::Cuda, 4, &["trace".to_owned()][..])
    );
    let [example] = model.golden.as_slice() else { panic!() };
    assert_eq!((example.features_json.as_str(), example.prediction_json.as_deref()), ("[1, 2]", Some("3")));
}

fn golden(tolerance: f64) -> Value {
    json!({"golden": [{"features_json": "[1, 2]", "prediction_json": "3", "tolerance": tolerance}]})
}

#[test]
fn a_model_that_cannot_be_is_refused_with_its_place() {
    for (change, place) in [
        (json!({"path": ""}), "origins.scores.path"),
        (json!({"name": "a b"}), "origins.scores.name"),
        (json!({"version": "/"}), "origins.scores.version"),
        (json!({"timeout_seconds": 0}), "origins.scores.timeout_seconds"),
        (json!({"max_batch": 0}), "origins.scores.max_batch"),
        (json!({"max_queue": 0}), "origins.scores.max_queue"),
        (json!({"max_body_bytes": 0}), "origins.scores.max_body_bytes"),
        (json!({"threads": 0}), "origins.scores.threads"),
        (json!({"ttl_seconds": -1}), "origins.scores.ttl_seconds"),
        (json!({"batch_wait_seconds": 2}), "origins.scores.batch_wait_seconds"),
        (json!({"provider": "npu"}), "origins.scores.provider"),
        (json!({"ignored": [""]}), "origins.scores.ignored"),
        (golden(-1.0), "origins.scores.golden[0].tolerance"),
        (json!({"runner": "shop.models"}), "origins.scores.runner"),
        (json!({"runner": "shop.models:Fraud()"}), "origins.scores.runner"),
        (json!({"max_memory_bytes": 1 << 20, "isolated": true}), "origins.scores.max_memory_bytes"),
        (json!({"region_only": true, "runner": "shop.models:Fraud"}), "origins.scores.region_only"),
    ] {
        let error = Snapshot::from_json(&with_model(&change)).unwrap_err();
        assert_eq!(error.place, place, "{}", error.message);
    }
}

/// The document with a second model, whose version is this, and a group of these members.
fn with_models(version: &Value, members: &Value) -> Result<Snapshot, String> {
    let mut document: Value = serde_json::from_str(&with_model(&json!({"version": "v1"}))).unwrap();
    document["origins"]["again"] = document["origins"]["scores"].clone();
    document["origins"]["again"]["version"] = version.clone();
    document["origins"]["all"] = json!({"kind": "models", "members": members});
    document["distributions"][0]["behaviors"][3]["action"]["origin"] = json!("all");
    Snapshot::from_json(&document.to_string()).map_err(|error| error.to_string())
}

#[test]
fn versions_of_a_model_and_groups_of_models_are_compiled() {
    let shop = with_models(&json!("v2"), &json!(["scores", "again"])).unwrap();
    let [group] = shop.model_groups.as_slice() else { panic!() };
    assert_eq!((group.origin.as_str(), group.members.as_slice()), ("all", &["scores".into(), "again".into()][..]));
    assert!(behavior(&shop, "shop.example.com", "POST", "/").is_model);
    assert!(with_models(&Value::Null, &json!(["again"])).is_ok());
    for (version, members, word) in [
        (json!("v1"), json!(["scores"]), "already"),
        (json!("v2"), json!([]), "0 is not"),
        (json!("v2"), json!(["scores", "scores"]), "twice"),
        (json!("v2"), json!(["site"]), "no model \"site\""),
    ] {
        let error = with_models(&version, &members).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

/// `shop.json` with a group in it, which the last behavior asks.
fn with_group(group: &Value) -> String {
    let mut document: Value = serde_json::from_str(SHOP).unwrap();
    document["origins"]["both"] = group.clone();
    document["distributions"][0]["behaviors"][3]["action"]["origin"] = json!("both");
    document.to_string()
}

#[test]
fn a_group_is_compiled() {
    let group = json!({"kind": "group", "members": ["site", "images"], "failover": [500, 404]});
    let shop = Snapshot::from_json(&with_group(&group)).unwrap();
    let Action::Origin(name) = &behavior(&shop, "shop.example.com", "GET", "/").action else { panic!() };
    assert_eq!(**name, *"both");
    let [group] = &shop.groups[..] else { panic!() };
    assert_eq!(
        (group.name.as_str(), &group.members[..], &group.failover[..]),
        ("both", &["site".to_owned(), "images".to_owned()][..], &[500, 404][..])
    );
    assert_eq!(shop.origins.len(), 2);
}

#[test]
fn what_is_kept_of_an_origin_is_kept_under_a_group_that_begins_with_it() {
    let scope = |shop: &Snapshot| behavior(shop, "shop.example.com", "GET", "/").scope;
    let of = |members: Value| {
        let group = json!({"kind": "group", "members": members, "failover": []});
        scope(&Snapshot::from_json(&with_group(&group)).unwrap())
    };
    assert_eq!(of(json!(["site", "images"])), scope(&shop()));
    assert_ne!(of(json!(["images", "site"])), scope(&shop()));
}

#[test]
fn a_policy_is_compiled() {
    let shop = shop();
    let pages = &behavior(&shop, "shop.example.com", "GET", "/").policy;
    assert_eq!(pages.name, "pages");
    assert_eq!(pages.default_ttl, Duration::from_secs(60));
    assert_eq!(pages.key.query, QueryRule::Allow(vec!["page".to_owned(), "lang".to_owned()]));
    assert_eq!(pages.key.headers, ["x-currency"], "names of headers are lower case");
    assert_eq!(pages.forward.headers, ["authorization"]);
    let immutable = &behavior(&shop, "shop.example.com", "GET", "/images/a").policy;
    assert_eq!(immutable.negative_ttl, [(404, Duration::from_secs(10)), (503, Duration::from_secs(1))]);
}

#[test]
fn redirects_and_answers_are_compiled() {
    let shop = shop();
    let Action::Redirect { status, location } = &behavior(&shop, "shop.example.com", "GET", "/old/x").action else {
        panic!()
    };
    assert_eq!(*status, 308);
    assert_eq!(location.render("shop.example.com", "/old/x", Some("q")), "https://shop.example.com/new/old/x?q");
    let Action::Answer { status, fields, body } = &behavior(&shop, "other.example", "GET", "/").action else {
        panic!()
    };
    assert_eq!((*status, &body[..]), (404, &b"no shop here"[..]));
    assert_eq!(fields.first("Content-Type"), Some(&b"text/plain"[..]));
}

#[test]
fn networks_are_compared_as_the_family_they_are_of() {
    let shop = shop();
    let networks = &behavior(&shop, "shop.example.com", "GET", "/internal/x").networks;
    for (address, allowed) in [
        ("10.2.0.1", true),
        ("::ffff:10.2.0.1", true),
        ("10.1.0.1", false),
        ("::ffff:10.1.0.1", false),
        ("2001:db8::5", true),
        ("192.0.2.1", false),
    ] {
        assert_eq!(networks.allows(address.parse().unwrap()), allowed, "{address}");
    }
}

#[test]
fn edits_remove_and_set() {
    let shop = shop();
    let images = behavior(&shop, "shop.example.com", "GET", "/images/a");
    assert!(behavior(&shop, "shop.example.com", "GET", "/").request_edits.is_empty());
    let mut fields = Fields::new();
    fields.push("X-A", b"0");
    fields.push("X-B", b"0");
    fields.push("X-C", b"0");
    images.request_edits.apply(&mut fields);
    assert_eq!(fields.as_block(), b"X-C: 0\r\nx-a: 1\r\n");
}

#[test]
fn the_scope_changes_with_key_rules_and_origin_and_not_with_lifetimes_and_limits() {
    let scope = |shop: &Snapshot| behavior(shop, "shop.example.com", "GET", "/images/a").scope;
    let before = scope(&shop());
    for (pointer, value, changes) in [
        ("/revision", json!(8), false),
        ("/policies/immutable/max_ttl_seconds", json!(5), false),
        ("/policies/pages/key/host", json!(false), false),
        ("/origins/images/attempts", json!(1), false),
        ("/origins/images/connect_timeout_seconds", json!(1), false),
        ("/origins/images/health/max_failures", json!(0), false),
        ("/distributions/0/behaviors/0/response_headers/remove", json!([]), false),
        ("/distributions/0/behaviors/0/paths", json!(["/images/a"]), false),
        ("/distributions/0/name", json!("other"), true),
        ("/distributions/0/behaviors/0/strip_prefix", json!(""), true),
        ("/distributions/0/behaviors/0/add_prefix", json!("/x"), true),
        ("/distributions/0/behaviors/0/action/origin", json!("site"), true),
        ("/origins/images/endpoint", json!("http://s3.example.com"), true),
        ("/origins/images/bucket", json!("other"), true),
        ("/origins/images/prefix", json!("next/"), true),
        ("/origins/images/index_document", json!(null), true),
        ("/policies/immutable/key/host", json!(false), true),
        ("/policies/immutable/key/headers", json!(["x-kind"]), true),
        ("/policies/immutable/key/cookies", json!(["session"]), true),
        ("/policies/immutable/key/query", json!({"kind": "all", "names": [], "sorted": false}), true),
        ("/policies/immutable/forward/headers", json!(["cookie"]), true),
    ] {
        assert_eq!(scope(&shop_with(pointer, value.clone())) != before, changes, "{pointer} {value}");
    }
    assert_eq!(before, scope(&shop()), "the same document gives the same scope");
}
