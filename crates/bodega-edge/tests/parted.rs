//! An edge that has parted from its journal, and has to have everything that it stored confirmed: the origin is asked at
//! a bounded rate, whatever clients do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bodega_edge::fetch::{Fetch, FetchAnswer, FetchFuture, FetchRequest, OnePiece};
use bodega_edge::fillers::Fillers;
use bodega_edge::follow::place_from_json;
use bodega_edge::{Metrics, Worker};
use bodega_semantics::{Fields, Head, Outcome, Reason};
use bodega_testkit::bench::{Bench, CONFIRM_RATE, TestRequest, snapshot_json};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

const N_PATHS: usize = 3000;
const N_CLIENTS: usize = 400;

/// An origin that answers by path, at once, and notes when it was asked.
#[derive(Default)]
struct Site {
    /// Every third path has changed.
    has_changed: AtomicBool,
    asked: Mutex<Vec<Instant>>,
}

impl Site {
    fn body(&self, path: &str) -> String {
        let number: usize = path.trim_start_matches('/').parse().unwrap();
        let version = usize::from(self.has_changed.load(Ordering::Relaxed) && number.is_multiple_of(3));
        format!("{path} in version {version}")
    }
}

impl Fetch for Site {
    fn fetch(&self, _: &str, request: FetchRequest) -> FetchFuture {
        self.asked.lock().push(Instant::now());
        let body = self.body(&request.path_and_query);
        let tag = format!("\"{body}\"");
        let is_same = request.fields.first("if-none-match") == Some(tag.as_bytes());
        let mut fields = Fields::new();
        fields.push("Cache-Control", b"max-age=86400, stale-while-revalidate=86400, stale-if-error=86400");
        fields.push("ETag", tag.as_bytes());
        let body = if is_same { String::new() } else { body };
        let answer = FetchAnswer {
            status: if is_same { 304 } else { 200 },
            fields,
            content_length: Some(body.len() as u64),
            body: Box::new(OnePiece(Some(Bytes::from(body)))),
        };
        Box::pin(async { Ok(answer) })
    }
}

fn bench(site: &Arc<Site>) -> Bench {
    let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
    let worker = Worker {
        edge: Arc::clone(&bench.worker.edge),
        fetch: Arc::<Site>::clone(site),
        metrics: Metrics::default(),
        fillers: Fillers::default(),
    };
    Bench { worker: Arc::new(worker), ..bench }
}

/// Not the same each time, and the same in each run.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 40).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_to_be_confirmed_asks_its_origin_at_a_bounded_rate() {
    let site = Arc::new(Site::default());
    let bench = Arc::new(bench(&site));
    for number in 0..N_PATHS {
        bench.send(&TestRequest::get(&format!("/{number}"))).await;
    }
    let place = json!({"journal": "1".repeat(32), "epoch": "2".repeat(16), "position": 9, "chain": "3".repeat(32)});
    bench.worker.edge.join(place_from_json(&place.to_string()).unwrap(), false);
    site.has_changed.store(true, Ordering::Relaxed);
    assert_eq!(site.asked.lock().drain(..).count(), N_PATHS);

    let begun = Instant::now();
    let counts: Arc<Mutex<BTreeMap<(Outcome, Reason), usize>>> = Arc::default();
    let n_confirmed = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..N_CLIENTS)
        .map(|client| {
            let (bench, site) = (Arc::clone(&bench), Arc::clone(&site));
            let (counts, n_confirmed) = (Arc::clone(&counts), Arc::clone(&n_confirmed));
            tokio::spawn(async move {
                let mut chance = client as u64;
                while n_confirmed.load(Ordering::Relaxed) < N_PATHS {
                    let path = format!("/{}", next(&mut chance) % N_PATHS);
                    let asked = Instant::now();
                    let got = bench.send(&TestRequest::get(&path)).await;
                    assert!(asked.elapsed() <= Duration::from_secs(6), "it waited for {:?}", asked.elapsed());
                    *counts.lock().entry((got.outcome, got.reason)).or_default() += 1;
                    if got.status == 503 {
                        assert_eq!((got.outcome, got.reason), (Outcome::Error, Reason::OriginPaced));
                        let proxy_status = got.fields.first("proxy-status").unwrap();
                        assert_eq!(proxy_status, b"bodega; error=connection_limit_reached");
                        let seconds = std::str::from_utf8(got.fields.first("retry-after").unwrap()).unwrap();
                        let seconds: u64 = seconds.parse().unwrap();
                        assert!((1..=6).contains(&seconds), "{seconds}");
                        // Impatient: long before it was told to come again.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                    assert_eq!((got.status, got.body), (200, site.body(&path).into_bytes()), "{:?}", got.reason);
                    if got.outcome != Outcome::Hit {
                        n_confirmed.store(site.asked.lock().len(), Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }

    let took = begun.elapsed();
    let asked: Vec<Instant> = site.asked.lock().clone();
    let rate = usize::try_from(CONFIRM_RATE).unwrap();
    for (at, first) in asked.iter().enumerate() {
        let in_a_second = asked[at..].iter().take_while(|other| **other - *first < Duration::from_secs(1)).count();
        assert!(in_a_second <= rate, "{in_a_second} in a second");
    }
    let least = Duration::from_secs((N_PATHS / rate) as u64);
    assert!(took >= least - Duration::from_secs(1), "{took:?}");
    assert!(took <= least + Duration::from_secs(30), "the origin was left idle: {took:?}");
    // Nothing is left, and nothing was asked about twice.
    for number in 0..N_PATHS {
        let path = format!("/{number}");
        let got = bench.send(&TestRequest::get(&path)).await;
        assert_eq!((got.status, got.body), (200, site.body(&path).into_bytes()));
    }
    assert_eq!(site.asked.lock().len(), N_PATHS);
    let counts = counts.lock();
    assert!(counts.contains_key(&(Outcome::Error, Reason::OriginPaced)), "{counts:?}");
    assert!(counts.contains_key(&(Outcome::Hit, Reason::Fresh)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_never_stored_waits_for_nobody() {
    let site = Arc::new(Site::default());
    let bench = bench(&site);
    let place = json!({"journal": "1".repeat(32), "epoch": "2".repeat(16), "position": 9, "chain": "3".repeat(32)});
    bench.worker.edge.join(place_from_json(&place.to_string()).unwrap(), false);
    let begun = Instant::now();
    for number in 0..200 {
        assert_eq!(bench.send(&TestRequest::get(&format!("/{number}"))).await.outcome, Outcome::Miss);
    }
    assert_eq!(Instant::now(), begun);
}
