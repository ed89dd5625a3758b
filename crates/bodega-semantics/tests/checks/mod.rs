//! What must hold of each parser of a field, of a path and of a URL, for any bytes at all. `tests/parsers.rs` asks it
//! of generated input in every test run, and `fuzz/` of whatever libFuzzer finds.
//! Input is cut at line feeds, which no value holds: each check says what its lines are.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a check fails by panicking")]

use std::net::IpAddr;
use std::time::Duration;

use bodega_semantics::affected::{self, Asked};
use bodega_semantics::conditional::{self, Conditional};
use bodega_semantics::json::{self, LeftOut};
use bodega_semantics::key::{self, KeyParts, KeySecret};
use bodega_semantics::multipart::{self, Form, Span};
use bodega_semantics::partial::{Missing, Run};
use bodega_semantics::path::{self, Paths};
use bodega_semantics::policy::{KeyRules, QueryRule};
use bodega_semantics::range::{self, RangeDecision};
use bodega_semantics::{
    Fields, Head, Key, cache_control, cache_status, date, deception, fields, forwarding, freshness, groups, vary,
};
use serde_json::Value;

const SECRET: KeySecret = KeySecret([7; 16]);

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n')
}

/// A head whose lines are the input's, in turn under each of these names.
fn head(names: &[&str], bytes: &[u8]) -> Fields {
    let mut head = Fields::new();
    for (name, line) in names.iter().cycle().zip(lines(bytes)) {
        head.push(name, line);
    }
    head
}

/// `Cache-Control` of both directions and its targeted kin: numbers are bounded, and another line only restricts.
pub(crate) fn cache_control(bytes: &[u8]) {
    let values: Vec<&[u8]> = lines(bytes).collect();
    let read = cache_control::parse(values.iter().copied());
    let bound = Duration::from_secs(1 << 31);
    for life in [read.max_age, read.s_maxage, read.stale_while_revalidate, read.stale_if_error] {
        assert!(life.is_none_or(|life| life <= bound));
    }
    let more = cache_control::parse(values.iter().copied().chain([&b"max-age=1, no-store, s-maxage=1"[..]]));
    assert!(more.no_store && more.max_age.unwrap().as_secs() <= 1 && more.s_maxage.unwrap().as_secs() <= 1);
    assert!(!read.must_revalidate || more.must_revalidate);
    for name in ["set-cookie", "x"] {
        assert!(!read.withholds(name) || more.withholds(name));
    }
    let response = head(&["Cache-Control", "CDN-Cache-Control", "Bodega-Cache-Control", "Pragma", "Expires"], bytes);
    let (said, _) = cache_control::for_response(&response);
    assert!(said.max_age.is_none_or(|life| life <= bound));
    for name in cache_control::TARGETED {
        assert!(response.has(name) || cache_control::parse_targeted(&response, name).is_none());
    }
    cache_control::for_request(&head(&["Cache-Control", "Pragma"], bytes));
}

/// A body of JSON: the first line names what is left out, the rest is the body. Its form has a form, the same one, and
/// both are read as one value.
pub(crate) fn json(bytes: &[u8]) {
    let (names, text) = bytes.split_at(bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len()));
    let names: Vec<String> = String::from_utf8_lossy(names).split(' ').map(str::to_owned).collect();
    if let Ok(left_out) = LeftOut::of(&names)
        && let Ok(form) = json::canonical(text, &left_out)
    {
        // What kept its place in an array is `null` by now.
        assert_eq!(json::canonical(&form, &left_out).as_ref(), Ok(&form));
    }
    if let Ok(form) = json::canonical(text, &LeftOut::default()) {
        let (read, again): (Value, Value) =
            (serde_json::from_slice(text).unwrap(), serde_json::from_slice(&form).unwrap());
        assert!(are_one(&read, &again), "{read} {again}");
    }
}

fn are_one(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_one(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| are_one(one, other)))
        }
        _ => one == other,
    }
}

/// `Vary`, and the fields it names: the first line is the answer's, the others the request's.
pub(crate) fn vary(bytes: &[u8]) {
    let response = head(&["Vary", "X-Other"], bytes);
    let request = head(&["X-A", "Accept-Language", "Accept-Encoding", "Vary"], bytes);
    let has_star = fields::list_members(response.all("vary")).any(|member| member == b"*");
    if let vary::Vary::Names(names) = vary::parse(&response) {
        assert!(!has_star && names.is_sorted() && names.iter().all(|name| !name.is_empty()));
        let variant = vary::variant(&SECRET, Key(1), &names, &request);
        assert_eq!(variant, vary::variant(&SECRET, Key(1), &names, &Fields::copy_of(&request)));
    }
    if let Some(language) = vary::preferred_language(&request) {
        assert!(!language.is_empty());
        assert!(request.all("accept-language").any(|line| line.windows(language.len()).any(|part| part == language)));
    }
}

/// A date is read back as it is written, and age is counted from whatever stands there.
pub(crate) fn dates(bytes: &[u8]) {
    if let Some(time) = date::parse(bytes) {
        assert_eq!(date::parse(&date::format(time)), Some(time));
        let response = head(&["Date", "Age", "Expires", "Last-Modified"], bytes);
        let age = freshness::initial_age(&response, time, time.plus(Duration::from_secs(1)));
        assert!(age >= Duration::from_secs(1));
    }
    let response = head(&["Age", "Date"], bytes);
    freshness::initial_age(&response, bodega_semantics::Timestamp(0), bodega_semantics::Timestamp(u64::MAX));
}

/// `Range` and `If-Range`: the first eight bytes are the length of the body. Parts lie within it, apart from each
/// other, and are fewer bytes than the whole.
pub(crate) fn ranges(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return };
    let total = u64::from_le_bytes(*length);
    let request = head(&["Range", "If-Range"], rest);
    let stored = head(&["X-Range", "ETag", "Last-Modified"], rest);
    assert_eq!(range::requested(&request).is_some(), request.has("range"));
    match range::decide(&request, &stored, total) {
        RangeDecision::Full | RangeDecision::Unsatisfiable => {}
        RangeDecision::Partial { first, last } => assert!(first <= last && last < total),
        RangeDecision::Several(spans) => {
            assert!((2..=multipart::MAX_RANGES).contains(&spans.len()));
            assert!(multipart::length(&spans, None, total) < total);
            for (at, span) in spans.iter().enumerate() {
                assert!(span.first <= span.last && span.last < total);
                assert!(spans[at + 1..].iter().all(|other| !other.meets(span)));
            }
        }
    }
}

/// Conditions: the lines are those of a request and of a stored answer.
pub(crate) fn conditions(bytes: &[u8]) {
    const NAMES: [&str; 4] = ["If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"];
    let stored = head(&["ETag", "Last-Modified", "Date"], bytes);
    for name in NAMES {
        let request = head(&[name], bytes);
        let decided = conditional::evaluate("GET", &request, 200, &stored);
        assert_eq!(decided, conditional::evaluate("GET", &Fields::copy_of(&request), 200, &stored));
        match name {
            "If-None-Match" | "If-Modified-Since" => assert_ne!(decided, Conditional::Failed),
            _ => assert_ne!(decided, Conditional::NotModified),
        }
        assert_eq!(conditional::evaluate("GET", &request, 404, &stored), Conditional::Full);
    }
    conditional::evaluate("PUT", &head(&NAMES, bytes), 200, &stored);
    let mut of = lines(bytes);
    if let (Some(one), Some(other)) = (of.next(), of.next()) {
        assert_eq!(conditional::weak_match(one, other), conditional::weak_match(other, one));
    }
}

/// What a request says of its way here: nothing for one connection goes on, and nobody speaks for the peer.
pub(crate) fn forwarded(bytes: &[u8]) {
    const NAMES: [&str; 7] = ["Forwarded", "X-Forwarded-For", "Connection", "Via", "CDN-Loop", "X-A", "TE"];
    let peer: IpAddr = [192, 0, 2, 1].into();
    for names in [&NAMES[..], &["X-Forwarded-For"], &["Forwarded"], &["Connection", "X-A"], &["CDN-Loop"]] {
        let request = head(names, bytes);
        assert_eq!(forwarding::client_address(&request, peer, &|_| false), peer);
        forwarding::client_address(&request, peer, &|_| true);
        let mut sent = forwarding::end_to_end(&request);
        let named = fields::list_members(request.all("connection")).any(|member| member.eq_ignore_ascii_case(b"x-a"));
        assert!(!named || !sent.has("x-a"));
        for is_trusted in [false, true] {
            forwarding::add_forwarded(&mut sent, &request, peer, true, "shop.example", is_trusted);
        }
        forwarding::append_via(&mut sent, &request, "1.1", "bodega");
        forwarding::append_cdn_loop(&mut sent, &request, "bodega", "x");
        assert!(!sent.fields().any(|field| forwarding::is_hop_by_hop(field.name)));
        for name in ["Forwarded", "X-Forwarded-For", "Via", "CDN-Loop"] {
            assert_eq!(sent.all(name).count(), 1, "{name}");
        }
    }
}

/// A path, and the pattern or prefix it is compared with: a form is its own, and has no segments of dots.
pub(crate) fn paths(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (raw, other) = text.split_once('\n').unwrap_or((text, "/a"));
    // Every path that is taken begins so.
    let raw = &format!("/{raw}")[..];
    let normal = path::normal_form(raw);
    assert_eq!(path::normal_form(&normal), normal);
    if let Some(paths) = Paths::of(raw) {
        assert!(!path::has_dot_segments(raw) && !path::has_dot_segments(&paths.normal));
        assert!(!paths.matched().contains("//") && !path::has_dot_segments(paths.matched()));
        let again = Paths::of(&paths.normal).expect("what was taken is taken in its normal form");
        assert_eq!((&again.normal, again.matched()), (&paths.normal, paths.matched()));
        assert!(paths.matched().starts_with('/'));
        deception::contradicts(raw, 200, &head(&["Content-Type"], other.as_bytes()));
    }
    if let Some(pattern) = path::pattern_form(raw) {
        assert_eq!(path::pattern_form(&pattern), Some(pattern));
    }
    if let Some(rest) = path::without_prefix(raw, other) {
        assert!(raw.ends_with(rest));
    }
    assert_eq!(path::without_prefix(raw, raw), Some(""));
}

/// Host, path and query: what goes into a key, and what an answer may make the cache forget.
pub(crate) fn keys(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\n');
    let [host, path, query] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let host = key::normalize_host(host);
    assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
    for (query_rule, sort_query) in [(QueryRule::All, false), (QueryRule::All, true), (QueryRule::None, false)] {
        let rules = KeyRules { query: query_rule, sort_query, headers: vec![], cookies: vec![], host: true };
        let keyed = key::keyed_query(&rules, query);
        assert_eq!(key::keyed_query(&rules, &keyed), keyed);
        let parts = KeyParts { scope: 1, scheme: 0, host: &host, path, query: &keyed };
        let made = key::key(&SECRET, &parts, &rules, &Fields::new());
        assert_eq!(made, key::key(&SECRET, &parts, &rules, &Fields::new()));
        let marks = key::url_marks(&SECRET, &host, path, &keyed);
        assert_eq!(marks.url, key::url_marks(&SECRET, &host, path, &keyed).url);
    }
    let answer = head(&["Location", "Content-Location"], bytes);
    let asked = Asked { scheme: "https", authority: "shop.example", path: "/a/b" };
    let named = affected::named(&asked, &answer);
    assert!(named.len() <= 2 && named.iter().all(|(path, _)| path.starts_with('/')));
    let cookies = head(&["Cookie"], bytes);
    assert!(key::cookie_value(&cookies, "a").is_none() || cookies.has("cookie"));
}

/// `Content-Range`, and what of a request a part lacks.
pub(crate) fn content_ranges(bytes: &[u8]) {
    let mut of = lines(bytes);
    let first = of.next().unwrap_or_default();
    let Some(run) = Run::parse(first) else { return };
    assert_eq!(Run::of(&head(&["Content-Range"], first), None), Some(run));
    assert!(run.span.first <= run.span.last && run.span.last < run.total);
    assert_eq!(Run::parse(&run.content_range()), Some(run));
    assert_eq!(run.is_whole(), run.span.n_bytes() == run.total);
    let Some(wanted) = of.next().and_then(Run::parse) else { return };
    match run.missing(&wanted.span) {
        Missing::Nothing => assert!(run.span.holds(&wanted.span)),
        Missing::Before(more) | Missing::After(more) => {
            assert!(more.first <= more.last && more.meets(&run.span));
            assert!(run.span.with(&more).holds(&wanted.span));
        }
        Missing::Apart => assert!(!run.span.holds(&wanted.span)),
    }
}

/// Several parts in one answer: joined ones lie apart and hold what was asked for, and the length is that of the bytes.
pub(crate) fn multiparts(bytes: &[u8]) {
    let asked: Vec<Span> = bytes
        .chunks_exact(3)
        .map(|three| {
            let first = u64::from(u16::from_le_bytes([three[0], three[1]]));
            Span { first, last: first + u64::from(three[2]) }
        })
        .take(multipart::MAX_RANGES)
        .collect();
    let joined = multipart::coalesce(&asked);
    assert!(asked.iter().all(|span| joined.iter().any(|whole| whole.holds(span))));
    for (at, span) in joined.iter().enumerate() {
        assert!(joined[at + 1..].iter().all(|other| !other.meets(span)));
        assert!(asked.iter().any(|one| one.first == span.first) && asked.iter().any(|one| one.last == span.last));
    }
    let boundary = "b".repeat(multipart::BOUNDARY_BYTES);
    let form = Form { boundary: &boundary, content_type: Some(b"text/plain"), total: 1 << 17 };
    let written: u64 =
        joined.iter().enumerate().map(|(at, span)| form.part_head(*span, at == 0).len() as u64 + span.n_bytes()).sum();
    let length = multipart::length(&joined, form.content_type, form.total);
    assert_eq!(length, written + form.end().len() as u64);
}

/// `Cache-Groups`, and `Cache-Status` of those before: lists that others wrote.
pub(crate) fn group_lists(bytes: &[u8]) {
    let answer = head(&["Cache-Groups"], bytes);
    let marks = groups::marks(&SECRET, "shop.example", &answer, groups::GROUPS);
    assert!(marks.len() <= bytes.len());
    let elsewhere = groups::marks(&SECRET, "other.example", &answer, groups::GROUPS);
    assert!(marks.iter().zip(&elsewhere).all(|(here, there)| here != there), "groups are a host's own");
    let mut out = Vec::new();
    let text = String::from_utf8_lossy(bytes);
    cache_status::write_detail(&mut out, &text, &text);
    assert!(out.iter().all(|byte| matches!(byte, 0x20..=0x7e)));
}
