//! What is on disk answers as what is in memory does: after it was let go, after a restart, by slices, and never with
//! bytes of two versions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use bodega_edge::Worker;
use bodega_edge::fetch::{Fetch, FetchAnswer, FetchFuture, FetchRequest, OnePiece};
use bodega_edge::invalidate::{Force, Selector};
use bodega_semantics::multipart::Span;
use bodega_semantics::partial::Run;
use bodega_semantics::range;
use bodega_semantics::{Fields, Head, Outcome};
use bodega_store::disk::{Admission, Disk};
use bodega_testkit::bench::{self, Bench, Got, TestRequest, snapshot_json};
use bodega_testkit::clock::FakeClock;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;

const MIB: u64 = 1 << 20;

/// An origin of files: `/N` is N bytes long. What it was asked is written down.
struct Files {
    version: AtomicU8,
    n_starts: AtomicU32,
    asked: Mutex<Vec<String>>,
    knows_ranges: bool,
}

fn byte(version: u8, at: u64) -> u8 {
    ((at % 251) as u8).wrapping_mul(7).wrapping_add(version * 80)
}

fn bytes(version: u8, span: Span) -> Vec<u8> {
    (span.first..=span.last).map(|at| byte(version, at)).collect()
}

impl Fetch for Files {
    fn fetch(&self, _: &str, request: FetchRequest) -> FetchFuture {
        let version = self.version.load(Ordering::Relaxed);
        let tag = format!("\"{version}\"");
        let total: u64 = request.path_and_query[1..].parse().unwrap();
        let said = request.fields.first("range").map(|range| String::from_utf8_lossy(range).into_owned());
        self.asked.lock().push(said.unwrap_or_default());
        let mut fields = Fields::new();
        fields.push("Cache-Control", b"max-age=60");
        fields.push("ETag", tag.as_bytes());
        let is_same = request.fields.first("if-range").is_none_or(|named| named == tag.as_bytes());
        let asked = range::requested(&request.fields).filter(|_| is_same && self.knows_ranges);
        let span = asked.and_then(|asked| asked.of(total));
        let sent = span.unwrap_or(Span { first: 0, last: total - 1 });
        if span.is_some() {
            fields.push("Content-Range", &Run { span: sent, total }.content_range());
        }
        let body = Bytes::from(bytes(version, sent));
        let answer = FetchAnswer {
            status: if span.is_some() { 206 } else { 200 },
            fields,
            content_length: Some(sent.n_bytes()),
            body: Box::new(OnePiece(Some(body))),
        };
        Box::pin(async move { Ok(answer) })
    }
}

/// An edge with a disk, as it is after each start.
struct Edge {
    bench: Bench,
    disk: Arc<Disk>,
    files: Arc<Files>,
}

impl Edge {
    fn start(path: &Path, admission: Admission, files: &Arc<Files>) -> Self {
        // Each start is later than what was written before, however long that took: else the disk distrusts the clock.
        let clock = FakeClock::default();
        clock.advance(Duration::from_secs(3600) * files.n_starts.fetch_add(1, Ordering::Relaxed));
        let disk = bench::disk(path, 128 * MIB, admission, &clock);
        let snapshot = snapshot_json(&json!({}), &json!({}), 1);
        let bench = Bench::with_tiers(&snapshot, 32 * MIB, Some(Arc::clone(&disk)));
        let worker = Worker {
            edge: Arc::clone(&bench.worker.edge),
            fetch: Arc::<Files>::clone(files),
            metrics: bodega_edge::Metrics::default(),
            fillers: bodega_edge::fillers::Fillers::default(),
        };
        Self { bench: Bench { worker: Arc::new(worker), ..bench }, disk, files: Arc::clone(files) }
    }

    async fn get(&self, target: &str) -> Got {
        self.bench.send(&TestRequest::get(target)).await
    }

    async fn range(&self, target: &str, range: &str) -> Got {
        let mut request = TestRequest::get(target);
        request.headers.push(("Range".to_owned(), format!("bytes={range}")));
        self.bench.send(&request).await
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.files.asked.lock())
    }

    fn settle(&self) {
        assert!(self.disk.flush(Duration::from_secs(20)));
    }
}

fn files() -> Arc<Files> {
    Arc::new(Files {
        version: AtomicU8::new(0),
        n_starts: AtomicU32::new(0),
        asked: Mutex::default(),
        knows_ranges: true,
    })
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn is_whole(got: &Got, version: u8, total: u64) -> bool {
    got.status == 200 && !got.broken && got.body == bytes(version, Span { first: 0, last: total - 1 })
}

#[tokio::test]
async fn what_is_on_disk_answers_after_a_restart() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    for total in [100, 100_000, 700_000, 5 * MIB + 17] {
        let got = edge.get(&format!("/{total}")).await;
        assert!(is_whole(&got, 0, total), "{total}");
    }
    assert!(edge.bench.worker.edge.keep_all(Duration::from_secs(20)));
    drop(edge);
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    edge.asked();
    for total in [100, 100_000, 700_000, 5 * MIB + 17] {
        for _ in 0..2 {
            let got = edge.get(&format!("/{total}")).await;
            assert!(is_whole(&got, 0, total), "{total}");
            assert_eq!(got.outcome, Outcome::Hit, "{total}");
        }
    }
    assert_eq!(edge.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_asked_for_once_is_not_written_and_what_is_asked_for_twice_is() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::SecondRequest, &files);
    let total = 3 * MIB;
    let target = format!("/{total}");
    for n_asked in [1, 2, 2] {
        assert!(is_whole(&edge.get(&target).await, 0, total));
        assert_eq!(edge.files.asked.lock().len(), n_asked);
        edge.settle();
    }
}

#[tokio::test]
async fn small_ones_that_were_asked_for_again_are_on_disk_before_a_clean_stop() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::SecondRequest, &files);
    for target in ["/1000", "/1000", "/2000"] {
        edge.get(target).await;
    }
    assert!(edge.bench.worker.edge.keep_all(Duration::from_secs(20)));
    drop(edge);
    let edge = Edge::start(folder.path(), Admission::SecondRequest, &files);
    edge.asked();
    for target in ["/1000", "/2000"] {
        edge.get(target).await;
    }
    assert_eq!(edge.asked().len(), 1, "only what was asked for once");
}

#[tokio::test]
async fn ranges_of_a_large_file_are_fetched_and_kept_by_slice() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    let target = format!("/{}", 40 * MIB);
    let first = 20 * MIB + 1000;
    let range = format!("{first}-{}", first + 99);
    for _ in 0..2 {
        let got = edge.range(&target, &range).await;
        assert_eq!(got.status, 206);
        assert_eq!(got.body, bytes(0, Span { first, last: first + 99 }));
        edge.settle();
    }
    // By whole slices, and once.
    assert_eq!(edge.asked(), [format!("bytes={}-{}", 20 * MIB, 21 * MIB - 1)]);
    // Another slice: only that is asked for, under the validator.
    let got = edge.range(&target, &format!("{}-{}", 30 * MIB, 30 * MIB + 9)).await;
    assert_eq!(got.body, bytes(0, Span { first: 30 * MIB, last: 30 * MIB + 9 }));
    assert_eq!(edge.asked(), [format!("bytes={}-{}", 30 * MIB, 31 * MIB - 1)]);
    // The whole: what is there is not asked for again.
    edge.settle();
    assert!(is_whole(&edge.get(&target).await, 0, 40 * MIB));
    let asked = edge.asked();
    assert!(!asked.is_empty() && asked.iter().all(|range| range.starts_with("bytes=")), "{asked:?}");
    edge.settle();
    assert!(is_whole(&edge.get(&target).await, 0, 40 * MIB));
    assert_eq!(edge.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_had_to_go_is_kept_again_at_once() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    edge.get(&format!("/{}", 2 * MIB)).await;
    edge.settle();
    let (keys, _) = edge.disk.keys(0, 1000);
    let [key] = keys[..] else { panic!("{keys:?}") };
    for other in (1..).take_while(|_| edge.disk.holds(key)) {
        edge.get(&format!("/{}", 8 * MIB + other)).await;
        edge.settle();
    }
    // Its head is in memory still.
    assert!(edge.bench.worker.edge.memory.peek(key).is_some());
    assert!(is_whole(&edge.get(&format!("/{}", 2 * MIB)).await, 0, 2 * MIB));
    edge.settle();
    edge.asked();
    assert!(is_whole(&edge.get(&format!("/{}", 2 * MIB)).await, 0, 2 * MIB));
    assert_eq!(edge.asked(), [""; 0], "it is on disk");
    assert_eq!(edge.disk.usage().n_dropped, 0);
}

#[tokio::test]
async fn a_file_that_has_changed_is_never_mixed() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    let target = format!("/{}", 40 * MIB);
    edge.range(&target, &format!("{}-{}", 20 * MIB, 20 * MIB + 9)).await;
    edge.settle();
    edge.files.version.store(1, Ordering::Relaxed);
    let got = edge.get(&target).await;
    assert!(got.broken, "it began as one version and could not go on");
    let got = edge.get(&target).await;
    assert!(is_whole(&got, 1, 40 * MIB));
}

#[tokio::test]
async fn an_origin_without_ranges_is_read_from_the_start() {
    let folder = folder();
    let files = Arc::new(Files {
        version: AtomicU8::new(0),
        n_starts: AtomicU32::new(0),
        asked: Mutex::default(),
        knows_ranges: false,
    });
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    let target = format!("/{}", 12 * MIB);
    let got = edge.range(&target, &format!("{}-{}", 10 * MIB, 10 * MIB + 9)).await;
    assert_eq!(got.status, 206);
    assert_eq!(got.body, bytes(0, Span { first: 10 * MIB, last: 10 * MIB + 9 }));
    edge.settle();
    assert!(is_whole(&edge.get(&target).await, 0, 12 * MIB));
}

#[tokio::test]
async fn what_was_forgotten_is_not_on_disk_either() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    for total in [1000, 3 * MIB] {
        let target = format!("/{total}");
        edge.get(&target).await;
        edge.settle();
        edge.files.version.store(1, Ordering::Relaxed);
        edge.bench.worker.edge.invalidate(&[Selector::All], Force::Hard).unwrap();
        assert!(is_whole(&edge.get(&target).await, 1, total), "{total}");
        edge.files.version.store(0, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn several_ranges_of_what_is_on_disk() {
    let (folder, files) = (folder(), files());
    let edge = Edge::start(folder.path(), Admission::Always, &files);
    let target = format!("/{}", 8 * MIB);
    edge.get(&target).await;
    edge.settle();
    edge.asked();
    let got = edge.range(&target, &format!("0-99,{}-{}", 5 * MIB - 50, 5 * MIB + 49)).await;
    assert_eq!(got.status, 206);
    assert!(got.fields.first("content-type").unwrap().starts_with(b"multipart/byteranges"));
    let holds = |part: &[u8]| got.body.windows(part.len()).any(|window| window == part);
    assert!(holds(&bytes(0, Span { first: 0, last: 99 })));
    assert!(holds(&bytes(0, Span { first: 5 * MIB - 50, last: 5 * MIB + 49 })));
    assert_eq!(edge.asked(), Vec::<String>::new());
}

/// The window of a fill whose body goes to disk moves on without those who read along: they go on from disk.
#[tokio::test]
async fn who_reads_along_while_a_body_goes_to_disk_is_not_left_behind() {
    let folder = folder();
    let disk = bench::disk(folder.path(), 128 * MIB, Admission::Always, &FakeClock::default());
    let bench = Bench::with_tiers(&snapshot_json(&json!({}), &json!({}), 1), 32 * MIB, Some(disk));
    let whole = bytes(0, Span { first: 0, last: 24 * MIB - 1 });
    let (before, after) = whole.split_at(10 * MIB as usize + 100);
    let read = || {
        let bench = bench.clone();
        tokio::spawn(async move { bench.send(&TestRequest::get("/x")).await })
    };
    let mut hand = bench.origin.will_answer_by_hand();
    let first = read();
    settled().await;
    hand.head(200, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], Some(24 * MIB));
    hand.piece(before);
    settled().await;
    let second = read();
    settled().await;
    for piece in after.chunks(MIB as usize) {
        hand.piece(piece);
    }
    hand.end();
    for (name, got) in [("first", first.await.unwrap()), ("second", second.await.unwrap())] {
        assert!(!got.broken, "{name} got {} bytes", got.body.len());
        assert!(got.body == whole, "{name}");
    }
    assert_eq!(bench.origin.asked().len(), 1);
}

/// Lets everything run that waits for neither a test nor the disk.
async fn settled() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
