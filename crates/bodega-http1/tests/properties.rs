//! The checks of `checks/mod.rs` over generated input: heads and bodies put together from pieces that parsers
//! have stumbled over, and plain noise. Short enough for every test run; `fuzz/` goes on where this stops.

mod checks;

use proptest::prelude::*;

/// Pieces of heads, joined in any order.
const HEAD_PIECES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /a?b HTTP/1.1\r\n",
    b"GET http://a.b/c HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 404\r\n",
    b"HTTP/1.1 304 Not Modified\r\n",
    b"HTTP/1.1 103 Early Hints\r\n",
    b"Host: a\r\n",
    b"Host: [::1]:80\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: \r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: a\r\n",
    b"Transfer-Encoding: a, chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Connection: keep-alive, close\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"X:\r\n",
    b"X: \xff\t\r\n",
    b" folded\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b":",
    b" ",
    b"X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\r\n",
];

/// Pieces of chunked bodies.
const CHUNK_PIECES: &[&[u8]] = &[
    b"5\r\nhello\r\n",
    b"a\r\n0123456789\r\n",
    b"1;x=\"y\"\r\na\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"00000000000000001\r\n",
    b"ffffffffffffffff\r\n",
    b"A: b\r\n",
    b"A : b\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b";",
    b"5",
    b" ",
    b"\0",
];

fn joined(pieces: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(pieces), 0..most).prop_map(|pieces| pieces.concat())
}

/// A start line first and an empty line last, so that many are accepted; one byte may be spoiled.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let spoiled = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (0..9_usize, joined(&HEAD_PIECES[9..], 8), any::<bool>(), spoiled).prop_map(|(start, middle, host, spoiled)| {
        let host: &[u8] = if host { b"Host: a\r\n" } else { b"" };
        let mut bytes = [HEAD_PIECES[start], host, &middle, b"\r\n"].concat();
        if let Some((at, byte)) = spoiled {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn heads_are_read_alike_however_they_arrive(bytes in prop_oneof![head(), joined(HEAD_PIECES, 10)]) {
        checks::request(&bytes);
        checks::response(&bytes);
    }

    #[test]
    fn noise_is_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        checks::request(&bytes);
        checks::response(&bytes);
        checks::chunked(&bytes);
    }

    #[test]
    fn chunked_bodies_are_read_alike_however_they_arrive(bytes in joined(CHUNK_PIECES, 12)) {
        checks::chunked(&bytes);
    }
}
