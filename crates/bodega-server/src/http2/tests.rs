//! Connections whose two ends take their turns on one thread, frame by frame: what depends on who comes first.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bodega_snapshot::options::EdgeOptions;
use bodega_testkit::bench::{Bench, snapshot_json};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::admission::Admission;
use crate::connection::Connection;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::worker::Thread;
use crate::{front, server};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const WHOLE_REQUEST: u8 = 5;

/// What one thread has, before an answer of so many bytes to everything.
fn thread(options: &Value, body_bytes: usize) -> Arc<Thread> {
    let body = "x".repeat(body_bytes);
    let behavior = json!({"action": {"kind": "answer", "status": 200, "headers": [], "body": body}});
    let bench = Bench::new(&snapshot_json(&json!({}), &behavior, 1));
    let options = EdgeOptions::from_json(&options.to_string()).unwrap();
    Arc::new(server::thread(&options, bench.worker, None, Arc::new(Admission::new(16, 16))).unwrap())
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A client with prior knowledge whose windows are as large as they can be.
struct Client {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Client {
    async fn connect(thread: &Arc<Thread>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 << 10).unwrap();
        let (socket, accepted) = tokio::join!(socket.connect(listener.local_addr().unwrap()), listener.accept());
        let stream = Stream::plain(Socket::Tcp(accepted.unwrap().0));
        let connection = Arc::new(Connection::new(stream, thread.connections.tick()));
        thread.connections.add(Arc::clone(&connection));
        let thread = Arc::clone(thread);
        tokio::spawn(async move { front::run(&thread, &connection).await });
        let mut client = Self { socket: socket.unwrap(), received: Vec::new() };
        client.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
        client.send(WINDOW_UPDATE, 0, 0, &0x4000_0000_u32.to_be_bytes());
        client
    }

    fn raw(&mut self, bytes: &[u8]) {
        assert_eq!(self.socket.try_write(bytes).unwrap(), bytes.len());
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.raw(&[&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat());
    }

    /// RFC 7541: GET, `http`, an authority and a path by their numbers in the static table, a priority by name.
    fn get(&mut self, stream: u32, urgency: u8) {
        let block = [b"\x82\x86\x84\x01\x01a\x00\x08priority\x03u=".as_slice(), &[b'0' + urgency]].concat();
        self.send(HEADERS, WHOLE_REQUEST, stream, &block);
    }

    /// Takes what has come, without letting the edge have a turn.
    fn take(&mut self) -> io::Result<usize> {
        let before = self.received.len();
        loop {
            match self.socket.try_read_buf(&mut self.received) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(self.received.len() - before),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next frame; `None` at the end of the connection.
    async fn frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(head) = self.received.first_chunk::<9>().copied() {
                let n_bytes = 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if self.received.len() >= n_bytes {
                    let rest = self.received.split_off(n_bytes);
                    let payload = std::mem::replace(&mut self.received, rest).split_off(9);
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    return Ok(Some(Frame { kind: head[3], flags: head[4], stream, payload }));
                }
            }
            let mut piece = [0; 16 << 10];
            tokio::time::timeout(Duration::from_secs(30), self.socket.readable()).await.expect("nothing comes")?;
            match self.socket.try_read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(n_bytes) => self.received.extend_from_slice(&piece[..n_bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads to the end of the answers on these streams, as a client that behaves; how much of bodies came.
    async fn answers(&mut self, streams: &[u32]) -> io::Result<usize> {
        let mut left = streams.to_vec();
        let mut n_bytes = 0;
        while !left.is_empty() {
            let Some(frame) = self.frame().await? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            match frame.kind {
                DATA if !frame.payload.is_empty() => {
                    n_bytes += frame.payload.len();
                    let length = u32::try_from(frame.payload.len()).unwrap();
                    // What the edge does not want to hear any more it need not take.
                    let update = [&[0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 0][..], &length.to_be_bytes()].concat();
                    self.socket.try_write(&update)?;
                }
                PING if frame.flags & ACK == 0 => self.send(PING, ACK, 0, &frame.payload),
                _ => {}
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                left.retain(|stream| *stream != frame.stream);
            }
        }
        Ok(n_bytes)
    }
}

/// Gives everybody as many turns as they can use.
async fn settle() {
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stream_that_is_taken_back_when_its_turn_comes_gives_the_turn_on() {
    let thread = thread(&json!({}), 8 << 20);
    let mut client = Client::connect(&thread).await;
    client.get(1, 7);
    settle().await;
    // Everything is full with the first: these wait for their turn.
    client.get(3, 0);
    client.get(5, 3);
    settle().await;
    // The best of them goes in the moment in which there is room again.
    client.send(RST_STREAM, 0, 3, &8_u32.to_be_bytes());
    assert!(client.take().unwrap() > 0);
    settle().await;
    assert!(client.answers(&[1, 5]).await.unwrap() >= 8 << 20);
}

#[tokio::test]
async fn a_connection_in_use_is_not_idle() {
    let thread = thread(&json!({"idle_timeout_seconds": 1}), 10);
    let mut client = Client::connect(&thread).await;
    for n in 0..8 {
        client.get(2 * n + 1, 3);
        assert_eq!(client.answers(&[2 * n + 1]).await.unwrap(), 10);
        // Half of the time.
        for _ in 0..2 {
            thread.connections.sweep(&thread.timeouts);
            settle().await;
        }
    }
    for _ in 0..5 {
        thread.connections.sweep(&thread.timeouts);
        settle().await;
    }
    let goodbye = client.frame().await.unwrap().unwrap();
    assert_eq!((goodbye.kind, &goodbye.payload[..]), (GOAWAY, &[0, 0, 0, 15, 0, 0, 0, 0][..]));
    assert!(client.frame().await.unwrap().is_none());
}

#[tokio::test]
async fn a_download_that_ends_in_a_drain_arrives_whole() {
    const BODY_BYTES: usize = 15 << 20;
    let thread = thread(&json!({}), BODY_BYTES);
    let mut client = Client::connect(&thread).await;
    client.get(1, 3);
    settle().await;
    // The client is told that the connection ends, and answers, while most of the body is still to come. At the end the
    // system holds much of it that the edge is done with.
    thread.drain();
    assert_eq!(client.answers(&[1]).await.unwrap(), BODY_BYTES);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_leave_is_left() {
    let thread = thread(&json!({"idle_timeout_seconds": 3600}), 10);
    let mut client = Client::connect(&thread).await;
    client.get(1, 3);
    client.answers(&[1]).await.unwrap();
    thread.drain();
    // It does not answer the ping that comes with the word.
    for _ in 0..40 {
        thread.connections.sweep(&thread.timeouts);
        settle().await;
    }
    assert!(client.take().is_err());
}
