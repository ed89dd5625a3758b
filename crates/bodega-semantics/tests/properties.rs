//! What holds for every head, however hostile: nothing panics, decisions keep their promises, parts stay apart.
//! The tables with a row for every branch are beside the decisions.

use std::time::Duration;

use bodega_semantics::cache_control::{self, for_response, parse_targeted};
use bodega_semantics::conditional::{self, Conditional};
use bodega_semantics::fields::{Block, list_members};
use bodega_semantics::key::{self, KeyParts, KeySecret};
use bodega_semantics::multipart;
use bodega_semantics::path::Paths;
use bodega_semantics::policy::{ForwardRules, KeyRules, Mode, QueryRule};
use bodega_semantics::range::{self, RangeDecision};
use bodega_semantics::reuse::{self, Reuse};
use bodega_semantics::storable::{self, Method, RequestFacts, Storable};
use bodega_semantics::{Fields, Head, Key, Policy, Timestamp, cache_status, forwarding, path, vary};
use proptest::prelude::*;

const SECRET: KeySecret = KeySecret([7; 16]);
/// Fields that decisions read.
const NAMES: &[&str] = &[
    "Age",
    "Authorization",
    "Bodega-Cache-Control",
    "CDN-Cache-Control",
    "CDN-Loop",
    "Cache-Control",
    "Connection",
    "Cookie",
    "Date",
    "ETag",
    "Expires",
    "Forwarded",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Last-Modified",
    "Pragma",
    "Range",
    "Set-Cookie",
    "Vary",
    "Via",
    "X-Forwarded-For",
];
/// Pieces of which values are made that get far into the parsers.
const PIECES: &[&str] = &[
    "max-age",
    "s-maxage",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "stale-while-revalidate",
    "stale-if-error",
    "=",
    "=60",
    "=\"60\"",
    "=99999999999999999999",
    "=-1",
    ",",
    ", ",
    ";",
    "; ",
    "\"",
    "\\",
    "*",
    "W/",
    "\"a\"",
    "bytes=",
    "0-",
    "-5",
    "3-4",
    " ",
    "\t",
    "gzip",
    "br;q=0",
    "q=0.5",
    "en",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "a=1",
    "0",
    "2147483648",
    "192.0.2.1",
    "[::1]:80",
    "(",
    ")",
    "?1",
    "%\"",
    ":",
    "id=x",
    "Accept-Encoding",
    "Set-Cookie",
    "x",
];

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(proptest::sample::select(PIECES), 0..8)
            .prop_map(|pieces| pieces.concat().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

fn head() -> impl Strategy<Value = Fields> {
    proptest::collection::vec((proptest::sample::select(NAMES), value()), 0..8).prop_map(|lines| {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(name, &value);
        }
        fields
    })
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0_u64..100, any::<u64>()]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![
        4 => proptest::sample::select(vec![200_u16, 204, 206, 301, 302, 304, 404, 500, 501, 503]),
        1 => 200_u16..600,
        1 => any::<u16>(),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<u64>().prop_map(Timestamp), (1_699_999_000_u64..1_700_001_000).prop_map(Timestamp::from_seconds)]
}

prop_compose! {
    fn policy()(
        store in proptest::bool::weighted(0.9),
        (is_rfc, heuristic_only) in any::<(bool, bool)>(),
        (min, default, max, swr, sie) in (seconds(), seconds(), seconds(), seconds(), seconds()),
        negative in proptest::collection::btree_map(100_u16..600, seconds(), 0..3),
    ) -> Policy {
        Policy {
            name: "test".into(),
            store,
            mode: if is_rfc { Mode::Rfc } else { Mode::Safe },
            heuristic_only,
            min_ttl: Duration::from_secs(min),
            default_ttl: Duration::from_secs(default),
            max_ttl: Duration::from_secs(max),
            negative_ttl: negative.into_iter().map(|(status, ttl)| (status, Duration::from_secs(ttl))).collect(),
            stale_while_revalidate: Duration::from_secs(swr),
            stale_if_error: Duration::from_secs(sie),
            strict: None,
            refresh_every: None,
            key: rules(),
            forward: ForwardRules { query: QueryRule::None, headers: vec![], all_headers: false, cookies: vec![] },
            check_content_type: true,
            tags: vec![],
            strip_tags: true,
            max_object_bytes: None,
        }
    }
}

fn rules() -> KeyRules {
    KeyRules {
        query: QueryRule::All,
        sort_query: false,
        headers: vec!["via".into(), "age".into()],
        cookies: vec!["a".into()],
        host: true,
    }
}

fn query_rule() -> impl Strategy<Value = QueryRule> {
    let names = || proptest::collection::vec("[ab%]{1,2}", 0..3);
    prop_oneof![
        Just(QueryRule::None),
        Just(QueryRule::All),
        names().prop_map(QueryRule::Allow),
        names().prop_map(QueryRule::Deny),
    ]
}

/// Paths of few characters in few spellings, so that two of them are often one.
fn spelled_path() -> impl Strategy<Value = String> {
    let unit = prop_oneof![
        Just("a"),
        Just("%61"),
        Just("%41"),
        Just("/"),
        Just("%2F"),
        Just("%2f"),
        Just("."),
        Just("%2e"),
        Just("%25"),
        Just("2F"),
        Just("%C3"),
        Just("%c3"),
        Just("%"),
        Just(";"),
    ];
    proptest::collection::vec(unit, 0..5).prop_map(|units| format!("/{}", units.concat()))
}

fn host_spelling() -> impl Strategy<Value = String> {
    prop_oneof![Just("a.b"), Just("A.b"), Just("a.b."), Just("a.b:80"), Just("a.b:8080"), Just("ab"), Just("a%2Eb")]
        .prop_map(String::from)
}

/// What RFC 3986 section 6.2.2 compares: each byte, and whether it is there as itself or escaped; to an unreserved
/// character that makes no difference.
fn units(text: &str) -> Vec<(bool, u8)> {
    let mut units = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escape = [bytes.clone().next(), bytes.clone().nth(1)];
        match (byte, escape) {
            (b'%', [Some(high), Some(low)]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let value = u8::try_from(
                    (char::from(high).to_digit(16).unwrap_or(0) << 4) + char::from(low).to_digit(16).unwrap_or(0),
                )
                .unwrap_or(0);
                bytes.nth(1);
                let is_unreserved = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
                units.push((!is_unreserved, value));
            }
            _ => units.push((false, byte)),
        }
    }
    units
}

fn is_escaped_well(text: &str) -> bool {
    text.split('%').skip(1).all(|part| {
        part.len() >= 2 && part.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()) && !part.starts_with("00")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn storing_never_breaks_its_promises(
        response in head(), status in status(), policy in policy(), user in any::<bool>(),
        method in proptest::sample::select(vec!["GET", "HEAD", "POST"]), times in (time(), time()), now in time(),
    ) {
        let facts = RequestFacts { method: Method::of(method), has_user_fields: user };
        let decided = storable::decide(&facts, status, &response, &policy, times.0, times.1);
        let (control, _) = for_response(&response);
        if let Storable::Yes(terms) = decided {
            prop_assert!(policy.store && method == "GET" && (200..600).contains(&status));
            let keeps_cookies = policy.mode.is_rfc() || control.withholds("set-cookie");
            prop_assert!((!response.has("set-cookie") || keeps_cookies) && status != 206 && status != 304);
            prop_assert!(!control.no_store || control.must_understand);
            prop_assert_ne!(&control.private, &cache_control::Qualified::Whole);
            prop_assert!(!user || terms.shared_explicit);
            prop_assert!(terms.born <= times.1);
            prop_assert!(terms.expires <= times.1.plus(policy.max_ttl));
            // What is said about reuse afterwards agrees with the terms.
            match reuse::decide(&terms, &facts, None, now) {
                Reuse::Fresh { ttl_seconds, .. } => {
                    prop_assert!(ttl_seconds > 0 && terms.expires > now && !terms.always_validate);
                }
                Reuse::StaleWhileRevalidate { .. } => {
                    prop_assert!(terms.expires <= now && !terms.must_revalidate && !terms.always_validate);
                }
                Reuse::Stale { .. } => prop_assert!(false, "nobody asked for it"),
                Reuse::Revalidate(_) => prop_assert!(terms.always_validate || terms.expires <= now),
                Reuse::NotFor(_) => prop_assert!(user && !terms.shared_explicit),
            }
            prop_assert!(!(reuse::may_serve_on_error(&terms, now) && terms.must_revalidate));
        }
    }

    #[test]
    fn one_more_refusal_never_makes_an_answer_storable(
        response in head(), status in status(), policy in policy(), line in 0_usize..4, times in (time(), time()),
    ) {
        let (name, value) =
            [("Cache-Control", "private"), ("Set-Cookie", "a=1"), ("Vary", "*"), ("Cache-Control", "private=\"\"")][line];
        // By the letter of RFC 9111 a cookie that is set is stored.
        let policy = Policy { mode: Mode::Safe, ..policy };
        let mut refused = response.clone();
        // A targeted field silences `Cache-Control`.
        for targeted in cache_control::TARGETED {
            refused.remove(targeted);
        }
        if name == "Set-Cookie" {
            // It may name the field as one that is left out.
            refused.remove("cache-control");
        }
        refused.push(name, value.as_bytes());
        let decided =
            storable::decide(&RequestFacts::get(false), status, &refused, &policy, times.0, times.1);
        prop_assert!(matches!(decided, Storable::No(_)), "{:?}", decided);
    }

    #[test]
    fn of_cache_control_nothing_but_numbers_gives_a_life(values in proptest::collection::vec(value(), 0..4)) {
        let control = cache_control::parse(values.iter().map(Vec::as_slice));
        let bound = Duration::from_secs(1 << 31);
        for life in [control.max_age, control.s_maxage, control.stale_while_revalidate, control.stale_if_error] {
            prop_assert!(life.is_none_or(|life| life <= bound));
        }
        // Another line may only restrict.
        let more = cache_control::parse(values.iter().map(Vec::as_slice).chain([&b"max-age=1, s-maxage=1"[..]]));
        prop_assert!(more.max_age.is_some_and(|life| life.as_secs() <= 1));
        prop_assert!(more.s_maxage.is_some_and(|life| life.as_secs() <= 1));
        prop_assert!(!control.no_store || more.no_store);
    }

    #[test]
    fn targeted_fields_are_read_or_left(response in head()) {
        for name in cache_control::TARGETED {
            prop_assert!(response.has(name) || parse_targeted(&response, name).is_none());
        }
    }

    #[test]
    fn conditions_of_any_kind_are_evaluated(
        request in head(), stored in head(), status in status(),
        method in proptest::sample::select(vec!["GET", "HEAD", "PUT"]),
    ) {
        let decided = conditional::evaluate(method, &request, status, &stored);
        match decided {
            Conditional::Full => {}
            Conditional::NotModified => prop_assert!((200..300).contains(&status) && method != "PUT"),
            Conditional::Failed => prop_assert!((200..300).contains(&status)),
        }
    }

    #[test]
    fn a_tag_matches_itself_whatever_stands_around_it(
        tag in "(W/)?\"[!#-~]{0,8}\"", others in proptest::collection::vec("(W/)?\"[!#-~]{0,8}\"", 0..4), at in 0_usize..5,
    ) {
        let mut stored = Fields::new();
        stored.push("ETag", tag.as_bytes());
        let mut tags = others.clone();
        tags.insert(at.min(others.len()), tag.clone());
        let mut request = Fields::new();
        request.push("If-None-Match", tags.join(", ").as_bytes());
        prop_assert_eq!(conditional::evaluate("GET", &request, 200, &stored), Conditional::NotModified);
        request.set("If-None-Match", others.join(",").as_bytes());
        let opaque = |tag: &String| tag.trim_start_matches("W/").to_owned();
        let listed = others.iter().any(|other| opaque(other) == opaque(&tag));
        let decided = conditional::evaluate("GET", &request, 200, &stored);
        prop_assert_eq!(decided == Conditional::NotModified, listed);
    }

    #[test]
    fn a_part_lies_within_the_whole(request in head(), stored in head(), total in prop_oneof![0_u64..20, any::<u64>()]) {
        if let RangeDecision::Partial { first, last } = range::decide(&request, &stored, total) {
            prop_assert!(first <= last && last < total);
        }
        prop_assert!(range::requested(&request).is_some() == request.has("range"));
    }

    #[test]
    fn ranges_read_back_as_written(first in any::<u64>(), last in any::<u64>()) {
        let mut request = Fields::new();
        request.push("Range", format!("bytes={first}-{last}").as_bytes());
        let expected = if first <= last {
            range::Requested::From { first, last: Some(last) }
        } else {
            range::Requested::Other
        };
        prop_assert_eq!(range::requested(&request), Some(expected));
    }

    #[test]
    fn several_ranges_are_never_more_than_the_whole(
        asked in proptest::collection::vec((0..5000_u64, proptest::option::of(0..200_u64)), 2..20), total in 1..6000_u64,
    ) {
        let members: Vec<String> = asked
            .iter()
            .map(|(first, more)| more.map_or_else(|| format!("-{first}"), |more| format!("{first}-{}", first + more)))
            .collect();
        let mut request = Fields::new();
        request.push("Range", format!("bytes={}", members.join(",")).as_bytes());
        let held: Vec<(u64, u64)> = match range::decide(&request, &Fields::new(), total) {
            RangeDecision::Full => return Ok(()),
            RangeDecision::Unsatisfiable => vec![],
            RangeDecision::Partial { first, last } => vec![(first, last)],
            RangeDecision::Several(spans) => {
                prop_assert!(spans.len() >= 2);
                prop_assert!(multipart::length(&spans, None, total) < total);
                spans.iter().map(|span| (span.first, span.last)).collect()
            }
        };
        for (at, (first, last)) in held.iter().enumerate() {
            prop_assert!(first <= last && *last < total);
            let is_apart = |(other, end): &(u64, u64)| *end + 1 < *first || *last + 1 < *other;
            prop_assert!(held[at + 1..].iter().all(is_apart), "{held:?}");
        }
        // Exactly what was asked for, byte by byte.
        for at in 0..total {
            let is_asked = asked.iter().any(|(first, more)| match more {
                Some(more) => (*first..=first + more).contains(&at),
                None => at + first >= total,
            });
            prop_assert_eq!(held.iter().any(|(first, last)| (first..=last).contains(&&at)), is_asked, "{}", at);
        }
    }

    #[test]
    fn keys_tell_requests_apart(
        one in ("[ab/]{0,3}", "[ab/]{0,3}", "[ab/]{0,3}", 0_u64..2), other in ("[ab/]{0,3}", "[ab/]{0,3}", "[ab/]{0,3}", 0_u64..2),
        heads in (head(), head()),
    ) {
        let rules = rules();
        let of = |parts: &(String, String, String, u64), head: &Fields| {
            let parts = KeyParts { scope: parts.3, scheme: 0, host: &parts.0, path: &parts.1, query: &parts.2 };
            key::key(&SECRET, &parts, &rules, head)
        };
        let seen = |head: &Fields| {
            let lines = |name| head.all(name).map(<[u8]>::to_vec).collect::<Vec<_>>();
            (lines("via"), lines("age"), key::cookie_value(head, "a").map(<[u8]>::to_vec))
        };
        let same = one == other && seen(&heads.0) == seen(&heads.1);
        prop_assert_eq!(of(&one, &heads.0) == of(&other, &heads.1), same);
    }

    #[test]
    fn variants_are_found_again_and_kept_apart(
        response in head(), one in "[ab, ]{0,6}", other in "[ab, ]{0,6}", request in head(),
    ) {
        if let vary::Vary::Names(names) = vary::parse(&response) {
            prop_assert!(names.is_sorted() && !names.iter().any(|name| name == "*"));
            let variant = vary::variant(&SECRET, Key(1), &names, &request);
            prop_assert_eq!(variant, vary::variant(&SECRET, Key(1), &names, &Fields::copy_of(&request)));
        }
        let of = |value: &str| {
            let mut request = Fields::new();
            request.push("X", value.as_bytes());
            vary::variant(&SECRET, Key(1), ["x"], &request)
        };
        let members = |value: &str| list_members([value.as_bytes()].into_iter()).map(<[u8]>::to_vec).collect::<Vec<_>>();
        prop_assert_eq!(of(&one) == of(&other), members(&one) == members(&other));
    }

    #[test]
    fn filtering_a_query_twice_changes_nothing_more(rule in query_rule(), forward in query_rule(), sort in any::<bool>(), raw in "[ab%61=&+.]{0,16}") {
        let once = key::filter_query(&rule, sort, &raw).into_owned();
        prop_assert_eq!(key::filter_query(&rule, sort, &once), &once[..]);
        // Nothing is in the key that the origin does not get.
        let sent = key::union_query(&rule, &forward, sort, &raw);
        prop_assert_eq!(key::filter_query(&rule, true, &sent), key::filter_query(&rule, true, &raw));
        let came: Vec<&str> = raw.split('&').collect();
        prop_assert!(sent.split('&').all(|parameter| parameter.is_empty() || came.contains(&parameter)));
    }

    #[test]
    fn dot_segments_are_those_of_the_decoded_path(path in "(/|\\\\|\\.|a|%2e|%2E|%2f|%5C|%|2e){0,10}") {
        let decoded = percent_encoding::percent_decode(path.as_bytes()).collect::<Vec<u8>>();
        let expected = decoded
            .split(|byte| matches!(byte, b'/' | b'\\'))
            .any(|segment| segment == b"." || segment == b"..");
        prop_assert_eq!(path::has_dot_segments(&path), expected);
    }

    #[test]
    fn two_paths_have_one_normal_form_only_if_they_are_the_same_units(one in spelled_path(), other in spelled_path()) {
        if let (Some(one_paths), Some(other_paths)) = (Paths::of(&one), Paths::of(&other)) {
            prop_assert_eq!(one_paths.normal == other_paths.normal, units(&one) == units(&other), "{} {}", one, other);
            if one_paths.normal == other_paths.normal {
                prop_assert_eq!(one_paths.matched(), other_paths.matched());
            }
        }
    }

    #[test]
    fn every_spelling_of_a_path_is_one(raw in "/[a-c./~_%;-]{0,6}", choices in proptest::collection::vec(0..4_u8, 8)) {
        let raw = raw.replace('%', "%25");
        if let Some(paths) = Paths::of(&raw) {
            let spelled: String = raw.char_indices().map(|(at, character)| {
                let is_reserved = !(character.is_ascii_alphanumeric() || "-._~".contains(character));
                match choices[at % 8] {
                    0 | 1 => character.to_string(),
                    _ if is_reserved || raw[..at].ends_with(['%']) || raw[..at].ends_with("%2") => character.to_string(),
                    2 => format!("%{:02x}", character as u32),
                    _ => format!("%{:02X}", character as u32),
                }
            }).collect();
            let spelled = Paths::of(&spelled);
            prop_assert_eq!(spelled.as_ref().map(|spelled| &*spelled.normal), Some(&*paths.normal));
        }
    }

    #[test]
    fn a_normal_form_is_its_own(text in "[a%0-9A-F/.;é-]{0,12}") {
        let normal = path::normal_form(&text).into_owned();
        prop_assert_eq!(path::normal_form(&normal), &normal[..]);
    }

    #[test]
    fn two_urls_have_one_key_only_if_they_are_one(
        one in (host_spelling(), spelled_path(), "[ab=&%267e]{0,6}"),
        other in (host_spelling(), spelled_path(), "[ab=&%267e]{0,6}"),
    ) {
        let of = |(host, path, query): &(String, String, String)| {
            let paths = Paths::of(path)?;
            let rules = KeyRules { query: QueryRule::All, sort_query: false, headers: vec![], cookies: vec![], host: true };
            let (host, query) = (key::normalize_host(host), key::keyed_query(&rules, query));
            let parts = KeyParts { scope: 1, scheme: 0, host: &host, path: &paths.normal, query: &query };
            Some((key::key(&SECRET, &parts, &rules, &Fields::new()), key::url_marks(&SECRET, &host, &paths.normal, &query)))
        };
        if let (Some(one_key), Some(other_key)) = (of(&one), of(&other)) {
            let is_one = key::normalize_host(&one.0) == key::normalize_host(&other.0)
                && units(&one.1) == units(&other.1)
                && (one.2 == other.2 || (is_escaped_well(&one.2) && is_escaped_well(&other.2) && units(&one.2) == units(&other.2)));
            prop_assert_eq!(one_key.0 == other_key.0, is_one, "{:?} {:?}", one, other);
            // An invalidation finds what the key holds, and nothing that it tells apart.
            prop_assert_eq!(one_key.1.url == other_key.1.url, is_one);
        }
    }

    #[test]
    fn any_text_is_a_path_a_query_a_host(text in any::<String>(), rule in query_rule(), sort in any::<bool>()) {
        let _ = path::has_dot_segments(&text);
        let _ = key::filter_query(&rule, sort, &text);
        let host = key::normalize_host(&text).into_owned();
        prop_assert!(!host.bytes().any(|byte| byte.is_ascii_uppercase()));
    }

    #[test]
    fn what_goes_on_holds_nothing_for_one_connection(request in head(), trusted in any::<bool>(), peer in any::<u128>()) {
        let mut sent = forwarding::end_to_end(&request);
        prop_assert!(!sent.fields().any(|field| forwarding::is_hop_by_hop(field.name)));
        let peer = std::net::IpAddr::V6(peer.into());
        forwarding::add_forwarded(&mut sent, &request, peer, true, "shop.example", trusted);
        forwarding::append_via(&mut sent, &request, "1.1", "bodega");
        forwarding::append_cdn_loop(&mut sent, &request, "bodega", "x");
        for name in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via", "CDN-Loop"] {
            prop_assert_eq!(sent.all(name).count(), 1, "{}", name);
        }
        prop_assert!(forwarding::client_address(&request, peer, &|_| false) == peer.to_canonical());
        forwarding::client_address(&request, peer, &|_| true);
    }

    #[test]
    fn what_may_have_been_a_loop_is_seen_behind_whole_members(before in "[a-z]{1,5}(; id=[a-z]{1,3})?(, [a-z]{1,5})?") {
        let mut request = Fields::new();
        request.push("CDN-Loop", before.as_bytes());
        let mut sent = Fields::new();
        forwarding::append_cdn_loop(&mut sent, &request, "bodega", "ab12");
        prop_assert!(forwarding::cdn_loop_contains(&sent, "bodega", "ab12"));
    }

    #[test]
    fn fields_read_back_from_their_block(head in head()) {
        prop_assert_eq!(&Fields::from_block(head.as_block()), &head);
        prop_assert_eq!(Block(head.as_block()).fields().count(), head.len());
    }

    #[test]
    fn any_block_is_read_as_far_as_it_goes(block in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(Block(&block).fields().count() <= block.len());
        let _ = Fields::from_block(&block);
    }

    #[test]
    fn members_are_trimmed_parts_of_their_line(line in value()) {
        for member in list_members([&line[..]].into_iter()) {
            prop_assert!(!member.is_empty() && member == member.trim_ascii());
            prop_assert!(line.windows(member.len()).any(|part| part == member));
        }
    }

    #[test]
    fn a_cache_status_is_printable_ascii(name in any::<String>(), detail in any::<String>(), ttl in any::<i64>()) {
        let mut out = Vec::new();
        cache_status::write_hit(&mut out, &name, ttl.unsigned_abs());
        cache_status::write_stale_hit(&mut out, &name, ttl.unsigned_abs(), &detail);
        cache_status::write_detail(&mut out, &name, &detail);
        let said = cache_status::Forwarded {
            name: &name, fwd: "miss", fwd_status: Some(200), stored: true, collapsed: true, ttl: Some(ttl), detail: Some(&detail),
        };
        cache_status::write_forwarded(&mut out, &said);
        prop_assert!(out.iter().all(|byte| matches!(byte, 0x20..=0x7e)));
    }
}
