use bodega_semantics::{Head, Reason};

use super::*;

#[tokio::test]
async fn an_answer_comes_without_its_hop_by_hop_fields_and_the_connection_is_kept() {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Connection: keep-alive, x-hop\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello",
    )
    .await;
    let worker = server.worker();
    for _ in 0..3 {
        let answer = get(&worker).await.unwrap();
        assert_eq!((answer.status, answer.content_length), (200, Some(5)));
        assert_eq!(answer.fields.as_block(), b"Content-Type: text/plain\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n");
        assert_eq!(body(answer).await.unwrap(), b"hello");
    }
    assert_eq!(server.n_connections(), 1);
}

#[tokio::test]
async fn each_framing_gives_the_body_and_decides_about_the_connection() {
    let cases: [(&str, &str, &[u8], bool); 7] = [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", true),
        ("no bytes", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", true),
        (
            "chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x\r\nk\r\n0\r\nX: y\r\n\r\n",
            b"ok",
            true,
        ),
        ("no body", "HTTP/1.1 204 No Content\r\n\r\n", b"", true),
        ("close", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok", false),
        ("until close", "HTTP/1.1 200 OK\r\n\r\nok", b"ok", false),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", false),
    ];
    for (what, answer, expected, is_kept) in cases {
        let is_closed_by_server = what == "until close";
        let server =
            if is_closed_by_server { Server::answering_once(answer).await } else { Server::answering(answer).await };
        let worker = server.worker();
        assert_eq!(get_body(&worker).await.unwrap(), expected, "{what}");
        assert_eq!(worker.lane("site").unwrap().n_idle(), usize::from(is_kept), "{what}");
        assert_eq!(get_body(&worker).await.unwrap(), expected, "{what}, again");
        assert_eq!(server.n_connections(), if is_kept { 1 } else { 2 }, "{what}");
    }
}

#[tokio::test]
async fn trailers_come_after_the_end_without_what_belongs_into_a_head() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Content-Length\r\n\r\n2\r\nok\r\n0\r\n";
    let framed = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: X-Sum\r\n\r\nok";
    for (answer, announced, expected) in [
        (format!("{chunked}X-Sum: 1\r\nHost: e\r\nX-sum:2\r\n\r\n"), Some("X-Sum"), Some("X-Sum: 1\r\nX-sum: 2\r\n")),
        (format!("{chunked}Content-Length: 9\r\n\r\n"), Some("X-Sum"), None),
        (format!("{chunked}\r\n"), Some("X-Sum"), None),
        (framed.to_owned(), None, None),
    ] {
        let server = Server::answering_once(answer.as_str()).await;
        let mut got = get(&server.worker()).await.unwrap();
        assert!(!got.fields.has("trailer") && !got.fields.has("x-sum"));
        assert_eq!(got.body.announced_trailers(), announced.map(str::as_bytes), "{answer}");
        assert_eq!(got.body.trailers(), None, "before the end");
        while let Some(piece) = bodega_edge::fetch::next_chunk(&mut *got.body).await {
            piece.unwrap();
        }
        let trailers = got.body.trailers();
        assert_eq!(trailers.as_ref().map(Fields::as_block), expected.map(str::as_bytes), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_fits_another_request_ends_its_connection() {
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n";
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/4\r\nContent-Length: 2\r\n\r\nok";
    for (answer, field, value) in [
        (not_modified, "If-None-Match", "\"a\""),
        (not_modified, "If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        (part, "Range", "bytes=0-1"),
    ] {
        let server = Server::answering(answer).await;
        let worker = server.worker();
        let idle_after = async |asked: FetchRequest| {
            let answer = worker.fetch("site", asked).await.unwrap();
            body(answer).await.unwrap();
            worker.lane("site").unwrap().n_idle()
        };
        assert_eq!(idle_after(request("GET", "/")).await, 0, "{answer:.20}, unasked");
        let mut asked = request("GET", "/");
        asked.fields.push(field, value.as_bytes());
        assert_eq!(idle_after(asked).await, 1, "{answer:.20}, {field}");
    }
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
    let worker = server.worker();
    for _ in 0..2 {
        let answer = worker.fetch("site", request("HEAD", "/")).await.unwrap();
        assert_eq!(answer.content_length, Some(1000));
        assert_eq!(body(answer).await.unwrap(), b"");
    }
    assert_eq!(server.n_connections(), 1);
}

#[tokio::test]
async fn interim_answers_are_not_the_answer_and_redirects_are_passed_on() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                  HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n";
    let server = Server::answering(answer).await;
    let worker = server.worker();
    let answer = get(&worker).await.unwrap();
    assert_eq!((answer.status, answer.fields.first("location")), (302, Some(&b"/b"[..])));
    assert!(!answer.fields.has("link"));
}

#[tokio::test]
async fn the_request_goes_out_as_configured() {
    let cases = [
        ("", HostHeader::Own, "/a?b", "GET /a?b HTTP/1.1\r\nHost: ORIGIN\r\nAccept: x\r\n\r\n"),
        ("/base", HostHeader::Viewer, "/a", "GET /base/a HTTP/1.1\r\nHost: shop.example.com\r\nAccept: x\r\n\r\n"),
        ("", HostHeader::Named("n:1".into()), "/", "GET / HTTP/1.1\r\nHost: n:1\r\nAccept: x\r\n\r\n"),
    ];
    for (base_path, host_header, path, expected) in cases {
        let server = Server::start(|_, mut stream| async move {
            let head = read_head(&mut stream).await;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let kind = http(endpoint(server.address), base_path, host_header);
        let worker = worker(Settings { kind, ..server.settings() });
        let mut request = request("GET", path);
        request.fields.push("Accept", b"x");
        let sent = body(worker.fetch("site", request).await.unwrap()).await.unwrap();
        let expected = expected.replace("ORIGIN", &server.address.to_string());
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_line_that_could_be_two_is_not_sent() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let worker = server.worker();
    for path in ["/a b", "/a\r\nX: y", "/\u{e4}"] {
        assert!(worker.fetch("site", request("GET", path)).await.is_err());
    }
    assert_eq!(server.n_connections(), 0);
}

#[tokio::test]
async fn large_bodies_arrive_whole_in_every_framing() {
    let data: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    let mut length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", data.len()).into_bytes();
    length.extend_from_slice(&data);
    for chunk_size in [10, 1000, 9000, 100_000, 3_000_001] {
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in data.chunks(chunk_size) {
            bodega_http1::chunked::write_chunk_header(&mut chunked, chunk.len());
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let server = Server::answering(chunked).await;
        let worker = server.worker();
        for _ in 0..2 {
            assert!(get_body(&worker).await.unwrap() == data, "chunks of {chunk_size}");
        }
        assert_eq!(server.n_connections(), 1);
    }
    let server = Server::answering(length.clone()).await;
    let worker = server.worker();
    for _ in 0..2 {
        assert!(get_body(&worker).await.unwrap() == data);
    }
    assert_eq!(server.n_connections(), 1);
    let until_close = [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), data.clone()].concat();
    let server = Server::answering_once(until_close).await;
    assert!(get_body(&server.worker()).await.unwrap() == data);
}

#[tokio::test]
async fn a_head_may_arrive_byte_by_byte() {
    let server = Server::start(|_, mut stream| async move {
        stream.set_nodelay(true).unwrap();
        read_head(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(get_body(&server.worker()).await.unwrap(), b"ok");
}

#[tokio::test]
async fn the_first_piece_does_not_wait_for_the_second() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let receiver = Arc::new(parking_lot::Mutex::new(Some(receiver)));
    let server = Server::start(move |_, mut stream| {
        let receiver = receiver.lock().take().unwrap();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
            receiver.await.unwrap();
            stream.write_all(b"cd").await.unwrap();
        }
    })
    .await;
    let mut answer = get(&server.worker()).await.unwrap();
    assert_eq!(next_chunk(answer.body.as_mut()).await.unwrap().unwrap(), "ab");
    sender.send(()).unwrap();
    assert_eq!(next_chunk(answer.body.as_mut()).await.unwrap().unwrap(), "cd");
    assert!(next_chunk(answer.body.as_mut()).await.is_none());
}

#[tokio::test]
async fn an_address_of_version_6_is_an_origin_too() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.contains(&format!("\r\nHost: [::1]:{}\r\n", address.port())));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    });
    assert_eq!(get_body(&worker(settings(address))).await.unwrap(), b"ok");
}

#[tokio::test]
async fn a_connection_that_spoke_an_unknown_coding_is_not_used_again() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: a\r\nX: y\r\n\r\n").await;
    let worker = server.worker();
    for n_connections in 1..4 {
        let request = FetchRequest { by_the_letter: true, ..request("HEAD", "/") };
        let answer = worker.fetch("site", request).await.unwrap();
        assert_eq!(answer.fields.as_block(), b"X: y\r\n");
        assert_eq!(body(answer).await.unwrap(), b"");
        assert_eq!(server.n_connections(), n_connections);
    }
    assert_eq!(get_body(&worker).await.unwrap_err().reason, Reason::OriginMalformed);
}
