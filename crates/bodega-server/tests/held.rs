//! An edge that is not to answer anybody yet.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bodega_server::{InProcessRequest, Inherited, Server};
use bodega_snapshot::Snapshot;
use bodega_snapshot::options::EdgeOptions;
use bodega_testkit::bench::snapshot_json;
use serde_json::json;

fn snapshot(body: &str) -> Snapshot {
    let behavior = json!({"action": {"kind": "answer", "status": 200, "headers": [], "body": body}});
    Snapshot::from_json(&snapshot_json(&json!({}), &behavior, 1)).unwrap()
}

fn server() -> Server {
    let options = json!({"hold": true, "threads": 2, "admin": "127.0.0.1:0"}).to_string();
    Server::start(&EdgeOptions::from_json(&options).unwrap(), snapshot("before"), &Inherited::default()).unwrap()
}

fn ask(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.addresses()[0].strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

fn readiness(server: &Server) -> String {
    let address = server.admin_address().unwrap();
    let address = address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    to_the_end(stream)
}

fn to_the_end(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    String::from_utf8(received).unwrap()
}

#[test]
fn who_comes_early_waits_and_is_answered_by_what_is_in_force_then() {
    let server = server();
    let mut early: Vec<TcpStream> = (0..8).map(|_| ask(&server)).collect();
    early[0].set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let nothing = early[0].read(&mut [0; 16]).unwrap_err().kind();
    assert!(matches!(nothing, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{nothing}");
    early[0].set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // What is asked for within the process does not wait: it comes from whoever decides when it serves.
    let request = InProcessRequest {
        method: "GET".to_owned(),
        authority: "a".to_owned(),
        path: "/".to_owned(),
        query: None,
        fields: Vec::new(),
        body: Vec::new(),
        timeout: Duration::from_secs(20),
        max_answer_bytes: 1 << 20,
    };
    assert_eq!(server.request(request).unwrap().body, b"before");
    assert!(readiness(&server).starts_with("HTTP/1.1 503 "));
    server.reload(snapshot("after")).unwrap();
    server.serve();
    assert!(readiness(&server).ends_with("ready\n"));
    server.serve();
    for stream in early {
        assert!(to_the_end(stream).ends_with("after"));
    }
    assert!(to_the_end(ask(&server)).ends_with("after"));
    assert!(server.drain(Duration::from_secs(20), false));
}

#[test]
fn an_edge_that_ends_before_it_serves_answers_nobody() {
    let server = server();
    let mut early = ask(&server);
    assert!(server.drain(Duration::from_secs(20), false));
    drop(server);
    let mut received = Vec::new();
    // A reset, or an end: nothing of an answer.
    let _ = early.read_to_end(&mut received);
    assert_eq!(received, b"");
}
