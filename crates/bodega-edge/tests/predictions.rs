//! Rows of a model: computed once, kept, forgotten, and answered whoever else leaves. The model is one that computes when
//! it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;

use bodega_edge::exchange::{Journey, OwnedRequest};
use bodega_edge::fetch::{
    BodyStream, Fetch, FetchAnswer, FetchError, FetchFuture, FetchRequest, OnePiece, RequestBody, next_chunk,
};
use bodega_edge::fillers::Fillers;
use bodega_edge::invalidate::{Force, Selector};
use bodega_edge::predict::{
    Answered, Asked, NotRendered, Predicted, Predicts, Question, Refused, Rendered, Row, Waits,
};
use bodega_edge::{Begun, Metrics, RequestView, Worker, begin, complete};
use bodega_semantics::{Field, Fields, Head, Outcome, Reason};
use bodega_testkit::bench::{Bench, Got, TestRequest, snapshot_json_for};
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;
use tokio::task::{JoinHandle, yield_now};

/// Computes a row when it is told to; what it gives is the row and how often the world had changed when it was asked.
struct Slow {
    fields: Fields,
    world: AtomicUsize,
    asked: Mutex<Vec<Waiting>>,
    n_asked: AtomicUsize,
}

/// A row, the world when it was asked for, and who waits.
type Waiting = (Arc<[u8]>, usize, Arc<dyn Waits>);

impl Predicts for Slow {
    fn path(&self) -> &'static str {
        "/models/slow/versions/1/predict"
    }

    fn fields(&self) -> &Fields {
        &self.fields
    }

    fn predict(&self, row: Arc<[u8]>, whom: Arc<dyn Waits>) {
        self.n_asked.fetch_add(1, Ordering::Relaxed);
        self.asked.lock().push((row, self.world.load(Ordering::Relaxed), whom));
    }
}

impl Slow {
    fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::Relaxed)
    }

    /// Computes what was asked for first. False if nothing is.
    fn compute(&self) -> bool {
        self.compute_at(0)
    }

    fn compute_at(&self, at: usize) -> bool {
        let Some((row, world, whom)) = self.take(at) else { return false };
        whom.told(Predicted::Outputs(outputs(&row, world)));
        true
    }

    fn take(&self, at: usize) -> Option<Waiting> {
        let mut asked = self.asked.lock();
        (at < asked.len()).then(|| asked.remove(at))
    }
}

/// A row, and when it was asked for. What is called after a number is so many bytes long.
fn outputs(row: &[u8], world: usize) -> Vec<u8> {
    let mut outputs = [row, b"@", world.to_string().as_bytes()].concat();
    let n_bytes = std::str::from_utf8(row).ok().and_then(|row| row.trim_end_matches(char::is_alphabetic).parse().ok());
    outputs.resize(outputs.len().max(n_bytes.unwrap_or(0)), b'.');
    outputs
}

/// The rows of a body are what stands between commas.
struct Site(Arc<Slow>);

impl Fetch for Site {
    /// The way of rows that are on their way through the machine.
    fn fetch(&self, _: &str, request: FetchRequest) -> FetchFuture {
        let (fields, world) = (self.0.fields.clone(), self.0.world.load(Ordering::Relaxed));
        self.0.n_asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let row = next_chunk(&mut *request.body.unwrap().stream).await.unwrap()?;
            let body = Bytes::from(outputs(&row, world));
            let content_length = Some(body.len() as u64);
            Ok(FetchAnswer { status: 200, fields, content_length, body: Box::new(OnePiece(Some(body))) })
        })
    }

    fn question(&self, _: &str, asked: &Asked<'_>) -> Option<Result<Box<dyn Question>, Refused>> {
        if asked.path == "/nothing" {
            return Some(Err(Refused { status: 501, told: Rendered::json("not offered".into()) }));
        }
        let row = |row: &[u8]| Row {
            model: Arc::<Slow>::clone(&self.0),
            body: row.into(),
            n_key_bytes: row.len(),
            is_kept: !row.starts_with(b"secret"),
        };
        let rows = asked.body.split(|byte| *byte == b',').map(row).collect();
        Some(Ok(Box::new(Rows { rows, asked_on: thread::current().id() })))
    }

    fn max_question_bytes(&self, _: &str) -> u64 {
        1_000_000
    }
}

struct Rows {
    rows: Vec<Row>,
    asked_on: ThreadId,
}

impl Question for Rows {
    fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn render(&self, answers: &[Answered<'_>]) -> Result<Rendered, NotRendered> {
        let written = |answer: &Answered<'_>| {
            let text = String::from_utf8_lossy(answer.body).into_owned();
            if answer.is_cached { format!("{text}!") } else { text }
        };
        let mut rendered = Rendered::json(answers.iter().map(written).collect::<Vec<_>>().join(",").into());
        let where_written = if self.asked_on == thread::current().id() { "here" } else { "elsewhere" };
        rendered.fields = vec![("Written", where_written.to_owned())];
        Ok(rendered)
    }

    fn render_failure(&self, status: u16, what: &str, row: Option<usize>) -> Rendered {
        let row = row.map(|row| format!(" of row {row}")).unwrap_or_default();
        Rendered::json(format!("{status} {what}{row}").into())
    }
}

fn bench() -> (Bench, Arc<Slow>) {
    bench_with(&json!({"hosts": ["*"]}), &json!({"default_ttl_seconds": 300}))
}

fn bench_with(distribution: &serde_json::Value, policy: &serde_json::Value) -> (Bench, Arc<Slow>) {
    let mut snapshot: serde_json::Value =
        serde_json::from_str(&snapshot_json_for(distribution, policy, &json!({}), 1)).unwrap();
    snapshot["origins"]["site"] = json!({
        "kind": "model", "path": "/nowhere.onnx", "name": "slow", "version": "1", "timeout_seconds": 10,
        "max_batch": 8, "max_queue": 8, "max_body_bytes": 1000, "ttl_seconds": null, "batch_wait_seconds": 0,
        "provider": "cpu", "threads": 1, "isolated": false, "runner": null, "ignored": [], "golden": [],
        "max_memory_bytes": null, "region_only": false
    });
    let mut fields = Fields::new();
    fields.push("Cache-Tag", b"model:slow,model:slow@1");
    let (world, asked, n_asked) = (AtomicUsize::new(0), Mutex::default(), AtomicUsize::new(0));
    let slow = Arc::new(Slow { fields, world, asked, n_asked });
    let bench = Bench::new(&snapshot.to_string());
    let worker = Worker {
        edge: Arc::clone(&bench.worker.edge),
        fetch: Arc::new(Site(Arc::clone(&slow))),
        metrics: Metrics::default(),
        fillers: Fillers::default(),
    };
    (Bench { worker: Arc::new(worker), ..bench }, slow)
}

fn request(body: &str) -> TestRequest {
    TestRequest {
        method: "POST".to_owned(),
        target: "/predict".to_owned(),
        body: body.as_bytes().to_vec(),
        ..TestRequest::default()
    }
}

/// Asks, and lets that come as far as it does.
async fn ask(bench: &Bench, request: TestRequest) -> JoinHandle<Got> {
    let bench = bench.clone();
    let asking = tokio::spawn(async move { bench.send(&request).await });
    settle().await;
    asking
}

async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

fn text(got: &Got) -> &str {
    std::str::from_utf8(&got.body).unwrap()
}

fn said(got: &Got, name: &str) -> String {
    String::from_utf8_lossy(got.fields.first(name).unwrap_or_default()).into_owned()
}

fn purge(bench: &Bench, slow: &Slow, selector: &str) {
    slow.world.fetch_add(1, Ordering::Relaxed);
    bench.worker.edge.invalidate(&[Selector::parse(selector).unwrap()], Force::Hard).unwrap();
}

#[tokio::test]
async fn equal_rows_under_way_are_computed_once_and_then_found() {
    let (bench, slow) = bench();
    let first = ask(&bench, request("a")).await;
    let others = [ask(&bench, request("a")).await, ask(&bench, request("a")).await];
    assert_eq!(slow.n_asked(), 1);
    assert!(slow.compute());
    let got = first.await.unwrap();
    assert_eq!((got.status, text(&got), got.outcome), (200, "a@0", Outcome::Miss));
    assert_eq!(said(&got, "cache-status"), "bodega; fwd=uri-miss; stored");
    assert_eq!(said(&got, "content-type"), "application/json");
    for other in others {
        let got = other.await.unwrap();
        assert_eq!((text(&got), got.outcome), ("a@0", Outcome::Collapsed));
        assert_eq!(said(&got, "cache-status"), "bodega; fwd=uri-miss; collapsed");
    }
    let got = bench.send(&request("a")).await;
    assert_eq!((text(&got), got.outcome, got.reason), ("a@0!", Outcome::Hit, Reason::Fresh));
    assert_eq!(said(&got, "cache-status"), "bodega; hit; ttl=300");
    assert_eq!(slow.n_asked(), 1);
}

#[tokio::test]
async fn of_a_batch_only_what_is_missing_is_computed() {
    let (bench, slow) = bench();
    let one = ask(&bench, request("b")).await;
    slow.compute();
    one.await.unwrap();
    let batch = ask(&bench, request("c,b,a,c")).await;
    assert_eq!(slow.n_asked(), 3, "c and a, once each");
    // In any order.
    assert!(slow.compute_at(1) && slow.compute());
    let got = batch.await.unwrap();
    assert_eq!((got.status, text(&got)), (200, "c@0,b@0!,a@0,c@0"));
}

#[tokio::test]
async fn what_is_purged_while_it_is_under_way_is_neither_kept_nor_joined() {
    for selector in ["tag:model:slow", "tag:model:slow@1", "prefix:http://example.com/models/slow/", "all"] {
        let (bench, slow) = bench();
        let before = ask(&bench, request("a")).await;
        purge(&bench, &slow, selector);
        let after = ask(&bench, request("a")).await;
        assert_eq!(slow.n_asked(), 2, "{selector}");
        assert!(slow.compute());
        assert_eq!(text(&before.await.unwrap()), "a@0");
        let later = ask(&bench, request("a")).await;
        assert_eq!(slow.n_asked(), 2, "{selector}");
        assert!(slow.compute());
        assert_eq!(text(&after.await.unwrap()), "a@1");
        assert_eq!(text(&later.await.unwrap()), "a@1");
        assert_eq!(text(&bench.send(&request("a")).await), "a@1!");
        purge(&bench, &slow, selector);
        let anew = ask(&bench, request("a")).await;
        assert!(slow.compute());
        assert_eq!(text(&anew.await.unwrap()), "a@2", "{selector}");
    }
}

#[tokio::test]
async fn who_leaves_takes_nothing_from_those_who_wait_as_well() {
    let (bench, slow) = bench();
    let leader = ask(&bench, request("a")).await;
    let other = ask(&bench, request("a")).await;
    leader.abort();
    settle().await;
    assert!(slow.compute());
    assert_eq!(text(&other.await.unwrap()), "a@0");
    let alone = ask(&bench, request("b")).await;
    alone.abort();
    settle().await;
    assert!(slow.compute());
    assert_eq!(text(&bench.send(&request("b")).await), "b@0!", "computed, and so it is kept");
}

#[tokio::test]
async fn what_fails_is_told_and_not_kept() {
    let (bench, slow) = bench();
    let fail = |what: Predicted| slow.take(0).unwrap().2.told(what);
    let (first, other) = (ask(&bench, request("a")).await, ask(&bench, request("a")).await);
    fail(Predicted::Failed("the model failed: no".to_owned()));
    let got = first.await.unwrap();
    assert_eq!((got.status, text(&got)), (500, "500 the model failed: no of row 0"));
    assert_eq!(said(&got, "cache-control"), "no-store");
    // Who waited asks for itself.
    settle().await;
    assert!(slow.compute());
    assert_eq!(text(&other.await.unwrap()), "a@0");

    let (first, other) = (ask(&bench, request("b,c")).await, ask(&bench, request("b")).await);
    let mut busy = FetchError::new(Reason::OriginBusy, "too much waits");
    busy.retry_after_seconds = Some(1);
    fail(Predicted::Unanswered(busy));
    assert!(slow.compute());
    for waiting in [first, other] {
        let got = waiting.await.unwrap();
        assert_eq!((got.status, got.outcome, got.reason), (503, Outcome::Error, Reason::OriginBusy));
        assert_eq!(said(&got, "retry-after"), "1");
    }
    let dropped = ask(&bench, request("d")).await;
    drop(slow.take(0).unwrap());
    assert_eq!(dropped.await.unwrap().status, 503);
    let again = ask(&bench, request("d")).await;
    assert!(slow.compute());
    assert_eq!(text(&again.await.unwrap()), "d@0");
}

#[tokio::test]
async fn of_a_batch_the_row_is_named_that_the_model_failed_for() {
    let (bench, slow) = bench();
    let batch = ask(&bench, request("a,b,c")).await;
    assert!(slow.compute());
    slow.take(0).unwrap().2.told(Predicted::Failed("no".to_owned()));
    assert!(slow.compute());
    let got = batch.await.unwrap();
    assert_eq!((got.status, text(&got)), (500, "500 no of row 1"));
}

#[tokio::test]
async fn a_large_answer_is_written_on_another_thread_and_hits_meanwhile_on_this_one() {
    let (bench, slow) = bench();
    for (row, expected) in [("a", "here"), ("65000", "here"), ("70000", "elsewhere"), ("40000a,40000b", "elsewhere")] {
        let first = ask(&bench, request(row)).await;
        while slow.compute() {}
        let got = first.await.unwrap();
        assert_eq!((got.status, said(&got, "written").as_str()), (200, expected), "{row} computed");
        let got = bench.send(&request(row)).await;
        assert_eq!((got.outcome, said(&got, "written").as_str()), (Outcome::Hit, expected), "{row} from memory");
    }
}

#[tokio::test]
async fn predictions_that_are_too_large_together_are_refused_with_what_to_do() {
    let (bench, slow) = bench();
    let [one, other] = ["9000000a", "9000000b"];
    // While they are computed, and then from memory.
    for _ in 0..2 {
        let both = ask(&bench, request(&format!("{one},{other}"))).await;
        while slow.compute() {}
        let got = both.await.unwrap();
        assert_eq!((got.status, got.outcome, got.reason), (413, Outcome::Refused, Reason::Limit));
        assert_eq!(
            text(&got),
            "413 the predictions of these 2 rows are more than 16 MiB together: ask for fewer at once"
        );
        assert_eq!(said(&got, "cache-control"), "no-store");
    }
    for each in [one, other] {
        let alone = bench.send(&request(each)).await;
        assert_eq!((alone.status, alone.outcome, alone.body.len()), (200, Outcome::Hit, 9_000_001), "by itself");
    }
    let larger = ask(&bench, request("17000000")).await;
    assert!(slow.compute());
    let got = larger.await.unwrap();
    assert_eq!((got.status, got.reason), (502, Reason::OriginMalformed));
    assert_eq!(text(&got), "502 the prediction is larger than 16 MiB");
}

/// What was written was counted nowhere: who asked for much and read nothing took all memory.
#[tokio::test]
async fn what_is_written_and_not_yet_sent_is_bounded() {
    let (bench, slow) = bench();
    let large = request("12000000");
    for row in ["12000000", "60000"] {
        let first = ask(&bench, request(row)).await;
        while slow.compute() {}
        assert_eq!(first.await.unwrap().status, 200);
    }
    let mut unread = Vec::new();
    let refused = loop {
        let answer = bench.begin(&large).await;
        if answer.status != 200 {
            break bench.read(answer).await;
        }
        unread.push(answer);
        assert!(unread.len() < 20, "without end");
    };
    // 128 MiB, of which four times the records are kept free to write the last one in.
    assert_eq!(unread.len(), 8);
    assert_eq!((refused.status, refused.outcome, refused.reason), (503, Outcome::Error, Reason::OriginBusy));
    assert_eq!(text(&refused), "503 too much of other answers of models is under way");
    assert_eq!(
        (said(&refused, "retry-after"), said(&refused, "cache-control")),
        ("1".to_owned(), "no-store".to_owned())
    );
    assert_eq!(bench.send(&request("60000")).await.status, 200, "what is small is not counted");
    drop(unread.pop());
    let got = bench.send(&large).await;
    assert_eq!((got.status, got.body.len()), (200, 12_000_001), "one has been sent");
}

/// A body that comes piece by piece, and then what `end` says; nothing, without it.
struct Slowly {
    pieces: Vec<Bytes>,
    end: Option<Reason>,
}

impl BodyStream for Slowly {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        match (self.pieces.pop(), self.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(piece))),
            (None, Some(Reason::Fresh)) => Poll::Ready(None),
            (None, Some(reason)) => Poll::Ready(Some(Err(FetchError::new(reason, "the body did not go on")))),
            (None, None) => Poll::Pending,
        }
    }
}

/// A question whose body comes behind its head.
struct Behind {
    client: u8,
    path: &'static str,
    content_type: &'static str,
    content_length: Option<u64>,
    body: Slowly,
}

impl Behind {
    fn of(n_bytes: usize, end: Option<Reason>) -> Self {
        let body = Slowly { pieces: vec![vec![b' '; n_bytes].into()], end };
        Self { client: 1, path: "/predict", content_type: "application/json", content_length: None, body }
    }

    fn from(self, client: u8) -> Self {
        Self { client, ..self }
    }

    /// Asks, and lets that come as far as it does.
    async fn ask(self, bench: &Bench) -> JoinHandle<Got> {
        let fields = [Field { name: "content-type", value: self.content_type.as_bytes() }];
        let view = RequestView {
            method: "POST",
            https: false,
            authority: "example.com",
            path: self.path,
            query: None,
            fields: &fields,
            peer: IpAddr::from([203, 0, 113, self.client]),
            has_body: true,
            body: None,
            version: "2",
            upgrade: false,
        };
        let Begun::Pending(pending) = begin(&bench.worker, &bench.worker.edge.snapshot.load_full(), &view) else {
            unreachable!("its body has not come");
        };
        let journey = Journey::new(Arc::clone(&bench.worker), OwnedRequest::copy_of(&view), pending);
        let body = RequestBody::streamed(self.content_length, Box::new(self.body));
        let bench = bench.clone();
        let asking = tokio::spawn(async move { bench.read(complete(journey, Some(body)).await).await });
        settle().await;
        asking
    }
}

/// Bodies that stopped before their end took all the room there is, and every question that came a packet behind its
/// head was refused.
#[tokio::test]
async fn who_holds_much_of_bodies_back_takes_no_room_from_what_is_usual() {
    let (bench, slow) = bench();
    let usual = |client| Behind::of(16 << 10, Some(Reason::Fresh)).from(client);
    let first = usual(1).ask(&bench).await;
    assert!(slow.compute());
    assert_eq!(first.await.unwrap().status, 200);
    let mut held = Vec::new();
    for client in 1..=4 {
        // A quarter of 64 MiB.
        for _ in 0..17 {
            held.push(Behind::of(999_000, None).from(client).ask(&bench).await);
        }
        assert!(held.iter().all(|each| !each.is_finished()));
        let more = Behind::of(999_000, None).from(client).ask(&bench).await.await.unwrap();
        assert_eq!((more.status, more.outcome, more.reason), (503, Outcome::Error, Reason::OriginBusy));
        assert_eq!(text(&more), r#"{"error":"too much of other requests for models is under way"}"#);
        assert_eq!(
            (said(&more, "retry-after").as_str(), said(&more, "content-type").as_str()),
            ("1", "application/json")
        );
        let got = usual(client).ask(&bench).await.await.unwrap();
        assert_eq!((got.status, got.outcome), (200, Outcome::Hit), "what is usual comes in");
    }
    let fifth = || Behind { content_type: "application/grpc", ..Behind::of(999_000, None) }.from(5);
    let got = fifth().ask(&bench).await.await.unwrap();
    assert_eq!((got.status, said(&got, "grpc-status").as_str()), (200, "14"), "all is taken");
    assert!(said(&got, "grpc-message").contains("other requests for models"));
    for each in held.drain(..17) {
        each.abort();
    }
    settle().await;
    assert!(!fifth().ask(&bench).await.is_finished(), "there is room again");
}

/// A stream of gRPC does not end by itself.
#[tokio::test]
async fn what_the_head_alone_tells_is_not_waited_for() {
    let (bench, _) = bench();
    let nothing = Behind { path: "/nothing", ..Behind::of(10, None) }.ask(&bench).await.await.unwrap();
    assert_eq!((nothing.status, text(&nothing), nothing.outcome), (501, "not offered", Outcome::Refused));
    let both = Behind { path: "/nothing", content_length: Some(1_000_001), ..Behind::of(10, None) };
    assert_eq!(both.ask(&bench).await.await.unwrap().status, 501, "no body would be short enough");
    let long = Behind { content_length: Some(1_000_001), ..Behind::of(10, None) };
    let got = long.ask(&bench).await.await.unwrap();
    assert_eq!((got.status, got.outcome, got.reason), (413, Outcome::Refused, Reason::Limit));
    assert_eq!(text(&got), r#"{"error":"a body of 1000001 bytes is over the limit"}"#);
    let longest = Behind { content_length: Some(1_000_000), ..Behind::of(10, None) };
    assert!(!longest.ask(&bench).await.is_finished());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_in_the_form_of_the_interface() {
    let (bench, _) = bench();
    for (content_type, end, expected) in [
        ("application/json", Reason::ClientGone, (400, "", r#"{"error":"the request was not sent whole"}"#)),
        ("application/json", Reason::Malformed, (400, "", r#"{"error":"the request is malformed"}"#)),
        ("application/grpc", Reason::ClientGone, (200, "4", "")),
        ("application/grpc+proto", Reason::Limit, (200, "8", "")),
    ] {
        let got = Behind { content_type, ..Behind::of(10, Some(end)) }.ask(&bench).await.await.unwrap();
        assert_eq!((got.status, said(&got, "grpc-status").as_str(), text(&got)), expected);
        assert_eq!((got.outcome, got.reason), (Outcome::Refused, end));
    }
}

#[tokio::test]
async fn what_is_for_one_client_is_neither_joined_nor_kept() {
    let (bench, slow) = bench();
    let named = |name: &str| TestRequest { headers: vec![(name.to_owned(), "x".to_owned())], ..request("a") };
    for private in [named("authorization"), named("cookie"), request("secret")] {
        let twice = [ask(&bench, private.clone()).await, ask(&bench, private).await];
        assert!(slow.compute() && slow.compute());
        for each in twice {
            let got = each.await.unwrap();
            assert_eq!((got.status, got.outcome, got.reason), (200, Outcome::Pass, Reason::UserRequest));
        }
    }
    let gone = ask(&bench, request("secret")).await;
    gone.abort();
    settle().await;
    assert!(!slow.take(0).unwrap().2.is_wanted());
}

#[tokio::test]
async fn what_has_expired_is_computed_anew() {
    let (bench, slow) = bench();
    let first = ask(&bench, request("a")).await;
    slow.compute();
    first.await.unwrap();
    bench.clock.advance(Duration::from_secs(299));
    let got = bench.send(&request("a")).await;
    assert_eq!((text(&got), said(&got, "age").as_str()), ("a@0!", "299"));
    bench.clock.advance(Duration::from_secs(2));
    slow.world.store(7, Ordering::Relaxed);
    let anew = ask(&bench, request("a")).await;
    assert!(slow.compute());
    let got = anew.await.unwrap();
    assert_eq!((text(&got), got.outcome, got.reason), ("a@7", Outcome::Miss, Reason::Expired));
    assert_eq!(said(&got, "cache-status"), "bodega; fwd=stale; stored; detail=expired");
    assert_eq!(text(&bench.send(&request("a")).await), "a@7!");
}

#[tokio::test]
async fn what_may_be_used_stale_goes_through_the_machine() {
    let (bench, slow) = bench_with(
        &json!({"hosts": ["*"]}),
        &json!({"default_ttl_seconds": 300, "stale_while_revalidate_seconds": 10}),
    );
    let first = ask(&bench, request("a")).await;
    slow.compute();
    first.await.unwrap();
    bench.clock.advance(Duration::from_secs(301));
    slow.world.store(7, Ordering::Relaxed);
    let got = bench.send(&request("a")).await;
    assert_eq!((text(&got), got.outcome), ("a@0!", Outcome::Stale));
    settle().await;
    assert_eq!(text(&bench.send(&request("a")).await), "a@7!");
}

#[tokio::test]
async fn a_row_that_goes_through_the_machine_is_not_asked_for_https_again() {
    for protocol in ["redirect-to-https", "https-only"] {
        let (bench, slow) = bench_with(
            &json!({"hosts": ["*"], "viewer_protocol": protocol}),
            &json!({"default_ttl_seconds": 300, "stale_if_error_seconds": 10}),
        );
        // What stands in front ends TLS, and says so.
        let told = TestRequest {
            headers: vec![("X-Forwarded-Proto".to_owned(), "https".to_owned())],
            peer: Some("192.0.2.1".parse().unwrap()),
            ..request("a")
        };
        let first = ask(&bench, told.clone()).await;
        slow.compute();
        assert_eq!(first.await.unwrap().status, 200);
        bench.clock.advance(Duration::from_secs(301));
        slow.world.store(7, Ordering::Relaxed);
        let got = bench.send(&told).await;
        assert_eq!((got.status, text(&got)), (200, "a@7"), "{protocol}");
        assert_ne!(bench.send(&request("a")).await.status, 200, "{protocol}");
    }
}

#[tokio::test]
async fn each_host_has_rows_of_its_own_and_they_are_forgotten_by_it() {
    let (bench, slow) = bench();
    let of = |host: &str| TestRequest { host: host.to_owned(), ..request("a") };
    for host in ["a.example", "b.example"] {
        let first = ask(&bench, of(host)).await;
        assert!(slow.compute(), "{host}");
        assert_eq!(text(&first.await.unwrap()), "a@0");
    }
    purge(&bench, &slow, "prefix:https://b.example/models/slow/");
    assert_eq!(text(&bench.send(&of("a.example:8080")).await), "a@0!");
    let anew = ask(&bench, of("b.example")).await;
    assert!(slow.compute());
    assert_eq!(text(&anew.await.unwrap()), "a@1");

    let (bench, slow) =
        bench_with(&json!({"hosts": ["*"]}), &json!({"default_ttl_seconds": 300, "key": {"host": false}}));
    let first = ask(&bench, of("a.example")).await;
    assert!(slow.compute());
    first.await.unwrap();
    assert_eq!(text(&bench.send(&of("b.example")).await), "a@0!", "the host is not in the key");
}

/// What may happen.
#[derive(Clone, Debug)]
enum Event {
    Ask(Vec<u8>),
    Compute(usize),
    Purge,
    Leave(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => proptest::collection::vec(0..4_u8, 1..4).prop_map(Event::Ask),
        4 => (0..8_usize).prop_map(Event::Compute),
        1 => Just(Event::Purge),
        1 => (0..8_usize).prop_map(Event::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens in whatever order: who asks after a purge never gets what was asked of the model before it, and
    /// everybody who stays is answered.
    #[test]
    fn nothing_from_before_a_purge_is_given_after_it(events in proptest::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (bench, slow) = bench();
            let mut waiting = Vec::new();
            for event in events {
                match event {
                    Event::Ask(rows) => {
                        let rows: Vec<String> = rows.iter().map(|row| format!("r{row}")).collect();
                        let world = slow.world.load(Ordering::Relaxed);
                        waiting.push((rows.clone(), world, ask(&bench, request(&rows.join(","))).await));
                    }
                    Event::Compute(at) => drop(slow.compute_at(at)),
                    Event::Purge => purge(&bench, &slow, "tag:model:slow"),
                    Event::Leave(at) if at < waiting.len() => waiting.remove(at).2.abort(),
                    Event::Leave(_) => {}
                }
                settle().await;
            }
            while slow.compute() {
                settle().await;
            }
            for (rows, world, asking) in waiting {
                let got = asking.await.unwrap();
                assert_eq!(got.status, 200);
                let answers: Vec<&str> = text(&got).split(',').collect();
                assert_eq!(answers.len(), rows.len());
                for (row, answer) in rows.iter().zip(answers) {
                    let (of, made) = answer.trim_end_matches('!').split_once('@').unwrap();
                    assert_eq!(of, row);
                    assert!(made.parse::<usize>().unwrap() >= world, "{answer} for one who asked in {world}");
                }
            }
        });
    }
}
