use super::*;
use crate::EMPTY_FIELD;

fn parse(bytes: &[u8]) -> Result<Summary, u16> {
    parse_within(bytes, &Limits::default())
}

fn parse_within(bytes: &[u8], limits: &Limits) -> Result<Summary, u16> {
    let mut fields = [EMPTY_FIELD; MAX_FIELDS];
    match parse_request(bytes, &mut fields, limits) {
        Ok(Parsed::Complete(head, n_bytes)) => Ok(Summary {
            path_and_query: head.path_and_query.to_owned(),
            host: head.host.map(str::to_owned),
            framing: head.framing,
            keep_alive: head.keep_alive,
            expect_continue: head.expect_continue,
            upgrade: head.upgrade,
            n_fields: head.fields.len(),
            n_bytes,
        }),
        Ok(Parsed::Partial) => Err(0),
        Err(error) => Err(error.status()),
    }
}

#[derive(Debug, PartialEq)]
struct Summary {
    path_and_query: String,
    host: Option<String>,
    framing: BodyFraming,
    keep_alive: bool,
    expect_continue: bool,
    upgrade: bool,
    n_fields: usize,
    n_bytes: usize,
}

/// A request with `lines` between the request line and the empty line.
fn with_lines(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

#[test]
fn a_plain_request_is_read_whole() {
    let bytes = b"GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nX-Empty:\r\nAccept:  */* \r\n\r\nrest";
    let mut fields = [EMPTY_FIELD; 8];
    let Ok(Parsed::Complete(head, n_bytes)) = parse_request(bytes, &mut fields, &Limits::default()) else {
        panic!("not read");
    };
    assert_eq!(&bytes[n_bytes..], b"rest");
    assert_eq!((head.method, head.target, head.path_and_query), ("GET", "/a?b=c", "/a?b=c"));
    assert_eq!((head.version, head.host), (Version::Http11, Some("example.com:8080")));
    assert_eq!(head.fields[2], Field { name: "Accept", value: b"*/*" });
    assert_eq!(head.first("x-empty"), Some(&b""[..]));
    assert_eq!((head.framing, head.keep_alive), (BodyFraming::None, true));
}

#[test]
fn every_proper_prefix_of_a_head_is_partial() {
    let bytes = b"\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end]), Err(0), "at {end}");
    }
    assert_eq!(parse(bytes).map(|head| head.n_bytes), Ok(bytes.len()));
}

#[test]
fn ambiguous_or_malformed_heads_are_refused() {
    let cases: &[(&str, &[u8], u16)] = &[
        ("bare LF ends a line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("bare LF ends a field", b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        ("bare LF ends the head", b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        ("bare CR in the target", b"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("two empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("LF first", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("obs-fold, RFC 9112 5.2", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        ("obs-fold at the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("blank before the colon, RFC 9112 5.1", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
        ("empty name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("control in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400),
        ("DEL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", 400),
        ("no Host", b"GET / HTTP/1.1\r\nX: a\r\n\r\n", 400),
        ("no Host beside an absolute target", b"GET http://a/ HTTP/1.1\r\nX: a\r\n\r\n", 400),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400),
        ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("Host list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        ("user in Host", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("path in Host", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("port that is no number", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
        ("port over 65535", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400),
        ("escape in Host", b"GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", 400),
        ("dot in place of a Host", b"GET / HTTP/1.1\r\nHost: .\r\n\r\n", 400),
        ("empty label first", b"GET / HTTP/1.1\r\nHost: .a\r\n\r\n", 400),
        ("empty label within", b"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400),
        ("two ports", b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400),
        ("open bracket", b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
        ("obs-text in Host", b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400),
        ("user in the target", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("other scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("relative target", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("star for GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("fragment", b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("non-ASCII target", b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("blank in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("two blanks", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("method that is no token", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00", 400),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ];
    for (what, bytes, status) in cases {
        assert_eq!(parse(bytes), Err(*status), "{what}");
    }
}

#[test]
fn lengths_that_could_be_read_in_two_ways_are_refused() {
    let cases = [
        ("both", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        ("both, other order", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"),
        ("equal twice", "Content-Length: 1\r\nContent-Length: 1\r\n"),
        ("equal list", "Content-Length: 1, 1\r\n"),
        ("different twice", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        ("plus", "Content-Length: +1\r\n"),
        ("minus", "Content-Length: -1\r\n"),
        ("hex", "Content-Length: 0x1\r\n"),
        ("empty", "Content-Length:\r\n"),
        ("over 64 bits", "Content-Length: 18446744073709551616\r\n"),
        ("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n"),
        ("identity", "Transfer-Encoding: identity\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked and identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        ("chunked list", "Transfer-Encoding: chunked, chunked\r\n"),
        ("quoted", "Transfer-Encoding: \"chunked\"\r\n"),
        ("vertical tab", "Transfer-Encoding: \x0bchunked\r\n"),
        ("parameter", "Transfer-Encoding: chunked;q=1\r\n"),
        ("empty coding", "Transfer-Encoding:\r\n"),
    ];
    for (what, lines) in cases {
        assert_eq!(parse(&with_lines(&format!("Host: a\r\n{lines}"))), Err(400), "{what}");
    }
    assert_eq!(parse(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(400));
}

#[test]
fn framing_and_persistence_follow_the_fields() {
    use BodyFraming::{Chunked, Length, None};
    let cases = [
        ("HTTP/1.1", "", None, true),
        ("HTTP/1.1", "Content-Length: 0\r\n", Length(0), true),
        ("HTTP/1.1", "content-length: 007\r\n", Length(7), true),
        ("HTTP/1.1", "Transfer-Encoding: Chunked\r\n", Chunked, true),
        ("HTTP/1.1", "Connection: close\r\n", None, false),
        ("HTTP/1.1", "Connection: x, Close\r\n", None, false),
        ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", None, false),
        ("HTTP/1.0", "", None, false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", None, true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", None, false),
    ];
    for (version, lines, framing, keep_alive) in cases {
        let bytes = format!("POST / {version}\r\nHost: a\r\n{lines}\r\n");
        let head = parse(bytes.as_bytes()).unwrap();
        assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{version} {lines}");
    }
}

#[test]
fn expectations_and_upgrades_are_seen_only_where_they_count() {
    let cases = [
        ("POST / HTTP/1.1", "Content-Length: 1\r\nExpect: 100-Continue\r\n", true, false),
        ("POST / HTTP/1.0", "Content-Length: 1\r\nExpect: 100-continue\r\n", false, false),
        ("POST / HTTP/1.1", "Expect: 100-continue\r\n", false, false),
        ("GET / HTTP/1.1", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", false, true),
        ("GET / HTTP/1.1", "Upgrade: websocket\r\n", false, false),
        ("GET / HTTP/1.1", "Connection: upgrade\r\n", false, false),
    ];
    for (line, lines, expect_continue, upgrade) in cases {
        let head = parse(format!("{line}\r\nHost: a\r\n{lines}\r\n").as_bytes()).unwrap();
        assert_eq!((head.expect_continue, head.upgrade), (expect_continue, upgrade), "{line} {lines}");
    }
}

#[test]
fn each_form_of_target_gives_path_and_host() {
    let cases = [
        ("GET /a?b", "/a?b", "field"),
        ("GET //a", "//a", "field"),
        ("GET http://target:80/a?b", "/a?b", "target:80"),
        ("GET HTTPS://target", "/", "target"),
        ("GET http://target.:65535/", "/", "target.:65535"),
        ("GET http://[2001:db8::1]:80/", "/", "[2001:db8::1]:80"),
        ("OPTIONS *", "*", "field"),
        ("OPTIONS http://target", "*", "target"),
        ("CONNECT target:443", "target:443", "target:443"),
    ];
    for (line, path_and_query, host) in cases {
        let head = parse(format!("{line} HTTP/1.1\r\nHost: field\r\n\r\n").as_bytes()).unwrap();
        assert_eq!((head.path_and_query.as_str(), head.host.as_deref()), (path_and_query, Some(host)), "{line}");
    }
}

#[test]
fn limits_have_the_status_that_names_them() {
    let limits = Limits { max_head_bytes: 200, max_request_line_bytes: 50, max_fields: 3 };
    let line = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(n - "GET / HTTP/1.1".len()));
    assert!(parse_within(line(50).as_bytes(), &limits).is_ok());
    assert_eq!(parse_within(line(51).as_bytes(), &limits), Err(414));
    assert_eq!(parse_within(&line(80).as_bytes()[..60], &limits), Err(414));
    assert_eq!(parse_within(line(300).as_bytes(), &limits), Err(414));

    let fields = |n: usize| with_lines(&format!("Host: a\r\n{}", "X: y\r\n".repeat(n - 1)));
    assert!(parse_within(&fields(3), &limits).is_ok());
    assert_eq!(parse_within(&fields(4), &limits), Err(431));

    let head = |n: usize| with_lines(&format!("Host: a\r\nX: {}\r\n", "y".repeat(n - 32)));
    assert_eq!(head(200).len(), 200);
    assert!(parse_within(&head(200), &limits).is_ok());
    assert_eq!(parse_within(&head(201), &limits), Err(431));
    assert_eq!(parse_within(&head(400)[..201], &limits), Err(431));
    assert_eq!(parse_within(&head(400)[..200], &limits), Err(0));

    let hundred = with_lines(&format!("Host: a\r\n{}", "X: y\r\n".repeat(99)));
    assert_eq!(parse(&hundred).map(|head| head.n_fields), Ok(100));
    let more = with_lines(&format!("Host: a\r\n{}", "X: y\r\n".repeat(100)));
    assert_eq!(parse(&more), Err(431));
    let mut few = [EMPTY_FIELD; 4];
    assert!(parse_request(&hundred, &mut few, &Limits::default()).is_err());
}
