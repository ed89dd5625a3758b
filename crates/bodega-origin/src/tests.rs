//! The client against servers of the test's own, over loopback sockets: what they say is scripted to the byte.

mod answers;
mod broken;
mod groups;
mod health;
mod limits;
mod reload;
mod s3;
mod tls;
mod uploads;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bodega_edge::fetch::{Fetch, FetchAnswer, FetchError, FetchRequest, RequestBody, next_chunk};
use bodega_semantics::Fields;
use bodega_snapshot::{Endpoint, HealthLimits, HostHeader, Origin as Settings, OriginKind, OriginLimits};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Origins, WorkerOrigins};

/// A server on a free port, whose connections are each served by a script.
struct Server {
    address: SocketAddr,
    n_connections: Arc<AtomicUsize>,
}

impl Server {
    /// `serve` gets the number of the connection, from 0, and the connection.
    async fn start<S, F>(serve: S) -> Self
    where
        S: Fn(usize, TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), n_connections: Arc::default() };
        let n_connections = Arc::clone(&server.n_connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(n_connections.fetch_add(1, Ordering::SeqCst), stream));
            }
        });
        server
    }

    /// Answers each request head, on each connection, with the same bytes.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |_, mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                while !read_head(&mut stream).await.is_empty() {
                    stream.write_all(&answer).await.unwrap();
                }
            }
        })
        .await
    }

    /// Answers one request a connection with these bytes, and closes.
    async fn answering_once(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |_, mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                read_head(&mut stream).await;
                stream.write_all(&answer).await.unwrap();
            }
        })
        .await
    }

    fn n_connections(&self) -> usize {
        self.n_connections.load(Ordering::SeqCst)
    }

    fn settings(&self) -> Settings {
        settings(self.address)
    }

    fn worker(&self) -> WorkerOrigins {
        worker(self.settings())
    }
}

/// Reads up to the end of a head; empty when the client closed.
async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return String::new(),
        }
    }
    String::from_utf8(head).unwrap()
}

fn settings(address: SocketAddr) -> Settings {
    Settings {
        name: "site".into(),
        kind: http(endpoint(address), "", HostHeader::Own),
        limits: OriginLimits {
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(5),
            between_bytes_timeout: Duration::from_secs(5),
            attempts: 1,
            max_connections: 8,
            max_queue: 8,
            queue_timeout: Duration::from_secs(5),
        },
        health: HealthLimits { max_failures: 0, retry_after: Duration::from_secs(1), fail_fast: false },
        ca_file: None,
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { https: false, host: address.ip().to_string(), port: address.port(), authority: address.to_string() }
}

fn http(endpoint: Endpoint, base_path: &str, host_header: HostHeader) -> OriginKind {
    OriginKind::Http { endpoint, base_path: base_path.into(), host_header }
}

/// The same origin under another host of its own.
fn at_host(settings: Settings, address: SocketAddr, https: bool, host: &str) -> Settings {
    let endpoint = Endpoint { https, host: host.into(), ..endpoint(address) };
    Settings { kind: http(endpoint, "", HostHeader::Own), ..settings }
}

fn origins_of(settings: &[Settings]) -> Arc<Origins> {
    let settings: Vec<_> = settings.iter().cloned().map(Arc::new).collect();
    Origins::of(&settings, &[], Arc::new(|_, _| {}))
}

fn worker(settings: Settings) -> WorkerOrigins {
    origins_of(&[settings]).worker()
}

fn request(method: &str, path_and_query: &str) -> FetchRequest {
    FetchRequest {
        method: method.into(),
        path_and_query: path_and_query.into(),
        client_authority: "shop.example.com".into(),
        fields: Fields::new(),
        body: None,
        has_fallback: false,
        by_the_letter: false,
        interim: None,
    }
}

async fn get(worker: &WorkerOrigins) -> Result<FetchAnswer, FetchError> {
    worker.fetch("site", request("GET", "/")).await
}

/// The whole body, or what it failed of.
async fn body(mut answer: FetchAnswer) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(piece) = next_chunk(answer.body.as_mut()).await {
        let piece = piece?;
        assert!(!piece.is_empty());
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

async fn get_body(worker: &WorkerOrigins) -> Result<Vec<u8>, FetchError> {
    body(get(worker).await?).await
}

/// Waits until `condition` holds, letting other tasks run.
async fn wait_until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the condition never held");
}
