//! What is one key, and what is not.

use super::*;
use crate::fields::Fields;

const SECRET: KeySecret = KeySecret([1; 16]);

fn rules() -> KeyRules {
    KeyRules { query: QueryRule::All, sort_query: false, headers: vec![], cookies: vec![], host: true }
}

fn parts<'a>(host: &'a str, path: &'a str, query: &'a str) -> KeyParts<'a> {
    KeyParts { scope: 1, scheme: 0, host, path, query }
}

#[test]
fn parts_cannot_run_into_each_other() {
    let none = Fields::new();
    let keys = [
        parts("a", "/b", "c"),
        parts("a/", "b", "c"),
        parts("a", "/bc", ""),
        parts("", "a/b", "c"),
        KeyParts { scope: 2, ..parts("a", "/b", "c") },
        KeyParts { scheme: 1, ..parts("a", "/b", "c") },
        KeyParts { scheme: SCHEME_UNTOLD, ..parts("a", "/b", "c") },
    ]
    .map(|parts| key(&SECRET, &parts, &rules(), &none));
    for (at, one) in keys.iter().enumerate() {
        assert!(keys[at + 1..].iter().all(|other| one != other), "{at}");
    }
    assert_ne!(keys[0], key(&KeySecret([2; 16]), &parts("a", "/b", "c"), &rules(), &none));
}

#[test]
fn absent_empty_and_repeated_fields_differ() {
    let rules = KeyRules { headers: vec!["x".into()], cookies: vec!["c".into()], ..rules() };
    let of = |lines: &[(&str, &str)]| {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        key(&SECRET, &parts("a", "/", ""), &rules, &fields)
    };
    let keys = [
        of(&[]),
        of(&[("X", "")]),
        of(&[("X", "a")]),
        of(&[("X", "a"), ("X", "a")]),
        of(&[("Cookie", "c=1")]),
        of(&[("Cookie", "c=2; d=1")]),
    ];
    for (at, one) in keys.iter().enumerate() {
        assert!(keys[at + 1..].iter().all(|other| one != other), "{at}");
    }
    assert_eq!(of(&[("Cookie", "z=1; c=1")]), of(&[("Cookie", "c=1; y=3")]));
}

#[test]
fn every_credential_has_rows_of_its_own() {
    let of = |lines: &[(&str, &str)]| {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        row_key(&SECRET, 1, "h", b"row", credential(&SECRET, &fields))
    };
    let keys = [
        of(&[]),
        of(&[("Authorization", "")]),
        of(&[("Authorization", "Bearer a")]),
        of(&[("Authorization", "Bearer b")]),
        of(&[("Authorization", "Bearer a"), ("Authorization", "Bearer b")]),
        of(&[("Cookie", "Bearer a")]),
        of(&[("Cookie", "Bearer a"), ("Authorization", "Bearer a")]),
    ];
    for (at, one) in keys.iter().enumerate() {
        assert!(keys[at + 1..].iter().all(|other| one != other), "{at}");
    }
    assert_eq!(of(&[("Accept", "*/*")]), keys[0]);
    assert_eq!(of(&[("AUTHORIZATION", "Bearer a"), ("Accept", "*/*")]), keys[2]);
}

#[test]
fn whatever_a_request_brings_is_another_key() {
    let (plain, gzip) = (vec![], vec![b"gzip".to_vec()]);
    let post = ContentParts { method: "POST", content_type: Some(b"a/b"), codings: &plain, body: b"x" };
    let keys = [
        post,
        ContentParts { method: "QUERY", ..post },
        ContentParts { content_type: None, ..post },
        ContentParts { content_type: Some(b""), ..post },
        ContentParts { content_type: Some(b"a/c"), ..post },
        ContentParts { codings: &gzip, ..post },
        ContentParts { body: b"", ..post },
        ContentParts { body: b"y", ..post },
    ]
    .map(|parts| content_key(&SECRET, Key(1), content_digest(&SECRET, &parts)));
    for (at, one) in keys.iter().enumerate() {
        assert!(keys[at + 1..].iter().all(|other| one != other), "{at}");
    }
    assert_ne!(keys[0], content_key(&SECRET, Key(2), content_digest(&SECRET, &post)));
    assert_ne!(keys[0], content_key(&KeySecret([2; 16]), Key(1), content_digest(&SECRET, &post)));
}

#[test]
fn queries_are_filtered_by_decoded_name_and_kept_as_they_came() {
    let allow = QueryRule::Allow(vec!["page".into(), "lang".into()]);
    let deny = QueryRule::Deny(vec!["utm_source".into()]);
    for (rule, sort, raw, expected) in [
        (&QueryRule::All, false, "b=2&a=1&&", "b=2&a=1&&"),
        (&QueryRule::All, true, "a=1&&b=2", "a=1&b=2"),
        (&QueryRule::All, true, "%62=2&a=1", "a=1&%62=2"),
        (&QueryRule::All, true, "", ""),
        (&QueryRule::None, true, "&", ""),
        (&allow, false, "x=1", ""),
        (&allow, false, "page", "page"),
        (&allow, false, "page=1&page=2", "page=1&page=2"),
        (&allow, false, "Page=1", ""),
        (&allow, true, "page=1&lang=de", "lang=de&page=1"),
        (&allow, false, "page=1;x=2", "page=1;x=2"),
        (&deny, false, "&a=1&", "a=1"),
        (&deny, false, "utm_source", ""),
        (&deny, false, "utm_source2=1&=2", "utm_source2=1&=2"),
        (&QueryRule::All, true, "b=2&a=1&b=1", "a=1&b=2&b=1"),
        (&QueryRule::None, false, "a=1", ""),
        (&allow, false, "x=1&page=2&lang=de", "page=2&lang=de"),
        (&allow, false, "p%61ge=2", "p%61ge=2"),
        (&deny, false, "utm_source=x&a=1", "a=1"),
        (&deny, false, "utm%5Fsource=x&a=1", "a=1"),
    ] {
        assert_eq!(filter_query(rule, sort, raw), expected, "{raw}");
    }
    assert_eq!(union_query(&allow, &QueryRule::Allow(vec!["x".into()]), false, "x=1&y=2&page=3"), "x=1&page=3");
}

#[test]
fn a_url_and_all_queries_of_its_path_are_different_marks() {
    let marks = url_marks(&SECRET, "h", "/a", "");
    assert_ne!(marks.path, marks.url);
    assert_eq!(marks.path, url_marks(&SECRET, "h", "/a", "q=1").path);
    assert_ne!(marks.url, url_marks(&SECRET, "h", "/a", "q=1").url);
}

#[test]
fn the_query_of_a_key_is_in_its_normal_form() {
    let all = rules();
    for (raw, expected) in [
        ("a=%7e", "a=~"),
        ("a=%c3%bc&b=%2f", "a=%C3%BC&b=%2F"),
        ("a=1+2", "a=1+2"),
        ("a=1%202", "a=1%202"),
        // What has no one meaning is left as it came.
        ("a=100%&b=%7e", "a=100%&b=%7e"),
        ("A=%2", "A=%2"),
    ] {
        assert_eq!(keyed_query(&all, raw), expected, "{raw}");
    }
    let sorted = KeyRules { sort_query: true, ..all };
    assert_eq!(keyed_query(&sorted, "b=%7e&a=1"), "a=1&b=~");
    assert!(matches!(keyed_query(&sorted, "a=1&b=%C3%BC"), Cow::Borrowed(_)));
}

#[test]
fn a_query_that_stays_as_it_is_is_borrowed() {
    let allow = QueryRule::Allow(vec!["a".into(), "b".into()]);
    for (rule, sort, raw) in [
        (&QueryRule::All, false, "b&&a"),
        (&QueryRule::All, true, "a=1&b=2&b=1&c"),
        (&allow, false, "b=1&a=2"),
        (&allow, true, "a=2&b=1"),
        (&allow, true, ""),
        (&QueryRule::Deny(vec!["x".into()]), true, "a=1"),
        (&QueryRule::None, true, "a=1"),
    ] {
        assert!(matches!(filter_query(rule, sort, raw), Cow::Borrowed(_)), "{rule:?} {raw}");
    }
}

#[test]
fn the_origin_gets_what_either_rule_keeps() {
    let (page, x) = (QueryRule::Allow(vec!["page".into()]), QueryRule::Allow(vec!["x".into()]));
    for (key, forward, sort, raw, expected) in [
        (&page, &QueryRule::None, false, "x=1&page=2", "page=2"),
        (&page, &x, false, "x=1&y=3&page=2", "x=1&page=2"),
        (&page, &x, true, "x=1&y=3&page=2", "page=2&x=1"),
        (&QueryRule::None, &QueryRule::All, false, "x=1&page=2", "x=1&page=2"),
        (&QueryRule::None, &QueryRule::None, false, "x=1", ""),
    ] {
        assert_eq!(union_query(key, forward, sort, raw), expected, "{raw}");
    }
}

#[test]
fn the_values_of_one_field_are_not_those_of_the_next() {
    let rules = KeyRules { headers: vec!["x".into(), "y".into()], cookies: vec!["c".into(), "d".into()], ..rules() };
    let of = |lines: &[(&str, &str)]| {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, value.as_bytes());
        }
        key(&SECRET, &parts("a", "/", ""), &rules, &fields)
    };
    assert_ne!(of(&[("X", "a")]), of(&[("Y", "a")]));
    assert_ne!(of(&[("X", "a"), ("Y", "b")]), of(&[("X", "a"), ("X", "b")]));
    assert_ne!(of(&[("Cookie", "c=1")]), of(&[("Cookie", "d=1")]));
    assert_ne!(of(&[("Cookie", "c=")]), of(&[]));
    assert_eq!(of(&[("x", "a")]), of(&[("X", "a")]));
    assert_eq!(of(&[("Z", "a"), ("Cookie", "e=1")]), of(&[]));
}

#[test]
fn cookies_are_found_by_exact_name() {
    let find = |lines: &[&str], name: &str| {
        let mut fields = Fields::new();
        for line in lines {
            fields.push("Cookie", line.as_bytes());
        }
        cookie_value(&fields, name).map(|value| String::from_utf8_lossy(value).into_owned())
    };
    for (lines, name, expected) in [
        (vec!["a=1; b=2"], "b", Some("2")),
        (vec!["a=1;b=2"], "b", Some("2")),
        (vec!["a=1", "b=2"], "b", Some("2")),
        (vec!["a=1; a=2"], "a", Some("1")),
        (vec!["A=1"], "a", None),
        (vec!["aa=1; b=a=1"], "a", None),
        (vec!["a=x=y"], "a", Some("x=y")),
        (vec!["a=\"q\""], "a", Some("\"q\"")),
        (vec!["a; b=2"], "a", None),
        (vec!["a="], "a", Some("")),
        (vec![], "a", None),
    ] {
        assert_eq!(find(&lines, name).as_deref(), expected, "{lines:?} {name}");
    }
}

#[test]
fn hosts_are_lower_case_without_port_and_final_dot() {
    for (authority, expected) in [
        ("shop.example", "shop.example"),
        ("Shop.Example", "shop.example"),
        ("shop.example:8080", "shop.example"),
        ("shop.example.", "shop.example"),
        ("SHOP.example.:443", "shop.example"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("[2001:DB8::1]:80", "[2001:db8::1]"),
        ("", ""),
        (":", ""),
        (".", ""),
    ] {
        assert_eq!(normalize_host(authority), expected, "{authority}");
    }
    assert!(matches!(normalize_host("shop.example:80"), Cow::Borrowed(_)));
}
