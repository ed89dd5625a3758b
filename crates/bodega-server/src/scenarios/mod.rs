//! The scenarios of `tests/scenarios` once more, each through a front and a real client at the other end of a socket:
//! what the machine decides must come out of every front alike.
//!
//! A scenario that a protocol cannot say is left out by a rule (`cannot_say`), and counted. Requests of one moment go
//! over connections of their own; what follows them takes one that is there already. Each connection has counters of
//! its own, by which a request's outcome and reason are known that no client sees.

mod http1;
mod http2;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bodega_edge::fillers::Fillers;
use bodega_edge::interim::Interim;
use bodega_edge::{Metrics, Worker};
use bodega_semantics::{Fields, Outcome, Reason};
use bodega_snapshot::options::EdgeOptions;
use bodega_testkit::bench::{Bench, Got, TestRequest};
use bodega_testkit::front::{Front, Opening, Sending};
use bodega_testkit::scenario::{self, Ran};
use bodega_testkit::scenario_files;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::admission::Admission;
use crate::connection::{Connection, Proxied};
use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::session::Session;
use crate::{front, server};

#[test]
fn over_http1() {
    run_all("HTTP/1.1", Protocol::Http1, None);
}

#[test]
fn over_http1_and_tls() {
    run_all("HTTP/1.1 over TLS", Protocol::Http1, Some(Tls::new("http/1.1")));
}

#[test]
fn over_http2() {
    run_all("HTTP/2", Protocol::Http2, None);
}

#[test]
fn over_http2_and_tls() {
    run_all("HTTP/2 over TLS", Protocol::Http2, Some(Tls::new("h2")));
}

/// Runs every file in each of its modes, and tells how many passed and what was left out.
fn run_all(name: &str, protocol: Protocol, tls: Option<Tls>) {
    let options = Arc::new(EdgeOptions::from_json("{}").unwrap());
    let mut n_passed = 0;
    let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failed = Vec::new();
    for (_, file) in scenario_files::all() {
        for mode in scenario::modes(&file).unwrap() {
            // Nobody is heard before everybody has spoken: what is sent at one moment arrives at one.
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().event_interval(100_000).build().unwrap();
            let mut wires = Wires { protocol, tls: tls.clone(), options: Arc::clone(&options), idle: Arc::default() };
            match runtime.block_on(scenario::run_through(&file, mode, &mut wires)) {
                Ok(Ran::Passed) => n_passed += 1,
                Ok(Ran::LeftOut(why)) => *left_out.entry(why).or_default() += 1,
                Err(wrong) => failed.push(wrong),
            }
        }
    }
    let n_left_out: usize = left_out.values().sum();
    println!("scenarios over {name}: {n_passed} passed, {} failed, {n_left_out} left out", failed.len());
    for (why, n_scenarios) in left_out {
        println!("left out over {name}: {n_scenarios}, {why}");
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(n_left_out * 10 < n_passed, "a front that leaves so much out shows little");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Both ends of TLS.
#[derive(Clone)]
struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    fn new(protocol: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["example.com".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file).display().to_string();
        std::fs::write(path("certificate"), made.cert.pem()).unwrap();
        std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        let pair = serde_json::json!({"certificate": path("certificate"), "key": path("key")});
        let options = serde_json::json!({"tls_certificates": [pair]}).to_string();
        let options = EdgeOptions::from_json(&options).unwrap();
        let server = crate::tls::config::configure(&options).unwrap().unwrap().config;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Self { server, client: Arc::new(client) }
    }
}

/// The connections of one scenario.
struct Wires {
    protocol: Protocol,
    /// The certificate is for `example.com`, and the client asks for that whichever host its request names.
    tls: Option<Tls>,
    options: Arc<EdgeOptions>,
    idle: Arc<Mutex<Vec<Wire>>>,
}

/// One connection, seen from its client.
struct Wire {
    peer: IpAddr,
    https: bool,
    worker: Arc<Worker>,
    client: Client,
}

enum Client {
    Http1(http1::Client),
    Http2(http2::Client),
}

/// What a client makes of an answer.
struct Answered {
    status: u16,
    fields: Fields,
    interim: Vec<Interim>,
    body: Vec<u8>,
    trailers: Fields,
    broken: bool,
    /// Whether the connection can be used again.
    keeps: bool,
}

/// What carries bytes.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Front for Wires {
    fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    fn via_version(&self) -> &'static str {
        if self.protocol == Protocol::Http2 { "2" } else { "1.1" }
    }

    fn loses_what_waits(&self) -> bool {
        self.protocol == Protocol::Http2
    }

    fn cannot_say(&self, request: &TestRequest) -> Option<&'static str> {
        if request.https && self.tls.is_none() {
            return Some("it is about clients with HTTPS");
        }
        match self.protocol {
            Protocol::Http1 => http1::cannot_say(request),
            Protocol::Http2 => http2::cannot_say(request),
        }
    }

    fn open<'a>(&'a mut self, bench: &'a Bench, request: &'a TestRequest, n_times: usize) -> Opening<'a> {
        Box::pin(async move {
            let mut sending: Vec<Sending> = Vec::with_capacity(n_times);
            for _ in 0..n_times {
                let wire = self.wire(bench, request).await;
                sending.push(Box::pin(send(wire, request.clone(), Arc::clone(&self.idle))));
            }
            // New connections have been noticed before anything is sent, or they would come before older ones.
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
            sending
        })
    }
}

impl Wires {
    /// A connection for `request`: one that is idle, or a new one.
    async fn wire(&self, bench: &Bench, request: &TestRequest) -> Wire {
        // As in the machine alone.
        let peer = request.peer.unwrap_or(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)));
        let fits = |wire: &Wire| wire.peer == peer && wire.https == request.https;
        let found = {
            let mut idle = self.idle.lock();
            idle.iter().position(fits).map(|at| idle.swap_remove(at))
        };
        match found {
            Some(wire) => wire,
            None => self.connect(bench, peer, request.https).await,
        }
    }

    async fn connect(&self, bench: &Bench, peer: IpAddr, https: bool) -> Wire {
        let (near, far) = UnixStream::pair().unwrap();
        let worker = Arc::new(Worker {
            edge: Arc::clone(&bench.worker.edge),
            fetch: Arc::clone(&bench.worker.fetch),
            metrics: Metrics::default(),
            fillers: Fillers::default(),
        });
        let admission = Arc::new(Admission::new(16, 16));
        let thread = Arc::new(server::thread(&self.options, Arc::clone(&worker), None, admission).unwrap());
        let tls = self.tls.as_ref().filter(|_| https);
        let stream = match tls {
            Some(tls) => {
                let session = ServerConnection::new(Arc::clone(&tls.server)).unwrap();
                Stream::with_tls(Socket::Unix(far), Session::new(session))
            }
            None => Stream::plain(Socket::Unix(far)),
        };
        let connection = Arc::new(Connection::new(stream, thread.connections.tick()));
        connection.set_proxied(Proxied { client: peer, https });
        tokio::spawn(async move { front::run(&thread, &connection).await });
        let io: Box<dyn Io> = match tls {
            Some(tls) => {
                let name = ServerName::try_from("example.com").unwrap();
                Box::new(tokio_rustls::TlsConnector::from(Arc::clone(&tls.client)).connect(name, near).await.unwrap())
            }
            None => Box::new(near),
        };
        let client = match self.protocol {
            Protocol::Http1 => Client::Http1(http1::Client::new(io)),
            Protocol::Http2 => Client::Http2(http2::Client::new(io).await),
        };
        Wire { peer, https, worker, client }
    }
}

/// Sends `request` and reads its answer; the connection becomes idle if it can be used again.
async fn send(mut wire: Wire, request: TestRequest, idle: Arc<Mutex<Vec<Wire>>>) -> Got {
    let before = counted(&wire.worker);
    let answered = match &mut wire.client {
        Client::Http1(client) => client.send(&request).await,
        Client::Http2(client) => client.send(&request).await,
    };
    let Answered { status, fields, interim, body, trailers, broken, keeps } = answered;
    let (outcome, reason) = how_it_ended(&wire.worker, &before).await;
    if keeps {
        idle.lock().push(wire);
    }
    Got { status, fields, interim, body, trailers, broken, outcome, reason }
}

fn counted(worker: &Worker) -> Vec<u64> {
    pairs().map(|(outcome, reason)| worker.metrics.requests(outcome, reason)).collect()
}

fn pairs() -> impl Iterator<Item = (Outcome, Reason)> {
    Outcome::ALL.iter().flat_map(|outcome| Reason::ALL.iter().map(|reason| (*outcome, *reason)))
}

/// The edge counts a request when it has written the last byte, which its client may have seen before.
async fn how_it_ended(worker: &Worker, before: &[u64]) -> (Outcome, Reason) {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let after = counted(worker);
        if let Some((pair, _)) = pairs().zip(after.iter().zip(before)).find(|(_, (after, before))| after > before) {
            return pair;
        }
        assert!(Instant::now() < patience, "a request that was never counted");
        tokio::task::yield_now().await;
    }
}
