//! Connections from behind a proxy whose PROXY header does not come whole.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bodega_server::{Inherited, Server};
use bodega_snapshot::Snapshot;
use bodega_snapshot::options::EdgeOptions;
use bodega_testkit::bench::snapshot_json;
use serde_json::json;

const BEGUN: &[u8] = b"PROXY TCP4 192.0.2.7 198.51";
const WHOLE: &[u8] =
    b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn server(handshake_timeout_seconds: f64) -> Server {
    let timeout = handshake_timeout_seconds;
    let options = json!({"proxy_protocol": ["127.0.0.0/8"], "handshake_timeout_seconds": timeout});
    let behavior = json!({"action": {"kind": "answer", "status": 200, "headers": [], "body": "served"}});
    let snapshot = Snapshot::from_json(&snapshot_json(&json!({}), &behavior, 1)).unwrap();
    Server::start(&EdgeOptions::from_json(&options.to_string()).unwrap(), snapshot, &Inherited::default()).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let url = &server.addresses()[0];
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn to_the_end(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    String::from_utf8(received).unwrap()
}

/// Others are served, and of those before them nothing is left.
fn goes_on(server: &Server) {
    let mut stream = connect(server);
    stream.write_all(WHOLE).unwrap();
    assert!(to_the_end(stream).ends_with("served"));
    assert!(server.drain(Duration::from_secs(20), false));
}

#[test]
fn a_header_that_breaks_off_ends_its_connection_alone() {
    let server = server(3600.0);
    let mut stream = connect(&server);
    stream.write_all(BEGUN).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(to_the_end(stream), "");
    goes_on(&server);
}

#[test]
fn a_header_that_does_not_go_on_ends_its_connection_alone() {
    let server = server(0.5);
    let mut stream = connect(&server);
    stream.write_all(BEGUN).unwrap();
    assert_eq!(to_the_end(stream), "");
    goes_on(&server);
}

#[test]
fn a_header_that_comes_byte_by_byte_is_read_and_nothing_behind_it() {
    let server = server(3600.0);
    let mut stream = connect(&server);
    stream.set_nodelay(true).unwrap();
    for byte in WHOLE {
        stream.write_all(&[*byte]).unwrap();
        std::thread::yield_now();
    }
    assert!(to_the_end(stream).ends_with("served"));
    goes_on(&server);
}
