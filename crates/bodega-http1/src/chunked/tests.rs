use super::*;

/// The body and what follows it, fed `step` bytes at a time.
fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, Option<Vec<u8>>), ChunkError> {
    let mut decoder = ChunkDecoder::new();
    let mut body = Vec::new();
    let mut at = 0;
    let mut end = 0;
    while end < input.len() {
        end = (end + step).min(input.len());
        while at < end {
            let found = decoder.decode(&input[at..end])?;
            body.extend_from_slice(&input[at..end][found.data]);
            at += found.consumed;
            if found.done {
                return Ok((body, Some(input[at..].to_vec())));
            }
        }
    }
    Ok((body, None))
}

#[test]
fn bodies_are_the_same_however_they_are_split() {
    let cases: &[(&[u8], &[u8])] = &[
        (b"0\r\n\r\nnext", b""),
        (b"5\r\nhello\r\n0\r\n\r\nnext", b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n000\r\n\r\nnext", b"hello world"),
        (b"A;name=\"v;x\"\r\n0123456789\r\n0;last\r\n\r\nnext", b"0123456789"),
        (b"2\r\n\r\n\r\n0\r\n\r\nnext", b"\r\n"),
        (b"1\r\na\r\n0\r\nTrailer: value\r\nX:\r\n\r\nnext", b"a"),
        (b"0000000000000001\r\na\r\n0\r\n\r\nnext", b"a"),
    ];
    for (input, body) in cases {
        for step in 1..=input.len() {
            assert_eq!(decode(input, step), Ok((body.to_vec(), Some(b"next".to_vec()))), "{step}");
        }
    }
}

#[test]
fn malformed_chunks_are_refused_however_they_are_split() {
    let cases: &[(&str, &[u8])] = &[
        ("bare LF after the size", b"5\nhello\r\n0\r\n\r\n"),
        ("bare LF after the data", b"5\r\nhello\n0\r\n\r\n"),
        ("bare LF at the end", b"0\r\n\n"),
        ("no size", b"\r\nhello\r\n"),
        ("extension without size", b";x\r\n"),
        ("blank before the size", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("blank after the size", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("sign", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("17 digits", b"00000000000000005\r\nhello\r\n"),
        ("over 64 bits", b"10000000000000000\r\n"),
        ("data longer than the size", b"5\r\nhello!\r\n0\r\n\r\n"),
        ("data shorter than the size", b"5\r\nhell\r\n0\r\n\r\n"),
        ("LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("NUL in an extension", b"5;\0\r\nhello\r\n0\r\n\r\n"),
        ("folded trailer", b"0\r\nA: b\r\n c\r\n\r\n"),
        ("blank before a trailer's colon", b"0\r\nA : b\r\n\r\n"),
        ("trailer without a colon", b"0\r\nGET / HTTP/1.1\r\n\r\n"),
        ("bare LF in a trailer", b"0\r\nA: b\n\r\n"),
    ];
    for (what, input) in cases {
        for step in 1..=input.len() {
            assert!(decode(input, step).is_err(), "{what} {step}");
        }
    }
}

#[test]
fn a_body_cut_short_is_never_done() {
    let input = b"5;x\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for end in 0..input.len() {
        assert_eq!(decode(&input[..end], 3).map(|(_, rest)| rest), Ok(None), "{end}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded_over_the_whole_body() {
    let many = b"1;xxxxxxxxxxxxxxxx\r\na\r\n".repeat(MAX_EXTENSION_BYTES / 16 + 1);
    assert!(decode(&many, 1000).is_err());
    let mut trailers = b"0\r\n".to_vec();
    trailers.extend_from_slice(&b"A: b\r\n".repeat(MAX_TRAILER_BYTES / 6 + 1));
    assert!(decode(&trailers, 1000).is_err());
}

#[test]
fn trailers_are_kept_if_they_are_wanted_however_they_are_split() {
    for (input, expected) in [
        (&b"0\r\n\r\n"[..], None),
        (b"1\r\na\r\n0\r\nX:  a b\t\r\nx-y:\r\nX: :\r\n\r\n", Some(&b"X: a b\r\nx-y: \r\nX: :\r\n"[..])),
    ] {
        for step in 1..=input.len() {
            let mut decoder = ChunkDecoder::keeping_trailers();
            let mut forgetful = ChunkDecoder::new();
            for piece in input.chunks(step) {
                let mut rest = piece;
                while !rest.is_empty() {
                    assert_eq!(decoder.take_trailers(), None, "before the end");
                    let found = decoder.decode(rest).unwrap();
                    assert_eq!(forgetful.decode(rest), Ok(found.clone()));
                    rest = &rest[found.consumed..];
                }
            }
            assert_eq!(decoder.take_trailers().as_ref().map(Fields::as_block), expected, "{step}");
            assert_eq!(decoder.take_trailers(), None, "once");
            assert_eq!(forgetful.take_trailers(), None);
        }
    }
    let many = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(MAX_TRAILERS + 1), b"\r\n".to_vec()].concat();
    let mut decoder = ChunkDecoder::keeping_trailers();
    assert!(decoder.decode(&many).unwrap().done);
    assert_eq!(decoder.take_trailers().unwrap().len(), MAX_TRAILERS);
}

#[test]
fn the_largest_size_is_read_without_overflow() {
    let mut decoder = ChunkDecoder::new();
    let input = b"ffffffffffffffff\r\nabc";
    assert_eq!(decoder.decode(input), Ok(Step { consumed: 21, data: 18..21, done: false }));
    assert_eq!(decoder.remaining, u64::MAX - 3);
}

#[test]
fn what_is_written_is_read_back() {
    for n_bytes in [1_usize, 9, 10, 15, 16, 255, 256, 4096, 65_535, 65_536] {
        let data = vec![b'x'; n_bytes];
        let mut out = Vec::new();
        write_chunk_header(&mut out, n_bytes);
        assert_eq!(out, format!("{n_bytes:x}\r\n").as_bytes());
        out.extend_from_slice(&data);
        out.extend_from_slice(CHUNK_END);
        out.extend_from_slice(LAST_CHUNK);
        assert_eq!(decode(&out, 7), Ok((data, Some(Vec::new()))));
    }
}
