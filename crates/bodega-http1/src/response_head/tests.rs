use super::*;
use crate::EMPTY_FIELD;

type Summary = (u16, AnswerFraming, Option<u64>, bool);

fn parse(bytes: &[u8], request: RequestKind) -> Result<Option<Summary>, &'static str> {
    parse_with(Codings::Strict, bytes, request)
}

fn parse_with(codings: Codings, bytes: &[u8], request: RequestKind) -> Result<Option<Summary>, &'static str> {
    let mut fields = [EMPTY_FIELD; MAX_FIELDS];
    match parse_response(bytes, request, codings, &mut fields, &Limits::default()) {
        Ok(Parsed::Complete(head, _)) => Ok(Some((head.status, head.framing, head.content_length, head.keep_alive))),
        Ok(Parsed::Partial) => Ok(None),
        Err(error) => Err(error.message()),
    }
}

#[test]
fn a_plain_answer_is_read_whole() {
    let bytes = b"HTTP/1.1 200 All Right\r\nContent-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nok";
    let mut fields = [EMPTY_FIELD; 8];
    let parsed = parse_response(bytes, RequestKind::Other, Codings::Strict, &mut fields, &Limits::default());
    let Ok(Parsed::Complete(head, n_bytes)) = parsed else { panic!("not read") };
    assert_eq!((head.status, head.reason, head.version), (200, "All Right", Version::Http11));
    assert_eq!(head.all("set-cookie").collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(&bytes[n_bytes..], b"ok");
    for end in 0..n_bytes {
        assert_eq!(parse(&bytes[..end], RequestKind::Other), Ok(None), "at {end}");
    }
}

#[test]
fn the_end_of_the_body_follows_rfc_9112_section_6_3() {
    use AnswerFraming::{Chunked, Length, None as Nothing, UntilClose};
    use RequestKind::{Head, Other};
    let cases: &[(&str, &str, RequestKind, Summary)] = &[
        ("HTTP/1.1 200 OK", "Content-Length: 5\r\n", Other, (200, Length(5), Some(5), true)),
        ("HTTP/1.1 200 OK", "Content-Length: 5\r\nConnection: close\r\n", Other, (200, Length(5), Some(5), false)),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", Other, (200, Chunked, None, true)),
        ("HTTP/1.1 200", "", Other, (200, UntilClose, None, false)),
        ("HTTP/1.0 200 OK", "", Other, (200, UntilClose, None, false)),
        ("HTTP/1.0 200 OK", "Content-Length: 5\r\n", Other, (200, Length(5), Some(5), false)),
        ("HTTP/1.0 200 OK", "Content-Length: 5\r\nConnection: keep-alive\r\n", Other, (200, Length(5), Some(5), true)),
        ("HTTP/1.1 200 OK", "Content-Length: 5\r\n", Head, (200, Nothing, Some(5), true)),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", Head, (200, Nothing, None, true)),
        ("HTTP/1.1 200 OK", "", Head, (200, Nothing, None, true)),
        ("HTTP/1.1 304 Not Modified", "Content-Length: 5\r\n", Other, (304, Nothing, Some(5), true)),
        ("HTTP/1.1 204 No Content", "", Other, (204, Nothing, None, true)),
        ("HTTP/1.1 204 No Content", "Content-Length: 0\r\n", Other, (204, Nothing, Some(0), true)),
        ("HTTP/1.1 204 No Content", "Content-Length: 5\r\n", Other, (204, Nothing, Some(5), false)),
        ("HTTP/1.1 100 Continue", "", Other, (100, Nothing, None, true)),
        ("HTTP/1.1 103 Early Hints", "Link: <a>\r\n", Other, (103, Nothing, None, true)),
    ];
    for (line, lines, request, expected) in cases {
        let bytes = format!("{line}\r\n{lines}\r\n");
        assert_eq!(parse(bytes.as_bytes(), *request), Ok(Some(*expected)), "{line} {lines} {request:?}");
    }
}

#[test]
fn ambiguous_or_malformed_answers_are_refused() {
    let cases: &[(&str, &[u8])] = &[
        ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        ("bare LF in one line", b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"),
        ("bare CR", b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"),
        ("empty line first", b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("both lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        ("list of lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n"),
        ("other coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        ("coding in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("obs-fold", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
        ("blank before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
        ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
        ("status under 100", b"HTTP/1.1 099 X\r\n\r\n"),
        ("status over 599", b"HTTP/1.1 999 X\r\n\r\n"),
        ("body in an interim answer", b"HTTP/1.1 103 X\r\nContent-Length: 5\r\n\r\n"),
        ("HTTP/2", b"HTTP/2.0 200 OK\r\n\r\n"),
        ("no HTTP", b"SSH-2.0-OpenSSH\r\n"),
        ("NUL", b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n"),
    ];
    for (what, bytes) in cases {
        assert!(parse(bytes, RequestKind::Other).is_err(), "{what}");
    }
}

#[test]
fn a_head_over_the_limit_is_refused_whether_it_ends_or_not() {
    let limits = Limits { max_head_bytes: 64, ..Limits::default() };
    let whole = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(64));
    for end in [65, whole.len()] {
        let mut fields = [EMPTY_FIELD; 4];
        let parsed =
            parse_response(&whole.as_bytes()[..end], RequestKind::Other, Codings::Strict, &mut fields, &limits);
        assert!(parsed.is_err(), "at {end}");
    }
}

#[test]
fn a_body_under_an_unknown_coding_ends_with_the_connection_where_that_is_taken() {
    use AnswerFraming::{None as Nothing, UntilClose};
    use RequestKind::{Head, Other};
    for coding in ["a", "A-b", "a, b", "a,, b", "identity"] {
        for (line, request, expected) in [
            ("HTTP/1.1 200 OK", Other, (200, UntilClose, None, false)),
            ("HTTP/1.1 200 OK", Head, (200, Nothing, None, false)),
            ("HTTP/1.1 304 Not Modified", Other, (304, Nothing, None, false)),
            ("HTTP/1.1 204 No Content", Other, (204, Nothing, None, false)),
        ] {
            let bytes = format!("{line}\r\nTransfer-Encoding: {coding}\r\nConnection: keep-alive\r\n\r\n");
            assert_eq!(parse_with(Codings::UntilClose, bytes.as_bytes(), request), Ok(Some(expected)), "{bytes}");
            assert!(parse(bytes.as_bytes(), request).is_err(), "{bytes}");
        }
    }
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
    assert_eq!(parse_with(Codings::UntilClose, chunked, Other), parse(chunked, Other));
}

#[test]
fn codings_that_another_parser_could_take_for_chunks_are_refused_even_there() {
    let cases = [
        ("HTTP/1.1 200 OK", "Transfer-Encoding: a\r\nContent-Length: 3\r\n"),
        ("HTTP/1.1 200 OK", "Content-Length: 0\r\nTransfer-Encoding: a\r\n"),
        ("HTTP/1.0 200 OK", "Transfer-Encoding: a\r\n"),
        ("HTTP/1.1 103 Early Hints", "Transfer-Encoding: a\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: a, chunked\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked, a\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked, chunked\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\nTransfer-Encoding: a\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: xchunked\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: CHUNKEDa\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: chunked;a=b\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: \"chunked\"\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: a;b=c\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: a b\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: \r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: ,\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: gzip\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: a, X-GZIP\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: deflate\r\n"),
        ("HTTP/1.1 200 OK", "Transfer-Encoding: compress\r\n"),
    ];
    for (line, lines) in cases {
        let bytes = format!("{line}\r\n{lines}\r\n");
        assert!(parse_with(Codings::UntilClose, bytes.as_bytes(), RequestKind::Other).is_err(), "{bytes}");
    }
}
