//! From the document that Python compiles to bytes on a socket, through the public face alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bodega_edge::fetch::{Fetch, FetchRequest, next_chunk};
use bodega_origin::Origins;
use bodega_semantics::Fields;
use bodega_snapshot::Snapshot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LIMITS: &str = r#""connect_timeout_seconds": 5, "first_byte_timeout_seconds": 5,
    "between_bytes_timeout_seconds": 5, "attempts": 2, "max_connections": 4, "max_queue": 4, "queue_timeout_seconds": 5,
    "health": {"max_failures": 3, "retry_after_seconds": 1, "fail_fast": false}, "ca_file": null"#;

fn snapshot(origins: &str) -> Snapshot {
    let text =
        format!(r#"{{"schema": 1, "revision": 1, "distributions": [], "origins": {{{origins}}}, "policies": {{}}}}"#);
    Snapshot::from_json(&text).unwrap()
}

/// Answers every request with its own head.
async fn echoing() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.unwrap() > 0 {
                    if head.ends_with(b"\r\n\r\n") {
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                        stream.write_all(&head).await.unwrap();
                        head.clear();
                    }
                }
            });
        }
    });
    port
}

async fn get(worker: &impl Fetch, origin: &str) -> String {
    let request = FetchRequest {
        method: "GET".into(),
        path_and_query: "/a.webp?b".into(),
        client_authority: "shop.example.com".into(),
        fields: Fields::new(),
        body: None,
        has_fallback: false,
        by_the_letter: false,
        interim: None,
    };
    let mut answer = worker.fetch(origin, request).await.unwrap();
    let mut body = Vec::new();
    while let Some(piece) = next_chunk(answer.body.as_mut()).await {
        body.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn origins_of_a_snapshot_are_reached_as_it_says_and_as_the_next_one_says() {
    let port = echoing().await;
    let site = |base: &str| {
        format!(r#""site": {{"kind": "http", "url": "http://127.0.0.1:{port}{base}", "host": "viewer", {LIMITS}}}"#)
    };
    let images = format!(
        r#""images": {{"kind": "s3", "endpoint": "http://127.0.0.1:{port}", "bucket": "shop", "prefix": "p",
            "region": "eu-west-1", "path_style": true, "credentials": {{"kind": "unsigned"}},
            "missing_as_404": true, "index_document": null, {LIMITS}}}"#
    );
    let origins = Origins::new(&snapshot(&format!("{}, {images}", site(""))), Arc::new(|_, _| {}));
    let worker = origins.worker();
    assert_eq!(get(&worker, "site").await, "GET /a.webp?b HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
    let expected = format!("GET /shop/p/a.webp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    assert_eq!(get(&worker, "images").await, expected);

    origins.apply(&snapshot(&site("/base")));
    assert!(get(&worker, "site").await.starts_with("GET /base/a.webp?b "));
    worker.close_idle();
}
