//! The walk behind the requests: what has been forgotten leaves by itself, and pattern rules end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use bodega_edge::invalidate::{Force, Selector};
use bodega_edge::lurker::{Lurker, Step};
use bodega_semantics::{Head, Outcome};
use bodega_store::disk::Admission;
use bodega_store::invalidate::MAX_RULES;
use bodega_testkit::bench::{self, Bench, TestRequest, snapshot_json};
use bodega_testkit::clock::FakeClock;
use serde_json::json;

const KEPT: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"a\"")];

async fn get(bench: &Bench, path: &str) -> Outcome {
    let mut hand = bench.origin.will_answer_by_hand();
    hand.head(200, KEPT, Some(3));
    hand.piece(b"new");
    hand.end();
    bench.send(&TestRequest::get(path)).await.outcome
}

async fn store(bench: &Bench, paths: &[&str]) {
    for path in paths {
        assert_eq!(get(bench, path).await, Outcome::Miss, "{path}");
    }
}

fn forget(bench: &Bench, selector: &str, force: Force) {
    bench.worker.edge.invalidate(&[Selector::parse(selector).unwrap()], force).unwrap();
}

/// Walks until there is nothing left to do.
fn walk(bench: &Bench, lurker: &mut Lurker) {
    while bench.worker.edge.lurk(lurker) != Step::Rests {}
}

fn stored(bench: &Bench) -> u64 {
    bench.worker.edge.memory.usage().n_entries
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_gives_its_room_back_unasked_and_the_rest_stays() {
    let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
    let mut lurker = Lurker::default();
    store(&bench, &["/a/1", "/a/2", "/b/1", "/c"]).await;
    walk(&bench, &mut lurker);
    assert_eq!(stored(&bench), 4);
    for (selector, force, n_left) in [
        ("prefix:https://example.com/a/", Force::Hard, 2),
        ("glob:example.com/b/*", Force::Hard, 1),
        ("https://example.com/c", Force::Soft, 1),
        ("https://example.com/c", Force::Hard, 0),
    ] {
        forget(&bench, selector, force);
        assert_ne!(bench.worker.edge.lurk(&mut lurker), Step::Rests, "there is something to do");
        walk(&bench, &mut lurker);
        assert_eq!(stored(&bench), n_left, "{selector}");
    }
}

#[tokio::test(start_paused = true)]
async fn rules_end_once_all_was_tested_and_there_is_room_for_others() {
    let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
    let mut lurker = Lurker::default();
    store(&bench, &["/a"]).await;
    let edge = &bench.worker.edge;
    for number in 0..MAX_RULES {
        forget(&bench, &format!("glob:h{number}/*"), Force::Hard);
    }
    assert!(edge.invalidate(&[Selector::Glob("h/*".into())], Force::Hard).is_err());
    assert!(edge.lurker_is_late(&lurker));
    walk(&bench, &mut lurker);
    assert_eq!(edge.invalidations.n_rules(), 0);
    assert!(edge.invalidate(&[Selector::Glob("h/*".into())], Force::Hard).is_ok());
    assert_eq!(bench.send(&TestRequest::get("/a")).await.outcome, Outcome::Hit);
}

#[tokio::test(start_paused = true)]
async fn the_rules_of_a_fill_under_way_stay() {
    let bench = Bench::new(&snapshot_json(&json!({}), &json!({}), 1));
    let mut lurker = Lurker::default();
    let mut hand = bench.origin.will_answer_by_hand();
    let task = tokio::spawn({
        let bench = bench.clone();
        async move { bench.send(&TestRequest::get("/slow")).await }
    });
    while bench.origin.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    forget(&bench, "glob:other.example/*", Force::Hard);
    walk(&bench, &mut lurker);
    assert_eq!(bench.worker.edge.invalidations.n_rules(), 1);
    hand.head(200, KEPT, Some(3));
    hand.piece(b"old");
    hand.end();
    assert_eq!(task.await.unwrap().body, b"old");
    assert_eq!(bench.send(&TestRequest::get("/slow")).await.outcome, Outcome::Hit, "the rule was not about it");
}

// Not with a clock that stands still: it would jump to the end of what is waited for the disk at most.
#[tokio::test]
async fn what_is_on_disk_is_tested_too_and_holds_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let disk = bench::disk(folder.path(), 256 << 20, Admission::Always, &FakeClock::default());
        Bench::with_tiers(&snapshot_json(&json!({}), &json!({}), 1), 64 << 20, Some(disk))
    };
    let bench = open();
    store(&bench, &["/a/1", "/b/1", "/c"]).await;
    assert!(bench.worker.edge.keep_all(std::time::Duration::from_secs(60)));
    drop(bench);

    let bench = open();
    let mut lurker = Lurker::default();
    forget(&bench, "glob:example.com/a/*", Force::Hard);
    forget(&bench, "glob:example.com/b/*", Force::Soft);
    let disk = bench.worker.edge.disk().unwrap();
    assert_eq!(disk.usage().n_entries, 3);
    walk(&bench, &mut lurker);
    // What has become stale is found again once it is written.
    assert!(disk.flush(std::time::Duration::from_secs(60)));
    assert_eq!((disk.usage().n_entries, bench.worker.edge.invalidations.n_rules()), (2, 0));
    // Not one of those that a rule did not reach was lost with it.
    assert_eq!(bench.send(&TestRequest::get("/c")).await.outcome, Outcome::Hit);
    drop(bench);

    let bench = open();
    assert_eq!(bench.send(&TestRequest::get("/c")).await.outcome, Outcome::Hit);
    assert_eq!(get(&bench, "/b/1").await, Outcome::Miss);
    assert!(bench.origin.asked().last().unwrap().fields.has("if-none-match"), "stale, and validated");
    assert_eq!(get(&bench, "/a/1").await, Outcome::Miss);
}
