//! An edge in memory: the machine with a scripted origin and a fake clock, and a client that reads whole answers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use bodega_edge::exchange::{Journey, OwnedRequest};
use bodega_edge::fetch::{RequestBody, next_chunk};
use bodega_edge::interim::{Came, Interim};
use bodega_edge::{
    Answer, AnswerHead, Begun, BodyPlan, Clock as _, Edge, EdgeSettings, RequestView, Worker, begin, complete,
};
use bodega_eviction::Eviction;
use bodega_eviction::shelf::Shelf;
use bodega_semantics::key::KeySecret;
use bodega_semantics::{Field, Fields, Outcome, Reason};
use bodega_snapshot::{Hsts, Snapshot};
use bodega_store::disk::{Admission, Disk, DiskOptions};
use bodega_store::invalidate::FILE;
use bodega_store::{Invalidations, Memory};
use bytes::Bytes;

use crate::clock::FakeClock;
use crate::origin::ScriptedOrigin;

/// How much the edge of a test may keep.
pub const MEMORY_BYTES: u64 = 64 << 20;

/// How much of a body that is not kept the edge of a test may hold.
pub const FILL_WINDOW_BYTES: u64 = 4 << 20;
/// How many questions a second its origin gets about what has to be confirmed.
pub const CONFIRM_RATE: u32 = 50;

/// The edge, its origin and its clock.
#[derive(Clone)]
pub struct Bench {
    /// The edge, with one thread.
    pub worker: Arc<Worker>,
    /// Its origins, all of them one script.
    pub origin: ScriptedOrigin,
    /// Its clock.
    pub clock: Arc<FakeClock>,
}

/// A request of a test.
#[derive(Clone, Debug, Default)]
pub struct TestRequest {
    /// The method; empty for GET.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `Host`; empty for `example.com`.
    pub host: String,
    /// Field lines.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The client's address.
    pub peer: Option<IpAddr>,
    /// Whether it comes by TLS.
    pub https: bool,
    /// Whether it asks for another protocol, as a front finds out from `Connection` and `Upgrade`.
    pub upgrade: bool,
}

/// What the client of a test got.
#[derive(Clone, Debug)]
pub struct Got {
    /// The status code.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// What came before the answer.
    pub interim: Vec<Interim>,
    /// As much of the body as came.
    pub body: Vec<u8>,
    /// What came after the body.
    pub trailers: Fields,
    /// Whether it broke off.
    pub broken: bool,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason.
    pub reason: Reason,
}

/// A disk tier of `size_bytes` in `path`, once it has found what is there.
///
/// # Panics
/// When it cannot be opened.
#[must_use]
#[expect(clippy::panic, reason = "a test kit fails loudly")]
pub fn disk(path: &Path, size_bytes: u64, admission: Admission, clock: &FakeClock) -> Arc<Disk> {
    let policy = |capacity_bytes| -> Box<dyn Eviction> { Box::new(Shelf::new(capacity_bytes, 0.1)) };
    let options = DiskOptions { admission, ..DiskOptions::new(path, size_bytes, Box::new(policy)) };
    let disk = match Disk::open(options, clock.now(), Box::new(|_| {})) {
        Ok(disk) => disk,
        Err(error) => panic!("the test's disk: {error}"),
    };
    while !disk.is_recovered() {
        std::thread::yield_now();
    }
    disk
}

impl TestRequest {
    /// A GET of `target`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self { target: target.to_owned(), ..Self::default() }
    }
}

impl Bench {
    /// An edge with this configuration.
    ///
    /// # Panics
    /// When the configuration is not valid: a test that says so is what is wanted.
    #[must_use]
    pub fn new(snapshot_json: &str) -> Self {
        Self::with_memory(snapshot_json, MEMORY_BYTES)
    }

    /// An edge with this configuration that may keep `memory_bytes`.
    ///
    /// # Panics
    /// When the configuration is not valid.
    #[must_use]
    pub fn with_memory(snapshot_json: &str, memory_bytes: u64) -> Self {
        Self::with_tiers(snapshot_json, memory_bytes, None)
    }

    /// The same with a disk beside the memory.
    ///
    /// # Panics
    /// When the configuration is not valid.
    #[must_use]
    #[expect(clippy::panic, reason = "a test kit fails loudly")]
    pub fn with_tiers(snapshot_json: &str, memory_bytes: u64, disk: Option<Arc<Disk>>) -> Self {
        let snapshot = match Snapshot::from_json(snapshot_json) {
            Ok(snapshot) => snapshot,
            Err(error) => panic!("the test's configuration: {error}\n{snapshot_json}"),
        };
        let clock = Arc::new(FakeClock::default());
        let origin = ScriptedOrigin::new(Arc::clone(&clock));
        let settings = EdgeSettings {
            name: "bodega".to_owned(),
            instance: "test".to_owned(),
            is_trusted_proxy: Box::new(|address| address == IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            https_port: Some(8443),
            may_debug: Box::new(|address| address == IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7))),
            may_purge: Box::new(|address| address == IpAddr::V4(Ipv4Addr::new(198, 51, 100, 8))),
            fill_window_bytes: FILL_WINDOW_BYTES,
            confirm_rate: CONFIRM_RATE,
            secret: KeySecret([7; 16]),
            report: Box::new(|_, _, _| {}),
        };
        let memory = Memory::new(memory_bytes, Box::new(Shelf::new(memory_bytes, 0.95)));
        let invalidations = match &disk {
            None => Invalidations::new(settings.secret),
            Some(disk) => {
                let is_new = !disk.path().join(FILE).exists();
                let now = clock.now();
                match Invalidations::open(disk.path(), settings.secret, is_new, now, Box::new(|_, _| {})) {
                    Ok(invalidations) => invalidations,
                    Err(error) => panic!("the test's log of invalidations: {error}"),
                }
            }
        };
        let edge = Edge::new(settings, memory, disk, invalidations, snapshot, Arc::<FakeClock>::clone(&clock));
        let worker = Worker {
            edge: Arc::new(edge),
            fetch: Arc::new(origin.clone()),
            metrics: bodega_edge::Metrics::default(),
            fillers: bodega_edge::fillers::Fillers::default(),
        };
        Self { worker: Arc::new(worker), origin, clock }
    }

    /// Sends a request and returns the answer with its body still to be read.
    pub async fn begin(&self, request: &TestRequest) -> Answer {
        self.begin_noting(request, &mut Vec::new()).await
    }

    /// The same, and notes what came before the answer.
    pub async fn begin_noting(&self, request: &TestRequest, before: &mut Vec<Interim>) -> Answer {
        let fields: Vec<Field<'_>> = request
            .headers
            .iter()
            .map(|(name, value)| Field { name: name.as_str(), value: value.as_bytes() })
            .collect();
        let (path, query) = match request.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.target.as_str(), None),
        };
        let view = RequestView {
            method: if request.method.is_empty() { "GET" } else { &request.method },
            https: request.https,
            authority: if request.host.is_empty() { "example.com" } else { &request.host },
            path,
            query,
            fields: &fields,
            peer: request.peer.unwrap_or(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))),
            has_body: !request.body.is_empty(),
            body: Some(&request.body),
            version: "1.1",
            upgrade: request.upgrade,
        };
        let snapshot = self.worker.edge.snapshot.load_full();
        match begin(&self.worker, &snapshot, &view) {
            Begun::Ready(answer) => answer,
            Begun::Predicting(predicting) => predicting.await,
            Begun::Pending(pending) => {
                let mut journey = Journey::new(Arc::clone(&self.worker), OwnedRequest::copy_of(&view), pending);
                let body = (!request.body.is_empty()).then(|| RequestBody::whole(Bytes::from(request.body.clone())));
                let interim = journey.interim();
                let mut answering = Box::pin(complete(journey, body));
                let answer = loop {
                    match interim.next_before(answering.as_mut()).await {
                        Came::Interim(interim) => before.push(interim),
                        Came::Final(answer) => break answer,
                    }
                };
                before.extend(std::iter::from_fn(|| interim.take()));
                answer
            }
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: &TestRequest) -> Got {
        let mut interim = Vec::new();
        let answer = self.begin_noting(request, &mut interim).await;
        Got { interim, ..self.read(answer).await }
    }

    /// Reads the rest of an answer.
    pub async fn read(&self, answer: Answer) -> Got {
        let mut fields = match (&answer.head, &answer.body) {
            (AnswerHead::Built(fields), _) => fields.clone(),
            (AnswerHead::Stored { age_seconds, ttl_seconds, hsts }, BodyPlan::Stored { entry, .. }) => {
                let mut fields = Fields::copy_of(entry);
                fields.push("Via", b"1.1 bodega");
                fields.set("Age", age_seconds.to_string().as_bytes());
                fields.push("Cache-Status", format!("bodega; hit; ttl={ttl_seconds}").as_bytes());
                if let Some(hsts) = hsts {
                    fields.push(Hsts::FIELD, hsts.value().as_bytes());
                }
                fields
            }
            _ => Fields::new(),
        };
        if let Some(length) = answer.content_length {
            fields.set("Content-Length", length.to_string().as_bytes());
        }
        let mut got = Got {
            status: answer.status,
            fields,
            interim: Vec::new(),
            body: Vec::new(),
            trailers: Fields::new(),
            broken: false,
            outcome: answer.outcome,
            reason: answer.reason,
        };
        match answer.body {
            BodyPlan::Empty => {}
            BodyPlan::Bytes(bytes) => got.body.extend_from_slice(&bytes),
            BodyPlan::Stored { entry, from, to } => {
                entry.body().pieces(from, to).for_each(|piece| got.body.extend_from_slice(piece));
            }
            BodyPlan::Read(mut reader) => loop {
                match reader.next().await {
                    Ok(Some(piece)) => got.body.extend_from_slice(piece.as_ref()),
                    Ok(None) => break,
                    Err(_) => {
                        got.broken = true;
                        break;
                    }
                }
            },
            BodyPlan::Stream(mut stream) => {
                while let Some(piece) = next_chunk(&mut *stream).await {
                    match piece {
                        Ok(piece) => got.body.extend_from_slice(&piece),
                        Err(_) => {
                            got.broken = true;
                            break;
                        }
                    }
                }
                got.trailers = stream.trailers().unwrap_or_default();
            }
        }
        // A fill that has just ended stores its entry in its own task.
        tokio::task::yield_now().await;
        got
    }
}

/// One distribution for every host, one behavior with this policy, before the origin `site`.
#[must_use]
pub fn snapshot_json(policy: &serde_json::Value, behavior: &serde_json::Value, revision: u64) -> String {
    let distribution = serde_json::json!({"hosts": ["*"]});
    snapshot_json_for(&distribution, policy, behavior, revision)
}

/// The same with these fields of the distribution.
#[must_use]
pub fn snapshot_json_for(
    distribution: &serde_json::Value,
    policy: &serde_json::Value,
    behavior: &serde_json::Value,
    revision: u64,
) -> String {
    let mut whole_policy = serde_json::json!({
        "store": true, "mode": "safe", "heuristic_only": false,
        "min_ttl_seconds": 0, "default_ttl_seconds": 86400, "max_ttl_seconds": 31_536_000,
        "negative_ttl_seconds": {},
        "stale_while_revalidate_seconds": 0, "stale_if_error_seconds": 0,
        "strict_seconds": null, "refresh_every_seconds": null,
        "key": {"query": {"kind": "all", "names": [], "sorted": false}, "headers": [], "cookies": [], "host": true},
        "forward": {"query": {"kind": "none", "names": []}, "headers": [], "all_headers": false, "cookies": []},
        "check_content_type": true, "tags": [], "strip_tags": true, "max_object_bytes": null
    });
    merge(&mut whole_policy, policy);
    let mut whole_behavior = serde_json::json!({
        "paths": [], "methods": [],
        "action": {"kind": "origin", "origin": "site"},
        "policy": "tested", "strip_prefix": "", "add_prefix": "",
        "allow": [], "deny": [],
        "request_headers": {"set": [], "remove": []},
        "response_headers": {"set": [], "remove": []},
        "authorization": {"kind": "pass"}, "body_key": null
    });
    if behavior.get("action").is_some() {
        // An action of another kind has other fields: it replaces the default one whole.
        whole_behavior["action"] = serde_json::json!({});
    }
    merge(&mut whole_behavior, behavior);
    let mut whole_distribution = serde_json::json!({
        "name": "tested", "hosts": ["*"], "viewer_protocol": "allow-all", "hsts": null,
        "behaviors": [whole_behavior]
    });
    merge(&mut whole_distribution, distribution);
    serde_json::json!({
        "schema": 1,
        "revision": revision,
        "distributions": [whole_distribution],
        "origins": {"site": {
            "kind": "http", "url": "http://127.0.0.1:9", "host": null,
            "connect_timeout_seconds": 5, "first_byte_timeout_seconds": 30, "between_bytes_timeout_seconds": 30,
            "attempts": 2, "max_connections": 256, "max_queue": 1024, "queue_timeout_seconds": 5,
            "health": {"max_failures": 3, "retry_after_seconds": 1, "fail_fast": false}, "ca_file": null
        }},
        "policies": {"tested": whole_policy}
    })
    .to_string()
}

fn merge(whole: &mut serde_json::Value, over: &serde_json::Value) {
    match (whole, over) {
        (serde_json::Value::Object(whole), serde_json::Value::Object(over)) => {
            for (name, value) in over {
                merge(whole.entry(name.clone()).or_insert(serde_json::Value::Null), value);
            }
        }
        (whole, over) if !over.is_null() => *whole = over.clone(),
        _ => {}
    }
}
