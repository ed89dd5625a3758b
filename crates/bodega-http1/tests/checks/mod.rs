//! What must hold of the codec for any bytes at all. `tests/properties.rs` asks it of generated input in every test
//! run, and `fuzz/` of whatever libFuzzer finds.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a check fails by panicking")]

use bodega_http1::{
    AnswerFraming, BodyFraming, ChunkDecoder, Codings, EMPTY_FIELD, Field, Limits, MAX_FIELDS, Parsed, RequestKind,
    Version, parse_request, parse_response, write,
};

/// Small, so that generated heads reach them.
pub(crate) const LIMITS: Limits = Limits { max_head_bytes: 512, max_request_line_bytes: 64, max_fields: 12 };

/// A request head is accepted whole or not at all, is unambiguous, and means the same when written again.
pub(crate) fn request(bytes: &[u8]) {
    let mut fields = [EMPTY_FIELD; MAX_FIELDS];
    let whole = parse_request(bytes, &mut fields, &LIMITS);
    let Ok(Parsed::Complete(head, n_bytes)) = whole else {
        // What is refused or unfinished as a whole is never complete in part.
        for end in 0..bytes.len() {
            let mut fields = [EMPTY_FIELD; MAX_FIELDS];
            assert!(!matches!(parse_request(&bytes[..end], &mut fields, &LIMITS), Ok(Parsed::Complete(..))));
        }
        return;
    };
    for end in 0..n_bytes {
        let mut fields = [EMPTY_FIELD; MAX_FIELDS];
        assert!(matches!(parse_request(&bytes[..end], &mut fields, &LIMITS), Ok(Parsed::Partial)));
    }
    assert!(n_bytes <= LIMITS.max_head_bytes);
    check_fields(&bytes[..n_bytes], head.fields);
    assert!(count(head.fields, "host") <= 1);
    assert!(has(head.fields, "host") || head.version == Version::Http10);
    let expected = match (field(head.fields, "content-length"), field(head.fields, "transfer-encoding")) {
        (None, None) => BodyFraming::None,
        (Some(length), None) => BodyFraming::Length(std::str::from_utf8(length).unwrap().parse().unwrap()),
        (None, Some(_)) => BodyFraming::Chunked,
        (Some(_), Some(_)) => panic!("both lengths accepted"),
    };
    assert_eq!(head.framing, expected);

    let mut again = Vec::new();
    write::write_request_line(&mut again, head.method, head.target);
    if head.version == Version::Http10 {
        let line_end = again.len();
        again[line_end - 3] = b'0';
    }
    write_fields(&mut again, head.fields);
    // A blank after each colon may have made it longer.
    let limits = Limits { max_head_bytes: again.len(), ..LIMITS };
    let mut fields = [EMPTY_FIELD; MAX_FIELDS];
    let Ok(Parsed::Complete(copy, n_copied)) = parse_request(&again, &mut fields, &limits) else {
        panic!("what was accepted is refused when written again");
    };
    assert_eq!(n_copied, again.len());
    assert_eq!(copy.fields, head.fields);
    assert_eq!((copy.target, copy.host, copy.framing), (head.target, head.host, head.framing));
    assert_eq!((copy.keep_alive, copy.expect_continue), (head.keep_alive, head.expect_continue));
}

/// The same for the head of an answer, to both kinds of request.
pub(crate) fn response(bytes: &[u8]) {
    for codings in [Codings::Strict, Codings::UntilClose] {
        for kind in [RequestKind::Other, RequestKind::Head] {
            response_to(bytes, kind, codings);
        }
    }
}

fn response_to(bytes: &[u8], kind: RequestKind, codings: Codings) {
    let mut fields = [EMPTY_FIELD; MAX_FIELDS];
    let Ok(Parsed::Complete(head, n_bytes)) = parse_response(bytes, kind, codings, &mut fields, &LIMITS) else {
        for end in 0..bytes.len() {
            let mut fields = [EMPTY_FIELD; MAX_FIELDS];
            let part = parse_response(&bytes[..end], kind, codings, &mut fields, &LIMITS);
            assert!(!matches!(part, Ok(Parsed::Complete(..))));
        }
        return;
    };
    for end in 0..n_bytes {
        let mut fields = [EMPTY_FIELD; MAX_FIELDS];
        let part = parse_response(&bytes[..end], kind, codings, &mut fields, &LIMITS);
        assert!(matches!(part, Ok(Parsed::Partial)));
    }
    assert!((100..=599).contains(&head.status));
    check_fields(&bytes[..n_bytes], head.fields);
    assert!(!(has(head.fields, "content-length") && has(head.fields, "transfer-encoding")));
    let bodiless = head.status < 200 || matches!(head.status, 204 | 304) || kind == RequestKind::Head;
    assert_eq!(head.framing == AnswerFraming::None, bodiless);
    // Only the end of the connection ends such a body: nothing may follow it.
    assert!(!(head.framing == AnswerFraming::UntilClose && head.keep_alive));
    let codes = count(head.fields, "transfer-encoding");
    let is_chunked =
        field(head.fields, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
    assert_eq!(head.framing == AnswerFraming::Chunked, is_chunked && !bodiless);
    if codes > 0 && !is_chunked {
        assert_eq!((codings, head.keep_alive), (Codings::UntilClose, false));
    }
    if codings == Codings::UntilClose && (codes == 0 || is_chunked) {
        // Being patient changes nothing of an answer that is read strictly.
        let mut fields = [EMPTY_FIELD; MAX_FIELDS];
        let strict = parse_response(bytes, kind, Codings::Strict, &mut fields, &LIMITS);
        let Ok(Parsed::Complete(strict, _)) = strict else { panic!("refused where less is refused") };
        assert_eq!((strict.framing, strict.keep_alive), (head.framing, head.keep_alive));
    }
}

/// A chunked body gives the same data, the same end or an error, whether fed whole or byte by byte.
pub(crate) fn chunked(bytes: &[u8]) {
    let whole = decode(bytes, bytes.len().max(1));
    for step in [1, 2, 7] {
        assert_eq!(decode(bytes, step), whole, "in steps of {step}");
    }
    if let Some((_, Some(end))) = &whole {
        assert!(bytes[..*end].ends_with(b"\r\n\r\n"));
        for cut in 0..*end {
            assert!(!matches!(decode(&bytes[..cut], cut.max(1)), Some((_, Some(_)))), "done before its end");
        }
    }
}

/// The data, and where the body ended if it did; `None` for an error.
fn decode(bytes: &[u8], step: usize) -> Option<(Vec<u8>, Option<usize>)> {
    let mut decoder = ChunkDecoder::new();
    let mut data = Vec::new();
    let (mut at, mut end) = (0, 0);
    while end < bytes.len() {
        end = (end + step).min(bytes.len());
        while at < end {
            let found = decoder.decode(&bytes[at..end]).ok()?;
            assert!(found.data.end <= found.consumed && found.consumed <= end - at);
            assert!(found.consumed > 0 || found.done, "no progress");
            data.extend_from_slice(&bytes[at..end][found.data]);
            at += found.consumed;
            if found.done {
                assert!(decoder.is_done());
                return Some((data, Some(at)));
            }
        }
    }
    Some((data, None))
}

fn check_fields(head: &[u8], fields: &[Field<'_>]) {
    assert!(fields.len() <= LIMITS.max_fields);
    assert!(head.ends_with(b"\r\n\r\n"));
    for (at, &byte) in head.iter().enumerate() {
        match byte {
            b'\n' => assert_eq!(head[at - 1], b'\r', "a lone LF"),
            b'\r' => assert_eq!(head[at + 1], b'\n', "a lone CR"),
            _ => {}
        }
    }
    for field in fields {
        assert!(!field.name.is_empty() && field.name.bytes().all(bodega_semantics::fields::is_token_byte));
        assert!(field.value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)));
        assert_eq!(field.value.trim_ascii(), field.value);
    }
}

fn write_fields(out: &mut Vec<u8>, fields: &[Field<'_>]) {
    for field in fields {
        write::write_field(out, field.name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}

fn count(fields: &[Field<'_>], name: &str) -> usize {
    fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count()
}

fn has(fields: &[Field<'_>], name: &str) -> bool {
    count(fields, name) > 0
}

fn field<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}
